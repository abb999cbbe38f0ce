// Runs subscriptions' operations on events. The first few times graphql-js does it; an operation that goes on is compiled
// to a function (graphql-jit), which costs about a sixth. Invariant: what a client gets does not depend on which of the
// two ran. So what graphql-jit does otherwise is kept from it: it compiles a copy of its own, for it writes on the nodes that
// it is given; @skip and @include are carried out before; and a result with errors is made again by graphql-js.

import { type DocumentNode, type ExecutionArgs, type ExecutionResult, execute, type GraphQLSchema } from 'graphql'
import { type CompiledQuery, compileQuery, isCompiledQuery } from 'graphql-jit'
import { resolveDirectives } from './resolved-directives.ts'

/** Compiling costs as much as some hundred executions: an operation must show that it stays. */
const COMPILE_AFTER_EXECUTIONS = 16

type Arguments = Pick<ExecutionArgs, 'document' | 'operationName' | 'variableValues' | 'contextValue'>

/** Executes an operation on an event, as the root value of its one field. Asynchronous only where a resolver is. */
export type ExecuteEvent = (event: unknown) => ExecutionResult | Promise<ExecutionResult>

/** The same for all who differ in variables only, apart from those that directives read. */
interface Operation {
  executions: number
  /** Null as long as it is not compiled, and where it cannot be. */
  compiled: CompiledQuery | null
}

/** What it knows of a document lives as long as the document does: in the bounded cache of parsed documents. */
export function createEventExecution(schema: GraphQLSchema): (args: Arguments) => ExecuteEvent {
  const known = new WeakMap<DocumentNode, Map<string, Operation>>()

  function operationOf(document: DocumentNode, key: string): Operation {
    const ofDocument = known.get(document) ?? new Map<string, Operation>()
    known.set(document, ofDocument)
    const operation = ofDocument.get(key) ?? { executions: 0, compiled: null }
    ofDocument.set(key, operation)
    return operation
  }

  return (args) => {
    const { document, operationName, contextValue, variableValues } = args
    const resolved = resolveDirectives(schema, args)
    const operation = operationOf(document, `${operationName ?? ''} ${resolved.outcomes}`)
    // Nothing is deferred or streamed: the result is one.
    const alone = (event: unknown) =>
      execute({ schema, ...args, rootValue: event }) as ExecutionResult | Promise<ExecutionResult>

    return (event) => {
      if (!operation.compiled) {
        if (operation.executions++ === COMPILE_AFTER_EXECUTIONS) {
          operation.compiled = compile(schema, resolved.write(), operationName)
        }
        return alone(event)
      }
      const result = operation.compiled.query(event, contextValue, variableValues)
      if (isPromise(result)) return result.then((settled) => (settled.errors ? alone(event) : settled))
      return result.errors ? alone(event) : result
    }
  }
}

function compile(
  schema: GraphQLSchema,
  document: DocumentNode | null,
  operationName: string | null | undefined,
): CompiledQuery | null {
  if (!document) return null
  const compiled = compileQuery(schema, document, operationName ?? undefined)
  return isCompiledQuery(compiled) ? compiled : null
}

export function isPromise<T>(value: T | Promise<T>): value is Promise<T> {
  return typeof value === 'object' && value !== null && 'then' in value
}
