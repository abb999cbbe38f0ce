// What becomes of an operation, whatever carries it: its document is read and validated, what it costs is checked, it is
// run, and its errors are presented. Yoga's hooks come here for HTTP (graphql-endpoint.ts), the WebSocket server does so
// itself. Invariant: what a client sees of an operation does not depend on the transport.

import { type DocumentNode, type ExecutionResult, execute, GraphQLError, type GraphQLSchema, validate } from 'graphql'
import { createDocumentCaches } from './document-caches.ts'
import { isPromise } from './event-execution.ts'
import type { PresentError, SubscriptionArgs } from './operation-groups.ts'
import { createCostLimit, DOCUMENT_RULES, parseWithinLimits } from './operation-limits.ts'
import { createSharedExecution } from './shared-execution.ts'

export type OperationArgs = SubscriptionArgs

export interface Operations {
  /** Throws a GraphQLError where the text is no document, or a too long one. */
  parse(text: string): DocumentNode
  validate(document: DocumentNode): readonly GraphQLError[]
  /** A query or mutation. Its errors are presented. Without `data` it was refused, and nothing has run. */
  execute(args: OperationArgs): ExecutionResult | Promise<ExecutionResult>
  /** The stream, or the refusal of one. The errors of both are presented. */
  subscribe(args: OperationArgs): Promise<AsyncIterableIterator<ExecutionResult> | ExecutionResult>
}

export function createOperations(schema: GraphQLSchema, present: PresentError): Operations {
  const refuseCostly = createCostLimit(schema)
  const subscribeShared = createSharedExecution(schema, present)

  function refuse(args: OperationArgs): ExecutionResult | null {
    const refusal = refuseCostly(args)
    return refusal && { errors: [present(refusal, args.contextValue.requestId)] }
  }

  function presentAll(result: ExecutionResult, { contextValue }: OperationArgs): ExecutionResult {
    if (!result.errors) return result
    return { ...result, errors: result.errors.map((error) => present(error, contextValue.requestId)) }
  }

  return {
    ...createDocumentReader(schema),
    execute(args) {
      const refusal = refuse(args)
      if (refusal) return refusal
      // Only `@defer` and `@stream` have other results, and the schema has neither.
      const result = execute(args) as ExecutionResult | Promise<ExecutionResult>
      return isPromise(result) ? result.then((settled) => presentAll(settled, args)) : presentAll(result, args)
    },
    async subscribe(args) {
      const refusal = refuse(args)
      if (refusal) return refusal
      const stream = await subscribeShared(args)
      // A stream's results come presented from their group.
      return Symbol.asyncIterator in stream ? stream : presentAll(stream, args)
    },
  }
}

/** Reads and validates a text once, as long as it is remembered. */
function createDocumentReader(schema: GraphQLSchema): Pick<Operations, 'parse' | 'validate'> {
  const { documentCache, errorCache } = createDocumentCaches()
  const validated = new WeakMap<DocumentNode, readonly GraphQLError[]>()
  return {
    parse(text) {
      const known = documentCache.get(text)
      if (known) return known
      const knownError = errorCache.get(text)
      if (knownError) throw knownError
      try {
        const document = parseWithinLimits(text)
        documentCache.set(text, document)
        return document
      } catch (error) {
        if (error instanceof GraphQLError) errorCache.set(text, error)
        throw error
      }
    },
    validate(document) {
      const errors = validated.get(document) ?? validate(schema, document, DOCUMENT_RULES)
      validated.set(document, errors)
      return errors
    },
  }
}
