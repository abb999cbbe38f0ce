import type { IncomingMessage, ServerResponse } from 'node:http'

/** What answers a method at a path beside the GraphQL endpoint. */
export type Route = (request: IncomingMessage, response: ServerResponse) => Promise<void> | void

/**
 * All of a feature's paths: the prefix itself and what is below it, any method. Bodies may be large and take long: neither
 * the largest body nor the time for a request counts here, only that something comes now and then.
 */
export interface MountedRoute {
  /** As `/files`. */
  readonly prefix: string
  readonly route: Route
}

export function sendJson(response: ServerResponse, status: number, body: object): void {
  send(response, status, 'application/json; charset=utf-8', JSON.stringify(body))
}

export function send(response: ServerResponse, status: number, contentType: string, body: string): void {
  response.writeHead(status, {
    'content-type': contentType,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  })
  response.end(body)
}
