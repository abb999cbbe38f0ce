import type { IncomingMessage, ServerResponse } from 'node:http'

/** Origins whose pages may call this server: any, http ones on this very machine, or those listed. */
export type CorsOrigins = '*' | 'localhost' | readonly string[]

export function isAllowedOrigin(allowed: CorsOrigins, origin: string): boolean {
  if (allowed === '*') return true
  if (allowed !== 'localhost') return allowed.includes(origin)
  const url = URL.parse(origin)
  return url?.protocol === 'http:' && ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname)
}

/** Lets a page of an allowed origin read the answer. Without the header a browser keeps it from the page. */
export function allowOrigin(allowed: CorsOrigins, { headers }: IncomingMessage, response: ServerResponse): void {
  response.setHeader('vary', 'Origin')
  if (!headers.origin || !isAllowedOrigin(allowed, headers.origin)) return
  response.setHeader('access-control-allow-origin', headers.origin)
  response.setHeader('access-control-allow-headers', 'content-type')
}
