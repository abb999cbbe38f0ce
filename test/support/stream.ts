// A subscription whose items are queued from the first on, so that a test cannot miss one.

import { type Client, createClient } from 'graphql-ws'
import { WebSocket } from 'ws'

/** How long a test waits for an item that must come. */
const WAIT_MS = 15_000

export class Stream<T> {
  readonly items: T[] = []
  readonly #waiting: (() => void)[] = []
  #taken = 0
  #ended: { error: unknown } | { error: null } | null = null
  #stop: () => void = () => {}

  /** For what feeds the stream. */
  readonly sink = {
    next: (item: T) => {
      this.items.push(item)
      this.#wake()
    },
    error: (error: unknown) => {
      this.#ended = { error }
      this.#wake()
    },
    complete: () => {
      this.#ended ??= { error: null }
      this.#wake()
    },
  }

  onStop(stop: () => void): this {
    this.#stop = stop
    return this
  }

  /** The next item that was not taken yet. Rejects when the stream ended, or nothing came in time. */
  async next(): Promise<T> {
    await this.#until(() => this.items.length > this.#taken || this.#ended !== null, 'an item')
    const item = this.items[this.#taken]
    if (item === undefined) throw this.#ended?.error ?? new Error('the stream has ended')
    this.#taken++
    return item
  }

  async take(count: number): Promise<T[]> {
    const taken: T[] = []
    while (taken.length < count) taken.push(await this.next())
    return taken
  }

  /** Takes items up to and with the first that fits. */
  async takeUntil(fits: (item: T) => boolean): Promise<T[]> {
    const taken: T[] = []
    for (;;) {
      const item = await this.next()
      taken.push(item)
      if (fits(item)) return taken
    }
  }

  /** Resolves, with the error if there was one, when the server or the connection ended the stream. */
  async ended(): Promise<unknown> {
    await this.#until(() => this.#ended !== null, 'the end')
    return this.#ended?.error ?? null
  }

  stop(): void {
    this.#stop()
  }

  async #until(holds: () => boolean, what: string): Promise<void> {
    const deadline = AbortSignal.timeout(WAIT_MS)
    while (!holds()) {
      await new Promise<void>((resolve, reject) => {
        const late = () => reject(new Error(`waited ${WAIT_MS} ms for ${what}; got ${JSON.stringify(this.items)}`))
        deadline.addEventListener('abort', late, { once: true })
        this.#waiting.push(() => {
          deadline.removeEventListener('abort', late)
          resolve()
        })
      })
    }
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake()
  }
}

export type Result<T> = {
  data?: T | null
  errors?: readonly { message: string; extensions?: Record<string, unknown> }[]
}

/** An unmodified graphql-ws client. Dispose of it at the end of the test. */
export function connect(url: string, token: string | null, options: { retryAttempts?: number } = {}): Client {
  return createClient({
    url: url.replace(/^http/, 'ws'),
    webSocketImpl: WebSocket,
    retryAttempts: options.retryAttempts ?? 0,
    lazy: true,
    ...(token ? { connectionParams: { authorization: `Bearer ${token}` } } : {}),
  })
}

/** Subscribes and queues the results. */
export function subscribe<T = Record<string, unknown>>(
  client: Client,
  query: string,
  variables: Record<string, unknown> = {},
): Stream<Result<T>> {
  const stream = new Stream<Result<T>>()
  // graphql-ws leaves the data's type to the caller.
  const stop = client.subscribe<T>({ query, variables }, stream.sink as never)
  return stream.onStop(stop)
}

/** The same over server-sent events (GraphQL over SSE, distinct connections mode). */
export function subscribeSse<T = Record<string, unknown>>(
  url: string,
  token: string,
  query: string,
  variables: Record<string, unknown> = {},
): Stream<Result<T>> {
  const stream = new Stream<Result<T>>()
  const abort = new AbortController()
  const run = async () => {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'text/event-stream', authorization: `Bearer ${token}` },
      body: JSON.stringify({ query, variables }),
      signal: abort.signal,
    })
    if (!response.body) throw new Error(`no body, status ${response.status}`)
    let text = ''
    for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
      text += chunk
      for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
        handle(text.slice(0, end), stream)
        text = text.slice(end + 2)
      }
    }
    stream.sink.complete()
  }
  run().catch((error) => (abort.signal.aborted ? stream.sink.complete() : stream.sink.error(error)))
  return stream.onStop(() => abort.abort())
}

function handle<T>(event: string, stream: Stream<Result<T>>): void {
  const lines = event.split('\n')
  const name = lines
    .find((line) => line.startsWith('event:'))
    ?.slice(6)
    .trim()
  const data = lines.filter((line) => line.startsWith('data:')).map((line) => line.slice(5).trim())
  if (name === 'next') stream.sink.next(JSON.parse(data.join('')))
}
