// The invariants over real sockets: frames arrive whole and in the order in which they were added, whatever else is written
// to the same connection; what waits for a client that does not read is bounded; and whoever waits for room gets word.

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { afterEach, describe, expect, it } from 'vitest'
import { type ClientOptions, WebSocket, WebSocketServer } from 'ws'
import { turns } from '../../test/support/array-log.ts'
import { eventually } from '../../test/support/eventually.ts'
import { DeliveryRounds } from './delivery-rounds.ts'
import { OutboundQueue } from './outbound-queue.ts'
import { FrameWriter } from './websocket-frames.ts'

const SLOW_READER_TIMEOUT_MS = 30_000
const EMPTY = Buffer.alloc(0)
/** Text that does not get much smaller by compression. */
const NOISE = randomBytes(64 * 1024).toString('base64')

interface PairOptions {
  queueBytes?: number
  compression?: boolean
}

const servers = new Set<WebSocketServer>()

afterEach(() => {
  for (const server of servers) {
    for (const socket of server.clients) socket.terminate()
    server.close()
  }
  servers.clear()
})

/** A client, and the queue of its socket on the server. */
async function openPair({ queueBytes = 64 * 1024, compression = false }: PairOptions = {}) {
  const server = new WebSocketServer({
    port: 0,
    host: '127.0.0.1',
    perMessageDeflate: compression && { threshold: 512, serverNoContextTakeover: true, clientNoContextTakeover: true },
  })
  servers.add(server)
  await once(server, 'listening')
  const accepted = Promise.withResolvers<{ webSocket: WebSocket; connection: Duplex }>()
  server.once('connection', (webSocket, { socket }) => accepted.resolve({ webSocket, connection: socket }))
  // A TCP server has an address object.
  const { port } = server.address() as AddressInfo
  const options: ClientOptions = { perMessageDeflate: compression }
  const client = new WebSocket(`ws://127.0.0.1:${port}`, options)
  const texts: string[] = []
  client.on('message', (data) => texts.push(String(data)))
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    client.once('close', (code, reason) => resolve({ code, reason: String(reason) }))
  })
  await once(client, 'open')
  const { webSocket, connection } = await accepted.promise
  let slowReaders = 0
  const queue = new OutboundQueue({
    webSocket,
    connection,
    rounds: new DeliveryRounds(),
    writer: new FrameWriter(),
    limits: { queueBytes, slowReaderTimeoutMs: SLOW_READER_TIMEOUT_MS },
    onSlowReader: () => slowReaders++,
  })
  return { client, texts, closed, webSocket, connection, queue, slowReaders: () => slowReaders }
}

type Pair = Awaited<ReturnType<typeof openPair>>

function push(queue: OutboundQueue, text: string): void {
  const whole = Buffer.from(text)
  const half = whole.length >> 1
  queue.push(whole.subarray(0, half), whole.subarray(half))
}

/** How often the connection is written to from now on. */
function countWrites(connection: Duplex): () => number {
  let writes = 0
  const { write } = connection
  const counted = (...args: unknown[]) => {
    writes++
    return Reflect.apply(write, connection, args)
  }
  Object.assign(connection, { write: counted })
  return () => writes
}

/** A subscription that always has more: the frames of `#1 …`, `#2 …` and so on, as many as there is room for. */
class Source {
  readonly #queue: OutboundQueue
  readonly #length: number
  readonly #isSignal: boolean
  pushed = 0
  proceeds = 0
  /** How many frames there are. */
  total = Number.POSITIVE_INFINITY
  /** The most that was ever waiting. */
  mostBytes = 0

  constructor(queue: OutboundQueue, length: number, isSignal = false) {
    this.#queue = queue
    this.#length = length
    this.#isSignal = isSignal
  }

