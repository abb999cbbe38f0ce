// The GraphQL endpoint: one Yoga for HTTP and server-sent events, and what WebSocket needs of it. Operations are read and
// run by operations.ts for both.

import type { ExecutionResult, GraphQLError, GraphQLSchema } from 'graphql'
import { type CORSOptions, createYoga, type Plugin, type YogaInitialContext } from 'graphql-yoga'
import type { Context } from '../graphql/context.ts'
import { presentError } from '../graphql/errors.ts'
import { GateError } from '../platform/errors.ts'
import { newId } from '../platform/ids.ts'
import type { Logger } from '../platform/logger.ts'
import type { Session } from '../platform/session.ts'
import type { Viewer } from '../platform/viewer.ts'
import { type CorsOrigins, isAllowedOrigin } from './cors.ts'
import type { FrameSink } from './direct-delivery.ts'
import { createGraphiQL, type GraphiQLSettings } from './graphiql.ts'
import { useMultipartRequests } from './multipart-request.ts'
import type { NodeContext } from './node-context.ts'
import type { PresentError } from './operation-groups.ts'
import { createOperations, type OperationArgs, type Operations } from './operations.ts'
import type { WithSink } from './shared-execution.ts'

export const GRAPHQL_PATH = '/graphql'
const REQUEST_ID = /^[\w.:-]{1,100}$/

export interface EndpointOptions {
  schema: GraphQLSchema
  /** What every operation's context has beside the request's own. */
  services: Omit<Context, 'requestId' | 'viewer' | 'session' | 'connectionId'>
  authenticate: (authorization: string | null | undefined) => Promise<Viewer | null>
  corsOrigins: CorsOrigins
  /** Of a request but for its files. */
  maxBodyBytes: number
  /** Null: no GraphiQL. */
  graphiql: GraphiQLSettings | null
  logger: Logger
}

/** What the WebSocket server hands over with each operation. */
export interface SocketContext {
  viewer: Viewer | null
  session: Session | null
  connectionId: string
  sink: FrameSink
}

export type GraphQLEndpoint = ReturnType<typeof createGraphQLEndpoint>

export function createGraphQLEndpoint({ schema, services, authenticate, logger, ...options }: EndpointOptions) {
  const present: PresentError = (error, requestId) => presentError(error, { requestId, logger })

  const operations = createOperations(schema, present)

  const makeContext = async ({ request }: YogaInitialContext): Promise<Context> => {
    const requestId = requestIdOf(request)
    try {
      const viewer = await authenticate(request.headers.get('authorization'))
      return { ...services, requestId, viewer, session: null, connectionId: newId() }
    } catch (error) {
      // Here, where the request is known, so that the answer names it.
      throw withStatus(present(error, requestId))
    }
  }

  const yoga = createYoga<NodeContext, Context>({
    schema,
    graphqlEndpoint: GRAPHQL_PATH,
    landingPage: false,
    // Yoga's own reads whatever comes, from whomever: see useMultipartRequests.
    multipart: false,
    logging: false,
    parserAndValidationCache: false,
    context: makeContext,
    cors: (request) => corsFor(options.corsOrigins, request.headers.get('origin')),
    ...createGraphiQL(options.graphiql),
    // What the plugin below has not met: errors while a request is read or its viewer found. Yoga also passes what the
    // plugin has presented already; those are answers to an operation, with a status of their own.
    maskedErrors: {
      maskError: (error) =>
        error instanceof GateError ? withStatus(present(error, newId())) : present(error, newId()),
    },
    plugins: [
      useMultipartRequests({
        authenticate,
        maxFieldBytes: options.maxBodyBytes,
        present: (error, request) => withStatus(present(error, requestIdOf(request))),
      }),
      useOperations(operations),
      useStreamNegotiation(present),
      useAbandonedStreams(),
      useResponseHeaders(),
    ],
  })
  return Object.assign(yoga, {
    schema,
    operations,
    makeSocketContext: (parts: SocketContext): WithSink => ({ ...services, ...parts, requestId: newId() }),
  })
}

