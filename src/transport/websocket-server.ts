// GraphQL over WebSocket: graphql-ws keeps the protocol (graphql-transport-ws), the endpoint runs the operations.

import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { type DocumentNode, type ExecutionArgs, GraphQLError } from 'graphql'
import { handleProtocols, makeServer, type SubscribePayload } from 'graphql-ws'
import { WebSocketServer } from 'ws'
import { presentError } from '../graphql/errors.ts'
import { GateError } from '../platform/errors.ts'
import { newId } from '../platform/ids.ts'
import type { Logger } from '../platform/logger.ts'
import type { OpenSession, Session } from '../platform/session.ts'
import type { Viewer } from '../platform/viewer.ts'
import { CLOSE_CODES } from './close-codes.ts'
import { GRAPHQL_PATH, type GraphQLEndpoint, type SocketContext } from './graphql-endpoint.ts'
import type { OperationArgs } from './operations.ts'
import type { OutboundLimits, OutboundQueue } from './outbound-queue.ts'
import type { WithSink } from './shared-execution.ts'
import { type Drain, type SocketExtra, serveSockets } from './websocket-adapter.ts'

export interface WebSocketServerOptions {
  server: Server
  endpoint: GraphQLEndpoint
  authenticate: (authorization: string | null | undefined) => Promise<Viewer | null>
  /** The user is connected from now on, until the returned function is called. */
  connect: (viewer: Viewer, connectionId: string) => () => void
  openSession: OpenSession
  /** What the connection acknowledgement says of the server, beside the time and the viewer. */
  description: { name: string; version: string }
  describeViewer: (viewer: Viewer) => Promise<object | null>
  maxPayloadBytes: number
  maxSubscriptionsPerConnection: number
  keepAliveMs: number
  /** Whether clients that offer permessage-deflate get it. */
  compression: boolean
  outboundLimits: OutboundLimits
  logger: Logger
}

/** What a socket carries beside what graphql-ws keeps. */
type SocketState = {
  connectionId: string
  /** Null without a token. */
  session: Session | null
  leave: () => void
}

type Parameters = Record<string, unknown> | undefined

/** How long a fresh socket may take to introduce itself. */
export const CONNECTION_INIT_TIMEOUT_MS = 10_000
/** Small messages are not worth it, and without a window between messages a socket needs no memory for one. */
const COMPRESSION = { threshold: 512, serverNoContextTakeover: true, clientNoContextTakeover: true }
/** How long a client may take to answer the server's close. */
const CLOSE_TIMEOUT_MS = 2_000

export interface GraphQLWebSocketServer {
  /**
   * Takes no new sockets, and tells every client to come back, one after the other over the window. Whoever waits for an
   * answer gets it before, if it does not take too long; what they ask meanwhile, they ask again elsewhere.
   */
  close(times: Pick<Drain, 'windowMs' | 'answersTimeoutMs'>): Promise<void>
}

export function createWebSocketServer(options: WebSocketServerOptions): GraphQLWebSocketServer {
  const { server, endpoint, authenticate, description, describeViewer, logger } = options
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: options.maxPayloadBytes,
    perMessageDeflate: options.compression ? COMPRESSION : false,
    handleProtocols,
  })
  const upgrades = acceptUpgrades(server, sockets)

  const protocol = makeServer<Parameters, SocketExtra & Partial<SocketState>>({
    connectionInitWaitTimeout: CONNECTION_INIT_TIMEOUT_MS,
    // The args are prepare's.
    execute(args) {
      const answer = endpoint.operations.execute(args as OperationArgs)
      const { sink }: WithSink = (args as OperationArgs).contextValue
      sink?.answers.add(answer)
      return answer
    },
    subscribe: (args) => endpoint.operations.subscribe(takeOver(args as OperationArgs)),

    async onConnect(connection) {
      const { extra, connectionParams } = connection
      extra.connectionId = newId()
      forget(connection, 'connectionParams')
      let viewer: Viewer | null
      try {
        viewer = await authenticate(authorizationOf(connectionParams))
      } catch (error) {
        refuse(extra.queue, error, logger)
        return false
      }
      const { connectionId } = extra
      // The client may have gone while its token was checked.
      if (viewer && extra.socket.readyState === extra.socket.OPEN) signIn(extra, viewer, options)
      return {
        server: description,
        time: new Date().toISOString(),
        connectionId,
        viewer: viewer ? await describeViewer(viewer) : null,
      }
    },
    onClose({ extra }) {
      extra.session?.close()
      extra.leave?.()
    },
    async onSubscribe({ subscriptions, extra }, operationId, payload) {
      const limit = options.maxSubscriptionsPerConnection
      if (Math.max(Object.keys(subscriptions).length, extra.queue.streams + 1) > limit) {
        const extensions = { code: 'TOO_MANY_SUBSCRIPTIONS', retryable: false, limit }
        return [new GraphQLError(`A connection holds at most ${limit} subscriptions.`, { extensions })]
      }
      try {
        const session = extra.session ?? null
        // GraphiQL signs in with each operation (its Headers tab), not with the connection.
        const viewer = session?.viewer ?? (await authenticate(authorizationOf(payload.extensions?.headers)))
        const { queue, answers, rounds, texts } = extra
        const sink = { operationId, queue, answers, rounds, texts }
        return prepare(endpoint, payload, { viewer, session, connectionId: extra.connectionId ?? '', sink })
      } catch (error) {
        return [presentError(error, { requestId: newId(), logger })]
      }
    },
  })
  const { stopKeepAlive, drain } = serveSockets(sockets, protocol, {
    keepAliveMs: options.keepAliveMs,
    limits: options.outboundLimits,
    logger,
  })

  return {
    async close(times) {
      upgrades.refuse()
      await drain({ ...times, code: CLOSE_CODES.GOING_AWAY, reason: 'The server is shutting down' })
      stopKeepAlive()
      await endAll(sockets)
    },
  }
}

