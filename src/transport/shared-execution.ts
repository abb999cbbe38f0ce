// Executes a subscription's event once for all subscribers of this node whose operation is the same.
// Invariant: what a subscriber gets is what executing their operation alone would give. So a group never mixes viewers
// unless the selection reads nothing that depends on the viewer; then it runs with a context that refuses to tell one.

import { createSourceEventStream, type ExecutionArgs, type ExecutionResult, execute, type GraphQLSchema } from 'graphql'
import type { Context } from '../graphql/context.ts'
import { type AnalyzeOperation, createOperationAnalysis } from './operation-analysis.ts'
import { SharedResults } from './shared-results.ts'

/** Results that a node keeps at a time: some seconds of a busy one. */
const MAX_RESULTS = 10_000

export interface SubscriptionArgs extends ExecutionArgs {
  contextValue: Context
}

export type SubscribeShared = (
  args: SubscriptionArgs,
) => Promise<AsyncIterableIterator<ExecutionResult> | ExecutionResult>

export function createSharedExecution(schema: GraphQLSchema): SubscribeShared {
  const analyze: AnalyzeOperation = createOperationAnalysis(schema)
  const results = new SharedResults(MAX_RESULTS)

  return async (args) => {
    const source = await createSourceEventStream(args)
    if (!isAsyncIterable(source)) return source
    const group = groupOf(args, analyze)
    const run = (event: unknown): Promise<ExecutionResult> => {
      const alone = () => Promise.resolve(execute({ ...args, rootValue: event, contextValue: group.context }))
      if (typeof event !== 'object' || event === null) return alone()
      const known = results.find(event, group.key)
      if (known) return known
      const shared = alone()
      results.keep(event, group.key, shared)
      // What a viewer may see changes, and a failure passes: whoever asks later, for a replay, has it executed anew.
      const forget = () => results.forget(event, group.key)
      void shared.then(({ errors }) => (group.viewerDependent || errors ? forget() : undefined), forget)
      return shared
    }
    return mapSource(source, run)
  }
}

function groupOf(
  { document, operationName, variableValues, contextValue }: SubscriptionArgs,
  analyze: AnalyzeOperation,
) {
  const { id, viewerDependent, variables: declared, resumeVariable } = analyze(document, operationName)
  const given = variableValues ?? {}
  // A variable that is not given may have a default: that is not the same as null.
  const variables = declared
    .filter((name) => name !== resumeVariable)
    .map((name) => (name in given ? [name, given[name]] : [name]))
  const viewer = viewerDependent ? (contextValue.viewer?.userId ?? '') : null
  return {
    key: JSON.stringify([id, viewer, variables]),
    viewerDependent,
    context: viewerDependent ? contextValue : withoutViewer(contextValue),
  }
}

/** The context of a shared execution: reading the viewer there is a defect (the field lacks `viewerDependent`). */
function withoutViewer(context: Context): Context {
  return Object.create(context, {
    viewer: {
      get() {
        throw new Error('a field that is not declared viewerDependent has read the viewer')
      },
    },
  })
}

/** A plain iterator, so that `return()` reaches a waiting source at once. */
function mapSource(
  source: AsyncIterable<unknown>,
  run: (event: unknown) => Promise<ExecutionResult>,
): AsyncIterableIterator<ExecutionResult> {
  const iterator = source[Symbol.asyncIterator]()
  const done = { done: true, value: undefined } as const
  return {
    [Symbol.asyncIterator]() {
      return this
    },
    async next() {
      const item = await iterator.next()
      return item.done ? done : { done: false, value: await run(item.value) }
    },
    async return() {
      await iterator.return?.()
      return done
    },
    async throw(error) {
      await iterator.return?.()
      throw error
    },
  }
}

function isAsyncIterable(value: object): value is AsyncIterable<unknown> {
  return Symbol.asyncIterator in value
}
