// Slow readers: what a node keeps for a client that does not read is bounded, nobody else notices it, and the client misses
// nothing, whether it reads on or comes back.

import { subscribe as subscribeChannel, unsubscribe as unsubscribeChannel } from 'node:diagnostics_channel'
import type { Socket } from 'node:net'
import { createClient } from 'graphql-ws'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { eventually } from '../support/eventually.ts'
import { frameOf, RawSubscriber } from '../support/raw-subscriber.ts'
import { expectWhole, itemOf, openRoomEvents } from '../support/room-events.ts'
import { openDevice, PresenceWatch } from '../support/room-presence.ts'
import { type Person, person, stopAll } from '../support/seed.ts'
import { useNodes } from '../support/start-nodes.ts'

const QUEUE_BYTES = 64 * 1024
/** As long as a message may be: 4,000 characters, here of eight bytes. */
const LONG = '🇹🇷'.repeat(3_990)
/** Short ones, more than a feed keeps in memory. */
const SHORT_COUNT = 300
const HEALTHY = 800
const STALLED = 200

/** The server's side of every connection, by the port of the client's side. */
const connections = new Map<number, Socket>()
const onConnection = (message: unknown) => {
  // The channel's one kind of message.
  const { socket } = message as { socket: Socket }
  if (socket.remotePort) connections.set(socket.remotePort, socket)
}

beforeAll(() => subscribeChannel('net.server.socket', onConnection))
afterAll(() => {
  unsubscribeChannel('net.server.socket', onConnection)
  connections.clear()
})

/** What the server still has to write, because the kernel takes no more. */
function waitingBytes(localPort: number): number {
  const connection = connections.get(localPort)
  if (!connection) throw new Error('the connection is not known')
  return connection.writableLength
}

/** An unmodified graphql-ws client, with its socket at hand. */
async function openSocket(url: string, { token }: Person) {
  const opened = Promise.withResolvers<WebSocket>()
  const upgraded = Promise.withResolvers<number>()
  class Tapped extends WebSocket {
    constructor(...args: ConstructorParameters<typeof WebSocket>) {
      super(...args)
      this.once('upgrade', ({ socket }) => upgraded.resolve(socket.localPort ?? 0))
      this.once('open', () => opened.resolve(this))
    }
  }
  const client = createClient({
    url: url.replace(/^http/, 'ws'),
    webSocketImpl: Tapped,
    lazy: false,
    retryAttempts: 0,
    connectionParams: { authorization: `Bearer ${token}` },
  })
  return { client, webSocket: await opened.promise, localPort: await upgraded.promise }
}

class Story {
  readonly ada: Person
  readonly roomId: string
  readonly #url: string
  readonly #subscribers = new Set<RawSubscriber>()
  readonly #frames = new Map<number, Buffer>()
  /** The messages' texts by seq. */
  readonly #sent = new Map<number, string>()

  constructor(url: string, ada: Person, roomId: string) {
    this.#url = url
    this.ada = ada
    this.roomId = roomId
  }

  static async begin(url: string): Promise<Story> {
    const ada = await person(url, 'Ada')
    return new Story(url, ada, await ada.createRoom())
  }

