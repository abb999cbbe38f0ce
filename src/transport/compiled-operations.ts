// Runs subscriptions' operations on events. The first few times graphql-js does it; an operation that goes on is compiled
// to a function (graphql-jit), which costs about a sixth. Invariant: what a client gets does not depend on which of the
// two ran; so a compiled result with errors, whose wording is graphql-js' own affair, is made again by graphql-js.

import { type DocumentNode, type ExecutionArgs, type ExecutionResult, execute, type GraphQLSchema } from 'graphql'
import { type CompiledQuery, compileQuery, isCompiledQuery } from 'graphql-jit'

/** Compiling costs as much as some hundred executions: an operation must show that it stays. */
const COMPILE_AFTER_EXECUTIONS = 16

type Arguments = Pick<ExecutionArgs, 'document' | 'operationName' | 'variableValues' | 'contextValue'>

/** Executes an operation on an event, as the root value of its one field. Asynchronous only where a resolver is. */
export type ExecuteEvent = (args: Arguments, event: unknown) => ExecutionResult | Promise<ExecutionResult>

interface Operation {
  executions: number
  /** Null as long as it is not compiled, and where it cannot be. */
  compiled: CompiledQuery | null
}

/** What it knows of a document lives as long as the document does: in the bounded cache of parsed documents. */
export function createEventExecution(schema: GraphQLSchema): ExecuteEvent {
  const known = new WeakMap<DocumentNode, Map<string, Operation>>()

  function operationOf({ document, operationName }: Arguments): Operation {
    const ofDocument = known.get(document) ?? new Map<string, Operation>()
    known.set(document, ofDocument)
    const name = operationName ?? ''
    const operation = ofDocument.get(name) ?? { executions: 0, compiled: null }
    ofDocument.set(name, operation)
    return operation
  }

  return (args, event) => {
    const operation = operationOf(args)
    if (!operation.compiled) {
      if (operation.executions++ === COMPILE_AFTER_EXECUTIONS) operation.compiled = compile(schema, args)
      return execute({ schema, ...args, rootValue: event }) as ExecutionResult | Promise<ExecutionResult>
    }
    const result = operation.compiled.query(event, args.contextValue, args.variableValues)
    if (isPromise(result)) return result.then((settled) => (settled.errors ? executeAgain(args, event) : settled))
    return result.errors ? executeAgain(args, event) : result
  }

  function executeAgain(args: Arguments, event: unknown): ExecutionResult | Promise<ExecutionResult> {
    return execute({ schema, ...args, rootValue: event }) as ExecutionResult | Promise<ExecutionResult>
  }
}

function compile(schema: GraphQLSchema, { document, operationName }: Arguments): CompiledQuery | null {
  const compiled = compileQuery(schema, document, operationName ?? undefined)
  return isCompiledQuery(compiled) ? compiled : null
}

export function isPromise<T>(value: T | Promise<T>): value is Promise<T> {
  return typeof value === 'object' && value !== null && 'then' in value
}
