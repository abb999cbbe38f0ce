// Runs a subscription's operation on events: by its plan where that works, else by graphql-js. Invariant: what a client gets
// does not depend on which of the two ran. A plan that gives up has written nothing.

import { type ExecutionArgs, type ExecutionResult, execute, type GraphQLSchema } from 'graphql'
import { takeApart } from './collected-fields.ts'
import { GaveUp, planSelection, type SelectionPlan } from './selection-plan.ts'

type Arguments = Pick<ExecutionArgs, 'document' | 'operationName' | 'variableValues' | 'contextValue'>

/**
 * Executes an operation on an event, as the root value of its one field. A text is the result's data as JSON, without
 * errors. Asynchronous only where a resolver is.
 */
export type ExecuteEvent = (event: unknown) => string | ExecutionResult | Promise<ExecutionResult>

export function createEventExecution(schema: GraphQLSchema): (args: Arguments) => ExecuteEvent {
  return (args) => {
    const { contextValue } = args
    /** Undefined before the first event, null where it is of no use. */
    let plan: SelectionPlan | null | undefined
    return (event) => {
      try {
        plan ??= plan === undefined ? planOf(schema, args) : null
        if (plan) return plan(event, contextValue)
      } catch (error) {
        // Errors are told by graphql-js, as it tells them.
        if (error instanceof GaveUp && error.isForGood) plan = null
      }
      // Nothing is deferred or streamed: the result is one.
      return execute({ schema, ...args, rootValue: event }) as ExecutionResult | Promise<ExecutionResult>
    }
  }
}

function planOf(schema: GraphQLSchema, args: Arguments): SelectionPlan | null {
  const operation = takeApart(schema, args)
  return operation && planSelection(operation)
}

export function isPromise<T>(value: T | Promise<T>): value is Promise<T> {
  return typeof value === 'object' && value !== null && 'then' in value
}