  get last(): number {
    return Math.max(...this.#sent.keys())
  }

  async open(after?: number, isStalled = false): Promise<RawSubscriber> {
    const { roomId, ada } = this
    const subscriber = await RawSubscriber.open({
      url: this.#url,
      token: ada.token,
      roomId,
      after,
      isStalled,
      frames: this.#frames,
    })
    this.#subscribers.add(subscriber)
    return subscriber
  }

  /** One for each place to begin at; undefined is the head. */
  async openMany(afters: readonly (number | undefined)[]): Promise<RawSubscriber[]> {
    const opened: RawSubscriber[] = []
    for (let i = 0; i < afters.length; i += 100) {
      opened.push(...(await Promise.all(afters.slice(i, i + 100).map((after) => this.open(after)))))
    }
    return opened
  }

  async send(text: string): Promise<void> {
    const { seq } = await this.ada.send(this.roomId, text)
    this.#sent.set(seq, text)
  }

  async sendMany(texts: readonly string[]): Promise<void> {
    for (let i = 0; i < texts.length; i += 10) await Promise.all(texts.slice(i, i + 10).map((text) => this.send(text)))
  }

  /** Sends long messages until the kernel takes no more for these clients, and their queues are full. */
  async fill(localPorts: readonly number[]): Promise<void> {
    for (let i = 0; !localPorts.every((port) => waitingBytes(port) >= QUEUE_BYTES); i++) {
      if (i > 100) throw new Error('the kernel takes everything')
      await this.sendMany([1, 2, 3, 4].map((number) => `${i}.${number} ${LONG}`))
    }
  }

  /** Waits until the subscribers are at the end. */
  async reachEnd(subscribers: readonly RawSubscriber[]): Promise<void> {
    await eventually(
      () => {
        const behind = subscribers.filter(({ last }) => last < this.last)
        expect(behind.map(({ last, closed }) => ({ last, closed }))).toEqual([])
      },
      { timeoutMs: 30_000 },
    )
    for (const { differing } of subscribers) expect(differing).toEqual([])
    for (const [seq, text] of this.#sent) expect(this.#frames.get(seq)?.equals(frameOf(seq, text))).toBe(true)
  }

  /** All messages, each once and in order. */
  get seqs(): number[] {
    return [...this.#sent.keys()].sort((a, b) => a - b)
  }

  async end(): Promise<void> {
    await Promise.all([...this.#subscribers].map((subscriber) => subscriber.cut()))
  }
}

let story: Story | null = null
afterEach(async () => {
  await story?.end()
  story = null
  await stopAll()
})

describe('a busy room with stalled readers among many', () => {
  // They answer no ping while they do not read: here only their queues matter.
  const nodes = useNodes({ nodes: 1, settings: { WS_KEEPALIVE_MS: '300000', SLOW_READER_TIMEOUT_MS: '300000' } })

  it('is whole for all of them in the end, at once for the others, and costs little meanwhile', {
    timeout: 120_000,
  }, async () => {
    story = await Story.begin(nodes().urls[0] ?? '')
    const stalled = await story.openMany(Array(STALLED).fill(undefined))
    const healthy = await story.openMany(Array(HEALTHY).fill(undefined))
    const before = stalled[0]?.last ?? 0
    for (const subscriber of stalled) subscriber.pause()
    const ports = stalled.map(({ localPort }) => localPort)
    await story.fill(ports)
    await story.sendMany(Array.from({ length: SHORT_COUNT }, (_, i) => `short ${i}`))
    await story.reachEnd(healthy)
    for (const { seqs } of healthy) expect(seqs).toEqual(story.seqs)
    // Nothing was read, and each has what fits into its queue, and at most one message more.
    const waiting = ports.map(waitingBytes)
    expect(stalled.every(({ last }) => last === before)).toBe(true)
    expect(Math.min(...waiting)).toBeGreaterThan(0)
    expect(Math.max(...waiting)).toBeLessThan(QUEUE_BYTES + Buffer.byteLength(LONG) + 1_000)

    const [drained, cut] = [stalled.slice(0, STALLED / 2), stalled.slice(STALLED / 2)]
    for (const subscriber of drained) subscriber.resume()
    await story.reachEnd(drained)
    for (const { seqs } of drained) expect(seqs).toEqual(story.seqs)
    await Promise.all(cut.map((subscriber) => subscriber.cut()))
    const resumed = await story.openMany(cut.map(({ last }) => last))
    await story.reachEnd(resumed)
    for (const [i, { seqs }] of resumed.entries()) expect([...(cut[i]?.seqs ?? []), ...seqs]).toEqual(story.seqs)
  })
})

describe('a client that makes no room for too long', () => {
  // Its queue is full before the second ping: until then it would count as half-open, since it answers none.
  const nodes = useNodes({ nodes: 1, settings: { WS_KEEPALIVE_MS: '2000', SLOW_READER_TIMEOUT_MS: '300' } })

  it('is closed with a code to come back on, and has everything when it does', async () => {
    story = await Story.begin(nodes().urls[0] ?? '')
    await story.sendMany(Array.from({ length: 160 }, (_, i) => `${i} ${LONG}`))
    const [late, gone] = [await story.open(0, true), await story.open(0, true)]
    await story.fill([late.localPort, gone.localPort])
    const full = waitingBytes(late.localPort)
    // Nobody adds anything more: the close does.
    await eventually(() => expect(waitingBytes(late.localPort)).toBeGreaterThan(full))
    late.resume()
    await eventually(() => expect(late.closed).toEqual({ code: 1013, reason: 'SLOW_READER' }))
    // The other never reads the close: the server does not wait for it.
    await eventually(() => expect(connections.get(gone.localPort)?.destroyed).toBe(true))
    gone.resume()
    await eventually(() => expect([1006, 1013]).toContain(gone.closed?.code))

    for (const left of [late, gone]) {
      expect(left.last).toBeLessThan(story.last)
      const resumed = await story.open(left.last)
      await story.reachEnd([resumed])
      expect([...left.seqs, ...resumed.seqs]).toEqual(story.seqs)
    }
  })
})

describe('presence', () => {
  const nodes = useNodes({ nodes: 1, settings: { WS_KEEPALIVE_MS: '300000', SLOW_READER_TIMEOUT_MS: '300000' } })
  const COMINGS = 8

  it('comes to a stalled reader as it is in the end, and not as all that happened', async () => {
    const url = nodes().urls[0] ?? ''
    story = await Story.begin(url)
    const { roomId } = story
    const [bob, eve, mia] = await Promise.all(['Bob', 'Eve', 'Mia'].map((name) => person(url, name)))
    if (!bob || !eve || !mia) throw new Error('three names are three people')
    const healthy = new PresenceWatch(bob.connect(), roomId)
    const socket = await openSocket(url, mia)
    const stalled = new PresenceWatch(socket.client, roomId)
    const events = openRoomEvents(socket.client, roomId, 0)
    await events.next()
    await healthy.sees({ Bob: 'ONLINE', Mia: 'ONLINE' })
    await stalled.sees({ Bob: 'ONLINE', Mia: 'ONLINE' })

    socket.webSocket.pause()
    await story.fill([socket.localPort])
    const seen = stalled.items.length
    for (let i = 0; i < COMINGS; i++) {
      const { client } = await openDevice(url, eve, roomId)
      await healthy.sees({ Bob: 'ONLINE', Eve: 'ONLINE', Mia: 'ONLINE' })
      await client.dispose()
      await healthy.sees({ Bob: 'ONLINE', Mia: 'ONLINE' })
    }
    const { client } = await openDevice(url, eve, roomId)
    await healthy.sees({ Bob: 'ONLINE', Eve: 'ONLINE', Mia: 'ONLINE' })
    expect(healthy.items.length).toBeGreaterThanOrEqual(COMINGS * 2 + 1)
    expect(stalled.items).toHaveLength(seen)

    socket.webSocket.resume()
    const last = story.last
    await eventually(() => expect(events.items.at(-1)?.data?.roomEvents.seq).toBe(last))
    expectWhole(events.items.map(itemOf), 0, last)
    await stalled.sees({ Bob: 'ONLINE', Eve: 'ONLINE', Mia: 'ONLINE' })
    expect(stalled.items.length - seen).toBeLessThanOrEqual(2)
    await Promise.all([client.dispose(), socket.client.dispose()])
  })
})
