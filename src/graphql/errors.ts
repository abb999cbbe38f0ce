// What clients see of errors: refusals as they are, with their code; defects masked, logged once, with the request's id.

import { GraphQLError } from 'graphql'
import { isUnavailable } from '../platform/db.ts'
import { GateError, RefusedError, ValidationError } from '../platform/errors.ts'
import type { Logger } from '../platform/logger.ts'

const RETRY_AFTER_MS = 1_000

/** The error as a client may see it. Never throws. */
export function presentError(
  error: unknown,
  { requestId, logger }: { requestId: string; logger: Logger },
): GraphQLError {
  const graphqlError = error instanceof GraphQLError ? error : null
  const cause = graphqlError ? innermostCause(graphqlError) : error
  const present = (message: string, extensions: Record<string, unknown>) =>
    new GraphQLError(message, {
      ...(graphqlError?.nodes ? { nodes: graphqlError.nodes } : {}),
      ...(graphqlError?.path ? { path: graphqlError.path } : {}),
      extensions,
    })
  if (cause instanceof GateError) {
    const { code, retryable, details } = cause
    return present(cause.message, { code, retryable, ...details })
  }
  if (cause instanceof ValidationError) return present(cause.message, { code: cause.code, issues: cause.issues })
  if (cause instanceof RefusedError) return present(cause.message, { code: cause.code, retryable: false })
  if (cause instanceof GraphQLError) return withCode(graphqlError ?? cause)
  if (isUnavailable(cause)) {
    logger.warn({ err: cause, requestId }, 'the database is unavailable')
    const extensions = { code: 'UNAVAILABLE', retryable: true, retryAfterMs: RETRY_AFTER_MS, requestId }
    return present('The service is not available for the moment.', extensions)
  }
  logger.error({ err: cause, requestId, path: graphqlError?.path }, 'an operation failed')
  return present('An unexpected error; quote the request id to whoever runs this server.', {
    code: 'INTERNAL_SERVER_ERROR',
    retryable: false,
    requestId,
  })
}

/** Errors of the request itself (syntax, validation, variables) come from GraphQL without our codes. */
function withCode(error: GraphQLError): GraphQLError {
  const { nodes, source, positions, path, message } = error
  const extensions = { code: 'BAD_USER_INPUT', retryable: false, ...error.extensions }
  return new GraphQLError(message, { nodes, source, positions, path, extensions })
}

function innermostCause(error: GraphQLError): unknown {
  let cause: unknown = error
  while (cause instanceof GraphQLError && cause.originalError) cause = cause.originalError
  return cause
}