/** Yoga reads requests and writes answers; what lies between is not its own. */
function useOperations(operations: Operations): Plugin<Context> {
  return {
    onParse({ setParseFn }) {
      setParseFn((source) => operations.parse(typeof source === 'string' ? source : source.body))
    },
    onValidate({ setValidationFn }) {
      setValidationFn((_schema, document) => operations.validate(document))
    },
    onExecute({ setExecuteFn }) {
      // Yoga's context is makeContext's.
      setExecuteFn(async (args) => withRequestStatus(await operations.execute(args as OperationArgs)))
    },
    onSubscribe({ setSubscribeFn }) {
      setSubscribeFn((args) => operations.subscribe(args as OperationArgs))
    },
  }
}

/** Variables that do not fit are a mistake of the request. */
function withRequestStatus(result: ExecutionResult): ExecutionResult {
  if ('data' in result) return result
  for (const { extensions } of result.errors ?? []) {
    if (extensions.code === 'BAD_USER_INPUT') extensions.http ??= { status: 400 }
  }
  return result
}

/** A stream for a client that takes none would run for ever: refused before it opens. */
function useStreamNegotiation(present: PresentError): Plugin<Context & Partial<YogaInitialContext>> {
  return {
    onSubscribe({ args, setResultAndStopExecution }) {
      const accept = args.contextValue.request?.headers.get('accept')
      if (accept == null || /text\/event-stream|multipart\/mixed|\*\/\*|text\/\*/.test(accept)) return
      const refusal = new GateError('BAD_REQUEST', 'Over HTTP a subscription needs `accept: text/event-stream`.')
      const error = present(refusal, args.contextValue.requestId)
      error.extensions.http = { status: 406 }
      setResultAndStopExecution({ errors: [error] })
    },
  }
}

/** A client that leaves while its stream is being opened: nobody else would end that stream. */
function useAbandonedStreams(): Plugin<Context & Partial<YogaInitialContext>> {
  return {
    onSubscribe({ args }) {
      return {
        onSubscribeResult({ result }) {
          // Only over HTTP is there a request.
          const signal = args.contextValue.request?.signal
          if (!signal || !(Symbol.asyncIterator in result)) return
          const end = () => void result[Symbol.asyncIterator]().return?.()
          if (signal.aborted) end()
          else signal.addEventListener('abort', end, { once: true })
        },
      }
    },
  }
}

/** Every answer names the request, so that a user's report leads to the log, and caches keep origins apart. */
function useResponseHeaders(): Plugin {
  return {
    onResponse({ request, response }) {
      response.headers.set('x-request-id', requestIdOf(request))
      response.headers.append('vary', 'Origin')
    },
  }
}

/** HTTP's own word for who must sign in (anew). Yoga reads it and leaves it out of the answer. */
function withStatus(error: GraphQLError): GraphQLError {
  const { code } = error.extensions
  if (code === 'UNAUTHENTICATED' || code === 'TOKEN_EXPIRED') error.extensions.http ??= { status: 401 }
  return error
}

const requestIds = new WeakMap<Request, string>()

/** The caller's x-request-id where it is harmless, else a new one; the same for the whole request. */
function requestIdOf(request: Request): string {
  const given = request.headers.get('x-request-id')
  const id = requestIds.get(request) ?? (given && REQUEST_ID.test(given) ? given : newId())
  requestIds.set(request, id)
  return id
}

/** Without headers a browser keeps the answer from the page. Tokens travel in a header of their own: no credentials. */
function corsFor(allowed: CorsOrigins, origin: string | null): CORSOptions {
  if (origin === null || !isAllowedOrigin(allowed, origin)) return false
  return { origin: [origin], credentials: false, exposedHeaders: ['x-request-id'], maxAge: 86_400 }
}
