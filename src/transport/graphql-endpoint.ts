// The GraphQL endpoint, whatever carries it: one Yoga for HTTP, server-sent events and (through getEnveloped) WebSocket.

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { ExecutionResult, GraphQLError, GraphQLSchema } from 'graphql'
import { type CORSOptions, createYoga, type Plugin, type YogaInitialContext } from 'graphql-yoga'
import type { Context } from '../graphql/context.ts'
import { presentError } from '../graphql/errors.ts'
import { GateError } from '../platform/errors.ts'
import { newId } from '../platform/ids.ts'
import type { Logger } from '../platform/logger.ts'
import type { Viewer } from '../platform/viewer.ts'
import { type CorsOrigins, isAllowedOrigin } from './cors.ts'
import type { FrameSink } from './direct-delivery.ts'
import { createDocumentCaches } from './document-caches.ts'
import { createGraphiQL, type GraphiQLSettings } from './graphiql.ts'
import type { PresentError, SubscriptionArgs } from './operation-groups.ts'
import { refuseCostly, useDocumentLimits } from './operation-limits.ts'
import { createSharedExecution } from './shared-execution.ts'

export const GRAPHQL_PATH = '/graphql'
const REQUEST_ID = /^[\w.:-]{1,100}$/

export interface EndpointOptions {
  schema: GraphQLSchema
  /** What every operation's context has beside the request's own. */
  services: Omit<Context, 'requestId' | 'viewer' | 'connectionId'>
  authenticate: (authorization: string | null | undefined) => Promise<Viewer | null>
  corsOrigins: CorsOrigins
  /** Null: no GraphiQL. */
  graphiql: GraphiQLSettings | null
  logger: Logger
}

/** What the WebSocket server hands over with each operation. */
export interface SocketContext {
  socketContext?: { viewer: Viewer | null; connectionId: string; sink: FrameSink }
}

/** What Node's server hands over with each request. */
export interface NodeContext {
  req?: IncomingMessage
  res?: ServerResponse
}

export type GraphQLEndpoint = ReturnType<typeof createGraphQLEndpoint>

export function createGraphQLEndpoint({ schema, services, authenticate, logger, ...options }: EndpointOptions) {
  const present: PresentError = (error, requestId) => presentError(error, { requestId, logger })

  const makeContext = async (initial: YogaInitialContext & SocketContext): Promise<Context> => {
    const { request, socketContext } = initial
    const requestId = requestIdOf(request)
    if (socketContext) return { ...services, ...socketContext, requestId }
    try {
      const viewer = await authenticate(request?.headers.get('authorization'))
      return { ...services, requestId, viewer, connectionId: newId() }
    } catch (error) {
      // Here, where the request is known, so that the answer names it.
      throw withStatus(present(error, requestId))
    }
  }

  return createYoga<NodeContext & SocketContext, Context>({
    schema,
    graphqlEndpoint: GRAPHQL_PATH,
    landingPage: false,
    multipart: false,
    logging: false,
    parserAndValidationCache: createDocumentCaches(),
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
      useDocumentLimits(),
      useCostLimit(schema, present),
      useSharedSubscriptions(schema, present),
      usePresentedErrors(present),
      useStreamNegotiation(present),
      useAbandonedStreams(),
      useResponseHeaders(),
    ],
  })
}

function useCostLimit(schema: GraphQLSchema, present: PresentError): Plugin<Context> {
  return {
    onExecute({ args, setResultAndStopExecution }) {
      const refusal = refuseCostly(schema, args)
      if (refusal) setResultAndStopExecution({ errors: [present(refusal, args.contextValue.requestId)] })
    },
    onSubscribe({ args, setResultAndStopExecution }) {
      const refusal = refuseCostly(schema, args)
      if (refusal) setResultAndStopExecution({ errors: [present(refusal, args.contextValue.requestId)] })
    },
  }
}

function useSharedSubscriptions(schema: GraphQLSchema, present: PresentError): Plugin {
  const subscribe = createSharedExecution(schema, present)
  return {
    onSubscribe({ setSubscribeFn }) {
      // Yoga's context is makeContext's.
      setSubscribeFn((args) => subscribe(args as SubscriptionArgs))
    },
  }
}

function usePresentedErrors(present: PresentError): Plugin<Context> {
  const presentAll = (result: ExecutionResult, { requestId }: Context): ExecutionResult | null =>
    result.errors ? { ...result, errors: result.errors.map((error) => present(error, requestId)) } : null
  return {
    onExecute({ args }) {
      return {
        onExecuteDone({ result, setResult }) {
          const presented = Symbol.asyncIterator in result ? null : presentAll(result, args.contextValue)
          if (presented) setResult(presented)
        },
      }
    },
    onSubscribe({ args }) {
      return {
        onSubscribeResult({ result, setResult }) {
          // A stream's results come presented from their group.
          const presented = Symbol.asyncIterator in result ? null : presentAll(result, args.contextValue)
          if (presented) setResult(presented)
        },
      }
    },
  }
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
function requestIdOf(request: Request | undefined): string {
  if (!request) return newId()
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
