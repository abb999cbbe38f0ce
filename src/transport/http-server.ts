// Everything that this server answers over HTTP: GraphQL at its path, and the few routes around it.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { ValidationError } from '../platform/errors.ts'
import type { Logger } from '../platform/logger.ts'
import { GRAPHQL_PATH, type GraphQLEndpoint } from './graphql-endpoint.ts'
import { homePage } from './home-page.ts'
import { limitBody } from './request-body.ts'

export interface HttpServerOptions {
  endpoint: GraphQLEndpoint
  /** The published schema, as text. */
  schemaText: string
  isReady: () => Promise<boolean>
  description: { name: string; version: string }
  hasGraphiQL: boolean
  /** A token for a name, where signing in by name is possible; else null. */
  issueToken: ((name: string) => Promise<string>) | null
  maxBodyBytes: number
  logger: Logger
}

type Route = (request: IncomingMessage, response: ServerResponse) => Promise<void> | void

/** The slowest client gets this long to send a request. */
const REQUEST_TIMEOUT_MS = 30_000
/** How long requests that are being answered may take when the server stops. */
const DRAIN_TIMEOUT_MS = 5_000
/** A name of a hundred characters, escaped in JSON, and some more. */
const MAX_SIGN_IN_BYTES = 8_000

export interface HttpServer {
  /** Does not listen yet. */
  readonly server: Server
  /** Takes no new connections, cuts event streams (their clients come back), and waits a little for the rest. */
  drain(): Promise<void>
}

export function createHttpServer(options: HttpServerOptions): HttpServer {
  const routes = createRoutes(options)
  const { endpoint, maxBodyBytes, logger } = options
  const findRoute = (method: string | undefined, path: string): Route =>
    routes.get(`${method === 'HEAD' ? 'GET' : method} ${path}`) ?? nothingHere
  const answerGraphQL: Route = async (request, response) => {
    limitBody(request, response, maxBodyBytes)
    await endpoint(request, response)
  }
  const open = new Set<ServerResponse>()
  const server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS }, (request, response) => {
    open.add(response)
    response.once('close', () => open.delete(response))
    if (!server.listening) closeAfter(response)
    const path = URL.parse(request.url ?? '', 'http://host')?.pathname ?? ''
    const answer = async () => {
      if (path === GRAPHQL_PATH) await answerGraphQL(request, response)
      else await findRoute(request.method, path)(request, response)
    }
    answer().catch((error) => {
      logger.error({ err: error, path }, 'a request failed')
      if (!response.headersSent) sendJson(response, 500, { error: 'An unexpected error.' })
      else response.destroy()
    })
  })
  return { server, drain: () => drain(server, open) }
}

async function drain(server: Server, open: ReadonlySet<ServerResponse>): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  for (const response of open) {
    if (isEventStream(response)) response.destroy()
    else closeAfter(response)
  }
  server.closeIdleConnections()
  const tooLate = setTimeout(() => server.closeAllConnections(), DRAIN_TIMEOUT_MS)
  await closed
  clearTimeout(tooLate)
}

/** A connection that is kept alive and busy would be served for as long as its client likes. */
function closeAfter(response: ServerResponse): void {
  if (!response.headersSent) response.setHeader('connection', 'close')
}

/** Ended in order, a stream would count as complete, and its client would not come back. */
function isEventStream(response: ServerResponse): boolean {
  return String(response.getHeader('content-type') ?? '').startsWith('text/event-stream')
}

const nothingHere: Route = (_request, response) =>
  sendJson(response, 404, { error: 'There is nothing here. GraphQL is at /graphql.' })

function createRoutes({ schemaText, isReady, description, hasGraphiQL, issueToken }: HttpServerOptions) {
  const routes = new Map<string, Route>([
    ['GET /health', (_request, response) => sendJson(response, 200, { status: 'alive' })],
    [
      'GET /ready',
      async (_request, response) => {
        const ready = await isReady()
        sendJson(response, ready ? 200 : 503, { status: ready ? 'ready' : 'not ready' })
      },
    ],
    ['GET /schema.graphql', (_request, response) => send(response, 200, 'text/plain; charset=utf-8', schemaText)],
    [
      'GET /',
      (_request, response) =>
        send(
          response,
          200,
          'text/html; charset=utf-8',
          homePage({ ...description, hasGraphiQL, canSignIn: !!issueToken }),
        ),
    ],
  ])
  if (issueToken) routes.set('POST /sign-in', signInRoute(issueToken))
  return routes
}

/** Development only: `{ "name": "Ada" }` gives `{ "token": "…" }`. */
function signInRoute(issueToken: (name: string) => Promise<string>): Route {
  return async (request, response) => {
    const body = await readSmallBody(request, MAX_SIGN_IN_BYTES)
    if (body === null) {
      response.setHeader('connection', 'close')
      const message = `The request is larger than ${MAX_SIGN_IN_BYTES} bytes.`
      sendJson(response, 413, { error: { code: 'PAYLOAD_TOO_LARGE', message, limit: MAX_SIGN_IN_BYTES } })
      return
    }
    const name = nameIn(body)
    if (name === null) {
      sendJson(response, 400, { error: { code: 'BAD_REQUEST', message: 'Send JSON as {"name":"Ada"}.' } })
      return
    }
    try {
      sendJson(response, 200, { token: await issueToken(name) })
    } catch (error) {
      if (!(error instanceof ValidationError)) throw error
      sendJson(response, 400, { error: { code: error.code, message: error.message, issues: error.issues } })
    }
  }
}

function nameIn(body: string): string | null {
  try {
    const parsed: unknown = JSON.parse(body)
    const name = typeof parsed === 'object' && parsed !== null && 'name' in parsed ? parsed.name : null
    return typeof name === 'string' ? name : null
  } catch {
    return null
  }
}

/** Null where it is larger; the rest is then let go by, so that the answer can be read. */
async function readSmallBody(request: IncomingMessage, maxBytes: number): Promise<string | null> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    bytes += chunk.length
    if (bytes > maxBytes) {
      request.resume()
      return null
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function sendJson(response: ServerResponse, status: number, body: object): void {
  send(response, status, 'application/json; charset=utf-8', JSON.stringify(body))
}

function send(response: ServerResponse, status: number, contentType: string, body: string): void {
  response.writeHead(status, {
    'content-type': contentType,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  })
  response.end(body)
}