/** Its streams end with the socket; whoever comes back with a fresh token goes on where they were. */
function signIn(
  extra: SocketExtra & Partial<SocketState>,
  viewer: Viewer,
  { connect, openSession }: Pick<WebSocketServerOptions, 'connect' | 'openSession'>,
): void {
  const leave = connect(viewer, extra.connectionId ?? '')
  extra.leave = leave
  extra.session = openSession(viewer, (why) => {
    extra.queue.close(CLOSE_CODES.FORBIDDEN, why)
    leave()
  })
}

/** A client that does not answer the close must not hold up the others' node. */
async function endAll(sockets: WebSocketServer): Promise<void> {
  const tooLate = setTimeout(() => {
    for (const socket of sockets.clients) socket.terminate()
  }, CLOSE_TIMEOUT_MS)
  await new Promise<void>((resolve) => sockets.close(() => resolve()))
  clearTimeout(tooLate)
}

/** Every request to become a WebSocket, on the one path for it, until they are refused. */
function acceptUpgrades(server: Server, sockets: WebSocketServer): { refuse: () => void } {
  let isRefusing = false
  server.on('upgrade', (request: IncomingMessage, socket, head) => {
    // Node takes its own listener away with the upgrade: without one, a client's reset would end the process.
    socket.on('error', destroyThis)
    if (isRefusing) refuseUpgrade(socket, '503 Service Unavailable\r\nretry-after: 1')
    else if (URL.parse(request.url ?? '', 'http://host')?.pathname !== GRAPHQL_PATH)
      refuseUpgrade(socket, '404 Not Found')
    else sockets.handleUpgrade(request, socket, head, (webSocket) => sockets.emit('connection', webSocket, request))
  })
  return {
    refuse() {
      isRefusing = true
    },
  }
}

function refuseUpgrade(socket: Duplex, status: string): void {
  // A peer that never closes its side must not keep the socket.
  socket.once('finish', () => socket.destroy())
  socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`)
}

/** Out here, where it does not keep the request alive as long as the socket. */
function destroyThis(this: Duplex): void {
  this.destroy()
}

/** What graphql-ws is to run, or the errors that the client gets instead. */
function prepare(
  { operations, schema, makeSocketContext }: GraphQLEndpoint,
  payload: SubscribePayload,
  socketContext: SocketContext,
): ExecutionArgs | readonly GraphQLError[] {
  const document = readDocument(payload, operations.parse)
  if (document instanceof GraphQLError) return [document]
  const errors = operations.validate(document)
  if (errors.length > 0) return errors.map((error) => withCode(error, 'GRAPHQL_VALIDATION_FAILED'))
  const { operationName, variables: variableValues } = payload
  forget(payload, 'query', 'variables', 'extensions')
  return { schema, document, operationName, variableValues, contextValue: makeSocketContext(socketContext) }
}

function takeOver(args: OperationArgs): OperationArgs {
  const own = { ...args }
  forget(args, 'contextValue', 'variableValues')
  return own
}

/** graphql-ws holds its objects as long as the connection or the stream lives: lets go what it will not read again. */
function forget<T extends object>(held: T, ...parts: (keyof T)[]): void {
  // Not deleted: an object that has lost a property takes more memory.
  for (const part of parts) if (part in held) Reflect.set(held, part, undefined)
}

/** A syntax error is an answer to the operation; thrown, it would end the socket with all its streams. */
function readDocument(
  { query }: SubscribePayload,
  parse: (source: string) => DocumentNode,
): DocumentNode | GraphQLError {
  try {
    return parse(query)
  } catch (error) {
    if (error instanceof GraphQLError) return withCode(error, 'GRAPHQL_PARSE_FAILED')
    throw error
  }
}

function withCode(error: GraphQLError, code: string): GraphQLError {
  const { message, nodes, positions, source } = error
  // `http` is Yoga's word to itself.
  const { http: _http, ...extensions } = error.extensions
  return new GraphQLError(message, { nodes, positions, source, extensions: { code, retryable: false, ...extensions } })
}

function authorizationOf(parameters: unknown): string | null {
  if (typeof parameters !== 'object' || parameters === null) return null
  for (const [name, value] of Object.entries(parameters)) {
    if (name.toLowerCase() === 'authorization' && typeof value === 'string') return value
  }
  return 'headers' in parameters ? authorizationOf(parameters.headers) : null
}

/** Closes with the reason by name, and a code that tells clients whether to come back. */
function refuse(socket: OutboundQueue, error: unknown, logger: Logger): void {
  if (error instanceof GateError && error.code !== 'UNAVAILABLE') {
    socket.close(error.retryable ? CLOSE_CODES.FORBIDDEN : CLOSE_CODES.UNAUTHORIZED, error.code)
    return
  }
  logger.warn({ err: error }, 'a connection could not be signed in')
  socket.close(CLOSE_CODES.TRY_AGAIN_LATER, 'UNAVAILABLE')
}
