// The GraphQL endpoint, whatever carries it: one Yoga for HTTP, server-sent events and (through getEnveloped) WebSocket.

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { ExecutionResult, GraphQLError, GraphQLSchema } from 'graphql'
import { createYoga, type Plugin, type YogaInitialContext } from 'graphql-yoga'
import type { Context } from '../graphql/context.ts'
import { presentError } from '../graphql/errors.ts'
import { GateError } from '../platform/errors.ts'
import { newId } from '../platform/ids.ts'
import type { Logger } from '../platform/logger.ts'
import type { Viewer } from '../platform/viewer.ts'
import { createGraphiQL, type GraphiQLSettings } from './graphiql.ts'
import { refuseCostly, useTokenLimit } from './operation-limits.ts'
import { createSharedExecution, type SubscriptionArgs } from './shared-execution.ts'

export const GRAPHQL_PATH = '/graphql'
const REQUEST_ID = /^[\w.:-]{1,100}$/

/** Origins whose pages may call this server: any, any on this very machine, or those listed. */
export type CorsOrigins = '*' | 'localhost' | readonly string[]

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
  socketContext?: { viewer: Viewer | null; connectionId: string }
}

/** What Node's server hands over with each request. */
export interface NodeContext {
  req?: IncomingMessage
  res?: ServerResponse
}

export type GraphQLEndpoint = ReturnType<typeof createGraphQLEndpoint>

export function createGraphQLEndpoint({ schema, services, authenticate, logger, ...options }: EndpointOptions) {
  const present = (error: unknown, requestId: string) => presentError(error, { requestId, logger })

  const makeContext = async (initial: YogaInitialContext & SocketContext): Promise<Context> => {
    const { request, socketContext } = initial
    const requestId = requestIdOf(request)
    if (socketContext) return { ...services, ...socketContext, requestId }
    const viewer = await authenticate(request?.headers.get('authorization'))
    return { ...services, requestId, viewer, connectionId: newId() }
  }

  return createYoga<NodeContext & SocketContext, Context>({
    schema,
    graphqlEndpoint: GRAPHQL_PATH,
    landingPage: false,
    multipart: false,
    logging: false,
    context: makeContext,
    cors: (request) => ({ origin: allowedOrigins(options.corsOrigins, request.headers.get('origin')), maxAge: 86_400 }),
    ...createGraphiQL(options.graphiql),
    // What the plugin below has not met: errors while a request is read or its viewer found. Yoga also passes what the
    // plugin has presented already; those are answers to an operation, with a status of their own.
    maskedErrors: {
      maskError: (error) =>
        error instanceof GateError ? withStatus(present(error, newId())) : present(error, newId()),
    },
    plugins: [
      useTokenLimit(),
      useCostLimit(schema, present),
      useSharedSubscriptions(schema),
      usePresentedErrors(present),
      useRequestId(),
    ],
  })
}

function useCostLimit(
  schema: GraphQLSchema,
  present: (error: unknown, requestId: string) => GraphQLError,
): Plugin<Context> {
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

function useSharedSubscriptions(schema: GraphQLSchema): Plugin {
  const subscribe = createSharedExecution(schema)
  return {
    onSubscribe({ setSubscribeFn }) {
      // Yoga's context is makeContext's.
      setSubscribeFn((args) => subscribe(args as SubscriptionArgs))
    },
  }
}

function usePresentedErrors(present: (error: unknown, requestId: string) => GraphQLError): Plugin<Context> {
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
          if (!(Symbol.asyncIterator in result)) {
            const presented = presentAll(result, args.contextValue)
            if (presented) setResult(presented)
            return
          }
          return {
            onNext(next) {
              const presented = Symbol.asyncIterator in next.result ? null : presentAll(next.result, args.contextValue)
              if (presented) next.setResult(presented)
            },
          }
        },
      }
    },
  }
}

/** Every answer names the request, so that a user's report leads to the log. */
function useRequestId(): Plugin {
  return {
    onResponse({ request, response }) {
      response.headers.set('x-request-id', requestIdOf(request))
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

function allowedOrigins(allowed: CorsOrigins, origin: string | null): string[] {
  if (allowed === '*') return ['*']
  if (allowed !== 'localhost') return [...allowed]
  const host = origin ? URL.parse(origin)?.hostname : undefined
  return origin && (host === 'localhost' || host === '127.0.0.1' || host === '[::1]') ? [origin] : []
}
