// GraphQL over WebSocket: graphql-ws keeps the protocol (graphql-transport-ws), the endpoint runs the operations.

import type { IncomingMessage, Server } from 'node:http'
import { type ExecutionArgs, type ExecutionResult, GraphQLError } from 'graphql'
import { handleProtocols, type SubscribePayload } from 'graphql-ws'
import { type Extra, useServer } from 'graphql-ws/use/ws'
import { type WebSocket, WebSocketServer } from 'ws'
import { GateError } from '../platform/errors.ts'
import { newId } from '../platform/ids.ts'
import type { Logger } from '../platform/logger.ts'
import type { Viewer } from '../platform/viewer.ts'
import { CLOSE_CODES } from './close-codes.ts'
import { GRAPHQL_PATH, type GraphQLEndpoint } from './graphql-endpoint.ts'

export interface WebSocketServerOptions {
  server: Server
  endpoint: GraphQLEndpoint
  authenticate: (authorization: string | null | undefined) => Promise<Viewer | null>
  /** The user is connected from now on, until the returned function is called. */
  connect: (viewer: Viewer, connectionId: string) => () => void
  /** What the connection acknowledgement says of the server, beside the time and the viewer. */
  description: { name: string; version: string }
  describeViewer: (viewer: Viewer) => Promise<object | null>
  maxPayloadBytes: number
  maxSubscriptionsPerConnection: number
  keepAliveMs: number
  logger: Logger
}

/** What a socket carries beside what graphql-ws keeps. */
type SocketState = {
  connectionId: string
  viewer: Viewer | null
  leave: () => void
}
type SocketExtra = Extra & Partial<SocketState>

type Parameters = Record<string, unknown> | undefined
type EnvelopedArgs = ExecutionArgs & {
  rootValue: {
    execute: (args: ExecutionArgs) => ExecutionResult
    subscribe: (args: ExecutionArgs) => AsyncIterableIterator<ExecutionResult>
  }
}

/** How long a fresh socket may take to introduce itself. */
const CONNECTION_INIT_TIMEOUT_MS = 10_000

export interface GraphQLWebSocketServer {
  /** Tells every client to come back, and ends the sockets. */
  close(): Promise<void>
}

export function createWebSocketServer(options: WebSocketServerOptions): GraphQLWebSocketServer {
  const { server, endpoint, authenticate, connect, description, describeViewer, logger } = options
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: options.maxPayloadBytes,
    // Compression costs memory and time per socket, and chat messages are small.
    perMessageDeflate: false,
    handleProtocols,
  })
  server.on('upgrade', (request: IncomingMessage, socket, head) => {
    if (URL.parse(request.url ?? '', 'http://host')?.pathname !== GRAPHQL_PATH) {
      socket.end('HTTP/1.1 404 Not Found\r\nconnection: close\r\n\r\n')
      return
    }
    sockets.handleUpgrade(request, socket, head, (webSocket) => sockets.emit('connection', webSocket, request))
  })
  sockets.on('wsClientError', (error) => logger.debug({ err: error }, 'a socket was refused'))

  const disposable = useServer<Parameters, SocketState>(
    {
      connectionInitWaitTimeout: CONNECTION_INIT_TIMEOUT_MS,
      // The args are onSubscribe's: rootValue holds the endpoint's own functions for this operation.
      execute: (args) => (args as EnvelopedArgs).rootValue.execute(args),
      subscribe: (args) => (args as EnvelopedArgs).rootValue.subscribe(args),

      async onConnect({ connectionParams, extra }) {
        extra.connectionId = newId()
        try {
          extra.viewer = await authenticate(authorizationOf(connectionParams))
        } catch (error) {
          refuse(extra.socket, error, logger)
          return false
        }
        const { viewer, connectionId } = extra
        // The client may have gone while its token was checked.
        if (viewer && extra.socket.readyState === extra.socket.OPEN) extra.leave = connect(viewer, connectionId)
        return {
          server: description,
          time: new Date().toISOString(),
          connectionId,
          viewer: viewer ? await describeViewer(viewer) : null,
        }
      },
      onClose({ extra }) {
        extra.leave?.()
      },
      async onSubscribe({ subscriptions, extra, connectionParams }, _id, payload) {
        const limit = options.maxSubscriptionsPerConnection
        if (Object.keys(subscriptions).length > limit) {
          const extensions = { code: 'TOO_MANY_SUBSCRIPTIONS', retryable: false, limit }
          return [new GraphQLError(`A connection holds at most ${limit} subscriptions.`, { extensions })]
        }
        return prepare(endpoint, await viewerOf(extra, payload, authenticate), { extra, connectionParams, payload })
      },
    },
    sockets,
    options.keepAliveMs,
  )

  return {
    async close() {
      for (const socket of sockets.clients) socket.close(CLOSE_CODES.GOING_AWAY, 'The server is shutting down')
      await disposable.dispose()
      await new Promise<void>((resolve) => sockets.close(() => resolve()))
    },
  }
}

