// Everything that this server answers over HTTP: GraphQL at its path, and the few routes around it.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from '../platform/logger.ts'
import { allowOrigin, type CorsOrigins } from './cors.ts'
import { spreadOver } from './draining.ts'
import { GRAPHQL_PATH, type GraphQLEndpoint } from './graphql-endpoint.ts'
import { homePage } from './home-page.ts'
import { isMultipart } from './multipart-request.ts'
import { limitBody } from './request-body.ts'
import { type MountedRoute, type Route, send, sendJson } from './routes.ts'
import { type IssueToken, signInRoutes } from './sign-in-route.ts'

export interface HttpServerOptions {
  endpoint: GraphQLEndpoint
  /** The published schema, as text. */
  schemaText: string
  isReady: () => Promise<boolean>
  description: { name: string; version: string }
  hasGraphiQL: boolean
  /** A token for a name, where signing in by name is possible; else null. */
  issueToken: IssueToken | null
  /** For the routes that pages read; the endpoint keeps its own. */
  corsOrigins: CorsOrigins
  maxBodyBytes: number
  /** What the files of a request to GraphQL may have beside. */
  maxUploadBytes: number
  /** What features answer, by prefix. */
  mounted: readonly MountedRoute[]
  /** How long requests that are being answered may take when the server stops, in milliseconds. */
  drainTimeoutMs: number
  /**
   * So long the slowest client gets to send a request; where bodies may be large, to send some of it. Milliseconds,
   * default 30,000.
   */
  requestTimeoutMs?: number
  logger: Logger
}

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
  const { endpoint, maxBodyBytes, maxUploadBytes, requestTimeoutMs = 30_000, logger } = options
  const formLimit = { maxBytes: maxBodyBytes + maxUploadBytes, maxFileBytes: maxUploadBytes }
  const findRoute = (method: string | undefined, path: string): Route =>
    routes.get(`${method === 'HEAD' ? 'GET' : method} ${path}`) ?? nothingHere
  const answerGraphQL: Route = async (request, response) => {
    const isForm = isMultipart(request.headers['content-type'])
    limitBody(request, response, isForm ? formLimit : { maxBytes: maxBodyBytes })
    await endpoint(request, response)
  }
  const open = new Set<ServerResponse>()
  const server = createServer(
    // Node's own limit holds for every body; ours only for those that are small.
    { headersTimeout: requestTimeoutMs, requestTimeout: 0, highWaterMark: HIGH_WATER_MARK_BYTES },
    (request, response) => {
      open.add(response)
      response.once('close', () => open.delete(response))
      if (isDraining) closeAfter(response)
      const path = URL.parse(request.url ?? '', 'http://host')?.pathname ?? ''
      const mounted = options.mounted.find(({ prefix }) => path === prefix || path.startsWith(`${prefix}/`))
      const isLarge = mounted !== undefined || isMultipart(request.headers['content-type'])
      limitBodyTime(request, { isLarge, timeoutMs: requestTimeoutMs })
      const answer = async () => {
        if (path === GRAPHQL_PATH) await answerGraphQL(request, response)
        else await (mounted?.route ?? findRoute(request.method, path))(request, response)
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

/** Cuts a client that takes too long over its body: over all of a small one, over nothing at all in a large one. */
function limitBodyTime(
  request: IncomingMessage,
  { isLarge, timeoutMs }: { isLarge: boolean; timeoutMs: number },
): void {
  if (request.complete) return
  const { socket } = request
  let bytesBefore = socket.bytesRead
  const timer = setInterval(() => {
    // With bytes waiting to be read, it is we who are slow.
    const isComing = socket.bytesRead > bytesBefore || request.readableLength > 0
    bytesBefore = socket.bytesRead
    if (request.complete) stop()
    else if (!isLarge || !isComing) socket.destroy()
  }, timeoutMs).unref()
  const stop = () => clearInterval(timer)
  request.once('end', stop)
  request.once('close', stop)
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
