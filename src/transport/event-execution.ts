// Runs a subscription's operation on events: by a plan where that works, else by graphql-js. Invariant: what a client gets
// does not depend on which of the two ran. A plan that gives up has written nothing.

import { type DocumentNode, type ExecutionArgs, type ExecutionResult, execute, type GraphQLSchema } from 'graphql'
import { LRUCache } from 'lru-cache'
import { findInnerVariables, takeApart } from './collected-fields.ts'
import { GaveUp, planSubscription, type SelectionPlan } from './selection-plan.ts'

/** Plans of one document that are remembered: one, unless variables decide what is selected. */
const MAX_PLANS = 4

type Arguments = Pick<ExecutionArgs, 'document' | 'operationName' | 'variableValues' | 'contextValue'>

/**
 * Executes an operation on an event, as the root value of its one field. A text is the result's data as JSON, without
 * errors. Asynchronous only where a resolver is.
 */
export type ExecuteEvent = (event: unknown) => string | ExecutionResult | Promise<ExecutionResult>

/** What is remembered of a document lives as long as the document does: in the bounded cache of parsed documents. */
interface KnownDocument {
  readonly innerVariables: ReadonlySet<string>
  readonly plans: LRUCache<string, SelectionPlan>
}

export function createEventExecution(schema: GraphQLSchema): (args: Arguments) => ExecuteEvent {
  const known = new WeakMap<DocumentNode, KnownDocument>()

  function remember(document: DocumentNode): KnownDocument {
    const remembered = known.get(document) ?? {
      innerVariables: findInnerVariables(document),
      plans: new LRUCache<string, SelectionPlan>({ max: MAX_PLANS }),
    }
    known.set(document, remembered)
    return remembered
  }

  /** Shared by all who ask the same of different rooms: what many run stays fast. */
  function preparePlan(args: Arguments): ((event: unknown, context: unknown) => string) | null {
    const operation = takeApart(schema, args)
    if (!operation) return null
    const { innerVariables, plans } = remember(args.document)
    const inner = Object.entries(operation.variableValues).filter(([name]) => innerVariables.has(name))
    const key = JSON.stringify([args.operationName ?? null, inner])
    const plan = plans.get(key) ?? planSubscription(operation)
    plans.set(key, plan)
    const rootArguments = plan.rootArgumentsOf(operation)
    return (event, context) => plan.run(event, context, rootArguments)
  }

  return (args) => {
    const { contextValue } = args
    /** Undefined before the first event, null where it is of no use. */
    let run: ReturnType<typeof preparePlan> | undefined
    return (event) => {
      try {
        if (run === undefined) run = preparePlan(args)
        if (run) return run(event, contextValue)
      } catch (error) {
        // Errors are told by graphql-js, as it tells them.
        if (run === undefined || (error instanceof GaveUp && error.isForGood)) run = null
      }
      // Nothing is deferred or streamed: the result is one.
      return execute({ schema, ...args, rootValue: event }) as ExecutionResult | Promise<ExecutionResult>
    }
  }
}

export function isPromise<T>(value: T | Promise<T>): value is Promise<T> {
  return typeof value === 'object' && value !== null && 'then' in value
}