  frame(number: number): string {
    return `#${number} ${NOISE.slice(number % 10_000)}`.slice(0, this.#length)
  }

  proceed(): void {
    this.proceeds++
    this.add()
  }

  /** Adds what there is room for, and waits when there is none. */
  add(): void {
    while (this.pushed < this.total) {
      if (!this.#queue.hasRoom(this.#isSignal)) {
        this.#queue.waitForRoom(this)
        return
      }
      push(this.#queue, this.frame(++this.pushed))
      this.mostBytes = Math.max(this.mostBytes, this.#queue.bytes)
    }
  }
}

/** The client no longer reads, and the source adds until the kernel and the queue are full. */
async function stall({ client, connection }: Pair, source: Source): Promise<void> {
  client.pause()
  source.add()
  let proceeds = -1
  while (proceeds !== source.proceeds || connection.writableLength === 0) {
    proceeds = source.proceeds
    await turns(100)
  }
}

const afterTheLimit = () => performance.now() + SLOW_READER_TIMEOUT_MS + 1_000

describe('the outbound queue', () => {
  it('brings frames of every length whole and in order', async () => {
    const { queue, texts } = await openPair()
    const lengths = [0, 1, 124, 125, 126, 127, 65_534, 65_535, 65_536, 200_000, 3]
    const sent = lengths.map((length, i) => String(i).padEnd(length, 'x').slice(0, length))
    for (const text of sent) push(queue, text)
    await eventually(() => expect(texts).toHaveLength(sent.length))
    expect(texts).toEqual(sent)
  })

  it('counts bytes and not characters, also where a part ends within one', async () => {
    const { queue, texts } = await openPair()
    const sent = ['ş'.repeat(62), 'ş'.repeat(63), '👩‍👩‍👧‍👦'.repeat(3_000), '\u2028"\\ ok']
    for (const text of sent) push(queue, text)
    await eventually(() => expect(texts).toEqual(sent))
  })

  it('writes what one turn brings at once, and each turn at its end', async () => {
    const { queue, texts, connection } = await openPair()
    const writes = countWrites(connection)
    for (let i = 0; i < 16; i++) push(queue, `first ${i}`)
    expect(writes()).toBe(0)
    await turns(1)
    expect(writes()).toBe(1)
    push(queue, 'second')
    await turns(1)
    expect(writes()).toBe(2)
    await eventually(() => expect(texts).toHaveLength(17))
    expect(texts).toEqual([...Array.from({ length: 16 }, (_, i) => `first ${i}`), 'second'])
  })

  it.each([false, true])('shares the connection with ws’ own frames (compression: %s)', async (compression) => {
    const { queue, webSocket, client, texts } = await openPair({ compression })
    expect(webSocket.extensions).toBe(compression ? 'permessage-deflate' : '')
    let pings = 0
    client.on('ping', () => pings++)
    const lengthOf = (turn: number) => (turn * 37) % 2_000
    const byQueue = Array.from({ length: 300 }, (_, i) => `queue ${i} `.padEnd(lengthOf(i), 'é'))
    const byWs = Array.from({ length: 150 }, (_, i) => `ws ${i} `.padEnd(lengthOf(i), 'x'))
    for (const [i, text] of byQueue.entries()) {
      push(queue, text)
      // Before the turn's end, between turns, and several turns' worth in one.
      if (i % 3 === 0) webSocket.ping()
      if (i % 2 === 0) webSocket.send(byWs[i / 2] ?? '')
      if (i % 5 === 0) await turns(1)
    }
    await eventually(() => expect(texts).toHaveLength(byQueue.length + byWs.length))
    expect(texts.filter((text) => text.startsWith('queue'))).toEqual(byQueue)
    expect(texts.filter((text) => text.startsWith('ws'))).toEqual(byWs)
    await eventually(() => expect(pings).toBe(100))
  })

  it('brings answers between events, in the order in which both were added', async () => {
    const { queue, texts } = await openPair()
    const answered: Promise<void>[] = []
    for (let i = 0; i < 50; i++) {
      if (i % 2) push(queue, `${i}`)
      else answered.push(queue.send(`${i}`))
    }
    await Promise.all(answered)
    await eventually(() => expect(texts).toHaveLength(50))
    expect(texts).toEqual(Array.from({ length: 50 }, (_, i) => `${i}`))
  })

  it('closes after what was added before, and takes nothing afterwards', async () => {
    const { queue, texts, closed } = await openPair()
    push(queue, 'last words')
    queue.close(4400, 'enough')
    push(queue, 'too late')
    await queue.send('too late')
    expect(await closed).toEqual({ code: 4400, reason: 'enough' })
    expect(texts).toEqual(['last words'])
  })
})

describe.each([
  { title: 'the default limit', queueBytes: 64 * 1024, compression: false },
  // Guards: below the connection's own mark no write asks for a drain, and whoever waited was never told of room.
  { title: 'a limit below the connection’s own mark', queueBytes: 16 * 1024, compression: false },
  { title: 'a limit above it', queueBytes: 256 * 1024, compression: false },
  { title: 'compression', queueBytes: 64 * 1024, compression: true },
])('the queue of a client that does not read, with $title', ({ queueBytes, compression }) => {
  const FRAME_BYTES = 1_500
  // What a source adds is one frame beyond the limit at most, and a header for each.
  const mostBytes = queueBytes + FRAME_BYTES + (queueBytes / FRAME_BYTES) * 8

  it('stays bounded, and goes on when the client reads again: everything once and in order', async () => {
    const pair = await openPair({ queueBytes, compression })
    const { client, queue, texts } = pair
    const source = new Source(queue, FRAME_BYTES)
    await stall(pair, source)
    expect(source.mostBytes).toBeLessThanOrEqual(mostBytes)
    const stalledAt = source.pushed
    await turns(100)
    expect(source.pushed).toBe(stalledAt)
    expect(texts.length).toBeLessThan(stalledAt)

    source.total = stalledAt + 2_000
    client.resume()
    await eventually(() => expect(texts).toHaveLength(source.total))
    expect(source.mostBytes).toBeLessThanOrEqual(mostBytes)
    expect(texts).toEqual(texts.map((_, i) => source.frame(i + 1)))
  })

  it('lets everybody who waits go on', async () => {
    const pair = await openPair({ queueBytes, compression })
    const sources = Array.from({ length: 20 }, () => new Source(pair.queue, FRAME_BYTES))
    for (const source of sources) {
      await stall(pair, source)
      source.total = source.pushed + 20
    }
    pair.client.resume()
    await eventually(() => expect(sources.filter(({ pushed, total }) => pushed < total)).toEqual([]))
  })
})

describe('the time limit', () => {
  it('closes with a code to come back on, and only when the time is over', async () => {
    const pair = await openPair()
    const { queue, client, texts, closed, slowReaders } = pair
    expect(queue.checkProgress(afterTheLimit())).toBe(false)
    const source = new Source(queue, 1_500)
    await stall(pair, source)
    expect(queue.checkProgress(performance.now() + SLOW_READER_TIMEOUT_MS - 5_000)).toBe(true)
    expect(slowReaders()).toBe(0)
    expect(queue.checkProgress(afterTheLimit())).toBe(true)
    expect(slowReaders()).toBe(1)
    // The next look finds it closing.
    queue.checkProgress(afterTheLimit())
    expect(slowReaders()).toBe(1)
    client.resume()
    expect(await closed).toEqual({ code: 1013, reason: 'SLOW_READER' })
    expect(texts).toEqual(texts.map((_, i) => source.frame(i + 1)))
  })

  it('begins anew for a client that has made room', async () => {
    const pair = await openPair()
    const { queue, client, texts, slowReaders } = pair
    const source = new Source(queue, 1_500)
    await stall(pair, source)
    source.total = source.pushed + 500
    client.resume()
    await eventually(() => expect(texts).toHaveLength(source.total))
    expect(queue.checkProgress(afterTheLimit())).toBe(false)
    expect(slowReaders()).toBe(0)
  })

  // Guards: with nobody left to tell of room, the time went on although the client had read everything.
  it('does not run for a queue that nobody waits for any longer', async () => {
    const pair = await openPair()
    const { queue, client, texts, slowReaders } = pair
    const source = new Source(queue, 1_500)
    await stall(pair, source)
    queue.stopWaiting(source)
    client.resume()
    await eventually(() => expect(texts).toHaveLength(source.pushed))
    expect(queue.checkProgress(afterTheLimit())).toBe(false)
    expect(slowReaders()).toBe(0)
    push(queue, 'still there')
    await eventually(() => expect(texts.at(-1)).toBe('still there'))
  })
})

describe('signals', () => {
  // Guards: with the connection's mark as high as the limit, signals were let in as long as events were.
  it('wait before events do', async () => {
    const pair = await openPair()
    const { client, queue, texts } = pair
    const signals = new Source(queue, 1_500, true)
    await stall(pair, signals)
    expect(queue.hasRoom(true)).toBe(false)
    expect(queue.hasRoom(false)).toBe(true)
    signals.total = signals.pushed + 20
    client.resume()
    await eventually(() => expect(texts).toHaveLength(signals.total))
  })
})

describe('answers', () => {
  it('are added without asking; their senders wait for room', async () => {
    const pair = await openPair()
    const { client, queue, texts } = pair
    const source = new Source(queue, 1_500)
    await stall(pair, source)
    queue.stopWaiting(source)
    let answered = false
    const answer = queue.send('the answer').then(() => {
      answered = true
    })
    await turns(20)
    expect(answered).toBe(false)
    client.resume()
    await answer
    await eventually(() => expect(texts.at(-1)).toBe('the answer'))
    expect(texts).toHaveLength(source.pushed + 1)
  })

  it('end the socket of a client that asks and asks and never reads', async () => {
    const { client, queue, closed, slowReaders } = await openPair()
    client.pause()
    const text = 'x'.repeat(1024 * 1024)
    let most = 0
    while (slowReaders() === 0) {
      // Nobody waits for the answer before: a client sends what it likes.
      queue.send(text).catch(() => {})
      most = Math.max(most, queue.bytes)
      await turns(1)
    }
    expect(most).toBeLessThan(5.1 * 1024 * 1024)
    client.resume()
    expect((await closed).code).toBe(1013)
  })

  it('and whoever else waits, go on when the socket is gone', async () => {
    const pair = await openPair()
    const { client, queue, webSocket } = pair
    const source = new Source(queue, 1_500)
    await stall(pair, source)
    const answers = [queue.send('one'), queue.send('two')]
    webSocket.once('close', () => queue.release())
    const { proceeds } = source
    client.terminate()
    await Promise.all(answers)
    expect(source.proceeds).toBeGreaterThan(proceeds)
  })

  it('of nothing cost nothing', async () => {
    const { queue, connection } = await openPair()
    const writes = countWrites(connection)
    queue.push(EMPTY, EMPTY)
    await turns(2)
    expect(writes()).toBe(1)
    queue.run()
    expect(writes()).toBe(1)
  })
})
