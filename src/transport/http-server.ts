// Everything that this server answers over HTTP: GraphQL at its path, and the few routes around it.

import { createServer, type Server, type ServerResponse } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from '../platform/logger.ts'
import { allowOrigin, type CorsOrigins } from './cors.ts'
import { spreadOver } from './draining.ts'
import { GRAPHQL_PATH, type GraphQLEndpoint } from './graphql-endpoint.ts'
import { homePage } from './home-page.ts'
import { limitBody } from './request-body.ts'
import { type Route, send, sendJson } from './routes.ts'
import { signInRoutes } from './sign-in-route.ts'

export interface HttpServerOptions {
  endpoint: GraphQLEndpoint
  /** The published schema, as text. */
  schemaText: string
  isReady: () => Promise<boolean>
  description: { name: string; version: string }
  hasGraphiQL: boolean
  /** A token for a name, where signing in by name is possible; else null. */
  issueToken: ((name: string) => Promise<string>) | null
  /** For the routes that pages read; the endpoint keeps its own. */
  corsOrigins: CorsOrigins
  maxBodyBytes: number
  /** How long requests that are being answered may take when the server stops, in milliseconds. */
  drainTimeoutMs: number
  logger: Logger
}

/** The slowest client gets this long to send a request. */
const REQUEST_TIMEOUT_MS = 30_000
/** What a connection buffers before it says that it is full. Sockets hold signals back from there on. */
const HIGH_WATER_MARK_BYTES = 16 * 1024

export interface HttpServer {
  /** Does not listen yet. */
  readonly server: Server
  /** Says that the node is not ready, and asks those that it answers from now on to come by another connection. */
  startDraining(): void
  /**
   * Cuts event streams, one after the other over the window, so that their clients come back; then takes no new
   * connections, and waits a little for what is being answered.
   */
  drain(windowMs: number): Promise<void>
}

export function createHttpServer(options: HttpServerOptions): HttpServer {
  let isDraining = false
  const routes = createRoutes({ ...options, isReady: async () => !isDraining && (await options.isReady()) })
  const { endpoint, maxBodyBytes, logger } = options
  const findRoute = (method: string | undefined, path: string): Route =>
    routes.get(`${method === 'HEAD' ? 'GET' : method} ${path}`) ?? nothingHere
  const answerGraphQL: Route = async (request, response) => {
    limitBody(request, response, maxBodyBytes)
    await endpoint(request, response)
  }
  const open = new Set<ServerResponse>()
  const server = createServer(
    { requestTimeout: REQUEST_TIMEOUT_MS, highWaterMark: HIGH_WATER_MARK_BYTES },
    (request, response) => {
      open.add(response)
      response.once('close', () => open.delete(response))
      if (isDraining) closeAfter(response)
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
    },
  )
  return {
    server,
    startDraining() {
      isDraining = true
      for (const response of open) closeAfter(response)
    },
    async drain(windowMs) {
      const streams = [...open].filter(isEventStream)
      await Promise.all([spreadOver(streams, windowMs, (stream) => void stream.destroy()), delay(windowMs)])
      await endServing(server, open, options.drainTimeoutMs)
    },
  }
}

async function endServing(server: Server, open: ReadonlySet<ServerResponse>, timeoutMs: number): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  // Those that came meanwhile.
  for (const response of open) if (isEventStream(response)) response.destroy()
  server.closeIdleConnections()
  const tooLate = setTimeout(() => server.closeAllConnections(), timeoutMs)
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

function createRoutes({ schemaText, isReady, description, hasGraphiQL, issueToken, corsOrigins }: HttpServerOptions) {
  const routes = new Map<string, Route>([
    ['GET /health', (_request, response) => sendJson(response, 200, { status: 'alive' })],
    [
      'GET /ready',
      async (_request, response) => {
        const ready = await isReady()
        sendJson(response, ready ? 200 : 503, { status: ready ? 'ready' : 'not ready' })
      },
    ],
    [
      'GET /schema.graphql',
      (request, response) => {
        allowOrigin(corsOrigins, request, response)
        send(response, 200, 'text/plain; charset=utf-8', schemaText)
      },
    ],
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
  if (issueToken)
    for (const [method, route] of signInRoutes(issueToken, corsOrigins)) routes.set(`${method} /sign-in`, route)
  return routes
}
