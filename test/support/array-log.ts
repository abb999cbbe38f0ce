// A log for tests of feeds: an array per topic, with what a real one brings: slowness, outages and retention.

import type { Entry, TopicLog } from '../../src/realtime/topic-log.ts'

const MAX_LIMIT = 256

interface Topic {
  entries: Entry<string>[]
  /** Entries up to here were removed. */
  floor: number
  /** Reads that are still to be refused. */
  failures: number
}

export class ArrayLog implements TopicLog<string> {
  readonly #topics = new Map<string, Topic>()
  readonly #wait: () => Promise<void>
  /** Calls that the port does not allow. */
  readonly misuses: string[] = []
  /** Ranges that were read, as `topic after..upTo`. */
  readonly reads: string[] = []
  /** Calls of `heads` that are still to be refused. */
  headFailures = 0

  /** `wait` is run before and after a call looks at the arrays: time for others to act. */
  constructor(wait: () => Promise<void> = async () => {}) {
    this.#wait = wait
  }

  /** Appends the topic's next entry and returns its bus message. */
  append(topic: string): string {
    const { entries } = this.#topic(topic)
    const seq = entries.length + 1
    const entry = { seq, event: `${topic} ${seq}`, bytes: 100 }
    entries.push(entry)
    return JSON.stringify(entry)
  }

  head(topic: string): number {
    return this.#topic(topic).entries.length
  }

  floor(topic: string): number {
    return this.#topic(topic).floor
  }

  /** The bus message of an entry. */
  message(topic: string, seq: number): string {
    return JSON.stringify(this.#topic(topic).entries[seq - 1])
  }

  /** Retention: entries up to `floor` are gone. */
  cut(topic: string, floor: number): void {
    const found = this.#topic(topic)
    found.floor = Math.max(found.floor, Math.min(floor, found.entries.length))
  }

  /** Refuses the next `count` reads of the topic. */
  fail(topic: string, count: number): void {
    this.#topic(topic).failures += count
  }

  async heads(topics: readonly string[]): Promise<ReadonlyMap<string, number>> {
    await this.#wait()
    if (this.headFailures > 0) {
      this.headFailures--
      throw new Error('the log is away')
    }
    const heads = new Map(topics.map((topic) => [topic, this.head(topic)]))
    await this.#wait()
    return heads
  }

  async read(topic: string, after: number, upTo: number, limit: number): Promise<Entry<string>[]> {
    const found = this.#topic(topic)
    this.reads.push(`${topic} ${after}..${upTo}`)
    if (upTo > found.entries.length) this.misuses.push(`read up to ${upTo}, the head is ${found.entries.length}`)
    if (limit > MAX_LIMIT || after < 0) this.misuses.push(`read ${limit} after ${after}`)
    await this.#wait()
    if (found.failures > 0) {
      found.failures--
      throw new Error('the log is away')
    }
    const from = Math.max(after, found.floor)
    const page = found.entries.slice(from, Math.max(from, Math.min(upTo, from + limit)))
    await this.#wait()
    return page
  }

  /** An event of this log is its topic and its seq. */
  encode(event: string): string {
    const [topic = '', seq] = event.split(' ')
    return this.message(topic, Number(seq))
  }

  decode(message: string): Entry<string> {
    return JSON.parse(message) as Entry<string>
  }

  #topic(name: string): Topic {
    const found = this.#topics.get(name) ?? { entries: [], floor: 0, failures: 0 }
    this.#topics.set(name, found)
    return found
  }
}

/** Lets everything that is ready run, `count` times over. */
export async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise<void>((resolve) => setImmediate(resolve))
}
