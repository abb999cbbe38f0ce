// Brings a subscription's events to its socket without a promise or an iterator per event: the reader is asked at the end
// of each turn in which its stream has grown, the group makes an event's bytes once for all members, and the socket's queue
// takes them when it has room. graphql-ws drives the operation's life: to it, this is a stream that only ever ends.
// Invariant: events go to the queue in the reader's order, each once; with no room nothing is taken, so nothing piles up.

import type { Reader } from '../realtime/reader.ts'
import type { DeliveryRounds } from './delivery-rounds.ts'
import type { PendingAnswers } from './draining.ts'
import { isPromise } from './event-execution.ts'
import type { OperationGroup, OperationGroups, SharedResult, SubscriptionArgs } from './operation-groups.ts'
import type { OutboundQueue, Stream, Waiting } from './outbound-queue.ts'
import type { TextSlabs } from './websocket-frames.ts'

/** Where a subscription's frames go. */
export interface FrameSink {
  /** The id that the client gave the operation. */
  readonly operationId: string
  readonly queue: OutboundQueue
  readonly answers: PendingAnswers
  readonly rounds: DeliveryRounds
  readonly texts: TextSlabs
}

const DONE = { done: true, value: undefined } as const

/** The stream as graphql-ws is to see it: its one `next()` waits for the end, `return()` brings it about. */
export function deliverDirectly(
  reader: Reader<unknown>,
  { groups, args, sink }: { groups: OperationGroups; args: SubscriptionArgs; sink: FrameSink },
): AsyncIterableIterator<never> {
  return new Delivery(reader, { groups, group: groups.join(args), sink, requestId: args.contextValue.requestId })
}

interface DeliveryOptions {
  groups: OperationGroups
  group: OperationGroup
  sink: FrameSink
  requestId: string
}

class Delivery implements AsyncIterableIterator<never>, Waiting, Stream {
  readonly #reader: Reader<unknown>
  readonly #groups: OperationGroups
  readonly #group: OperationGroup
  readonly #sink: FrameSink
  readonly #requestId: string
  /** What every frame of this subscription begins with. */
  readonly #prefix: Buffer
  #isDue = false
  /** An event is being executed, and it is not done at once. */
  #isExecuting = false
  #isOver = false
  #settle: { resolve: (result: IteratorResult<never>) => void; reject: (error: unknown) => void } | null = null

  constructor(reader: Reader<unknown>, { groups, group, sink, requestId }: DeliveryOptions) {
    this.#reader = reader
    this.#groups = groups
    this.#group = group
    this.#sink = sink
    this.#requestId = requestId
    sink.queue.addStream(this)
    this.#prefix = sink.texts.keep(`{"id":${JSON.stringify(sink.operationId)},"type":"next","payload":`)
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<IteratorResult<never>> {
    if (this.#isOver) return Promise.resolve(DONE)
    this.#reader.watch(() => this.proceed())
    this.proceed()
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject }
    })
  }

  end(): void {
    this.#finish()
  }

  async return(): Promise<IteratorResult<never>> {
    this.#finish()
    return DONE
  }

  async throw(error: unknown): Promise<IteratorResult<never>> {
    this.#finish()
    throw error
  }

  /** Something may have changed: looks at the end of the turn. */
  proceed(): void {
    if (this.#isDue || this.#isOver) return
    this.#isDue = true
    this.#sink.rounds.addDelivery(this)
  }

  /** Takes what there is, as long as there is room. */
  run(): void {
    this.#isDue = false
    try {
      this.#deliver()
    } catch (error) {
      this.#fail(error)
    }
  }

  #deliver(): void {
    const { queue } = this.#sink
    while (!this.#isExecuting && !this.#isOver) {
      if (!queue.hasRoom(this.#reader.sheddable)) {
        queue.waitForRoom(this)
        return
      }
      const event = this.#reader.take()
      if (event === null) {
        if (this.#reader.ended) this.#finish()
        return
      }
      const shared = this.#group.resultOf(event)
      if (isPromise(shared)) this.#deliverLater(shared)
      else queue.push(this.#prefix, shared.payload)
    }
  }

  #deliverLater(pending: Promise<SharedResult>): void {
    this.#isExecuting = true
    pending.then(
      ({ payload }) => {
        this.#isExecuting = false
        if (this.#isOver) return
        this.#sink.queue.push(this.#prefix, payload)
        this.proceed()
      },
      (error: unknown) => this.#fail(error),
    )
  }

  #fail(error: unknown): void {
    this.#settle?.reject(this.#groups.present(error, this.#requestId))
    this.#settle = null
    this.#finish()
  }

  #finish(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#sink.queue.stopWaiting(this)
    this.#sink.queue.removeStream(this)
    this.#groups.leave(this.#group)
    this.#reader.end()
    this.#settle?.resolve(DONE)
    this.#settle = null
  }
}