/** What graphql-ws is to run, or the errors that the client gets instead. Never throws: that would end the socket. */
async function prepare(
  endpoint: GraphQLEndpoint,
  viewer: Viewer | null | GraphQLError,
  {
    extra,
    connectionParams,
    payload,
  }: { extra: SocketExtra; connectionParams?: Parameters; payload: SubscribePayload },
): Promise<ExecutionArgs | readonly GraphQLError[]> {
  if (viewer instanceof GraphQLError) return [viewer]
  const { schema, execute, subscribe, contextFactory, parse, validate } = endpoint.getEnveloped({
    connectionParams,
    params: payload,
    socketContext: { viewer, connectionId: extra.connectionId ?? '' },
  })
  try {
    const document = parse(payload.query)
    const errors: readonly GraphQLError[] = validate(schema, document)
    if (errors.length > 0) return errors.map(asClientError)
    return {
      schema,
      document,
      operationName: payload.operationName,
      variableValues: payload.variables,
      contextValue: await contextFactory(),
      rootValue: { execute, subscribe },
    }
  } catch (error) {
    return [asClientError(error)]
  }
}

/** GraphiQL signs in with each operation (its Headers tab), not with the connection. */
async function viewerOf(
  { viewer }: SocketExtra,
  { extensions }: SubscribePayload,
  authenticate: WebSocketServerOptions['authenticate'],
): Promise<Viewer | null | GraphQLError> {
  if (viewer) return viewer
  try {
    return await authenticate(authorizationOf(extensions?.headers))
  } catch (error) {
    return asClientError(error)
  }
}

function authorizationOf(parameters: unknown): string | null {
  if (typeof parameters !== 'object' || parameters === null) return null
  for (const [name, value] of Object.entries(parameters)) {
    if (name.toLowerCase() === 'authorization' && typeof value === 'string') return value
  }
  return 'headers' in parameters ? authorizationOf(parameters.headers) : null
}

function asClientError(error: unknown): GraphQLError {
  if (error instanceof GateError) {
    const { code, retryable, details, message } = error
    return new GraphQLError(message, { extensions: { code, retryable, ...details } })
  }
  if (!(error instanceof GraphQLError)) return new GraphQLError('The operation could not be read.')
  const extensions = { code: 'GRAPHQL_VALIDATION_FAILED', ...error.extensions }
  return new GraphQLError(error.message, {
    nodes: error.nodes,
    positions: error.positions,
    source: error.source,
    extensions,
  })
}

/** Closes with a code that makes clients come back, and the reason by name. */
function refuse(socket: WebSocket, error: unknown, logger: Logger): void {
  if (error instanceof GateError && error.code !== 'UNAVAILABLE') {
    socket.close(CLOSE_CODES.FORBIDDEN, error.code)
    return
  }
  logger.warn({ err: error }, 'a connection could not be signed in')
  socket.close(CLOSE_CODES.TRY_AGAIN_LATER, 'UNAVAILABLE')
}
