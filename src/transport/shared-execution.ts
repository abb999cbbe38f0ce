// Subscriptions run here: who may have the stream is asked once for each subscriber, what its events look like once for
// each group of subscribers (see operation-groups.ts).

import { createSourceEventStream, type ExecutionResult, type GraphQLSchema } from 'graphql'
import type { Context } from '../graphql/context.ts'
import { Reader } from '../realtime/reader.ts'
import { deliverDirectly, type FrameSink } from './direct-delivery.ts'
import { type OperationGroup, OperationGroups, type PresentError, type SubscriptionArgs } from './operation-groups.ts'

/** What the WebSocket server adds to the context of a subscription: where its frames go. */
export type WithSink<C = Context> = C & { readonly sink?: FrameSink }

export type SubscribeShared = (
  args: SubscriptionArgs,
) => Promise<AsyncIterableIterator<ExecutionResult> | ExecutionResult>

export function createSharedExecution(schema: GraphQLSchema, present: PresentError): SubscribeShared {
  const groups = new OperationGroups(schema, present)
  return async (args) => {
    const source = await createSourceEventStream(args)
    if (!isAsyncIterable(source)) return source
    // The group outlives its first member: it is not to know their socket.
    const { sink, ...contextValue }: WithSink = args.contextValue
    const own = { ...args, contextValue }
    if (sink && source instanceof Reader) return deliverDirectly(source, { groups, args: own, sink })
    const group = groups.join(own)
    return mapSource(source, group, () => groups.leave(group))
  }
}

/** A plain iterator, so that `return()` reaches a waiting source at once. */
function mapSource(
  source: AsyncIterable<unknown>,
  group: OperationGroup,
  onEnd: () => void,
): AsyncIterableIterator<ExecutionResult> {
  const iterator = source[Symbol.asyncIterator]()
  const done = { done: true, value: undefined } as const
  let isOver = false
  const end = () => {
    if (isOver) return
    isOver = true
    onEnd()
  }
  return {
    [Symbol.asyncIterator]() {
      return this
    },
    async next() {
      try {
        const item = await iterator.next()
        if (!item.done) return { done: false, value: (await group.resultOf(item.value)).result }
      } catch (error) {
        end()
        await iterator.return?.()
        throw error
      }
      end()
      return done
    },
    async return() {
      end()
      await iterator.return?.()
      return done
    },
    async throw(error) {
      end()
      await iterator.return?.()
      throw error
    },
  }
}

function isAsyncIterable(value: object): value is AsyncIterable<unknown> {
  return Symbol.asyncIterator in value
}
