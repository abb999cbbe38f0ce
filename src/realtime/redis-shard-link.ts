// One connection to one master of a Redis Cluster, for listening to sharded channels; once closed it is over.
// Written on the socket itself: the server ends a subscription unasked when a slot moves away, which ioredis takes for the
// answer to whatever it asked last, and it leaves a SSUBSCRIBE that is refused as MOVED without an answer. Invariant: every
// answer belongs to the command that stands first in the row, by its channel; where it does not, the link is closed.

import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { RedisServer } from '../platform/redis.ts'
import { keySlot } from '../platform/redis-key-slot.ts'
import { type RedisReply, RedisReplyError, RedisReplyReader } from '../platform/redis-replies.ts'

export interface ShardLinkEvents {
  onOpen(): void
  onMessage(channel: string, message: string): void
  /** The server ended the subscription: its slot is somebody else's now. */
  onTaken(channel: string): void
  /** Once, also where it never opened. Nothing comes after it. */
  onClose(error: Error): void
}

interface Command {
  readonly name: 'ssubscribe' | 'sunsubscribe' | 'other'
  readonly channel: string | null
  readonly sentAtMs: number
  resolve(): void
  reject(error: Error): void
}

const CONNECT_TIMEOUT_MS = 5_000
const COMMAND_TIMEOUT_MS = 2_000
/** A dead link looks like silence: only a question that stays unanswered tells. */
const HEARTBEAT_INTERVAL_MS = 5_000

export class ShardLink {
  readonly #events: ShardLinkEvents
  readonly #socket: Socket
  readonly #reader = new RedisReplyReader()
  /** What has been asked, in order. */
  readonly #row = new Set<Command>()
  readonly #heartbeat: NodeJS.Timeout
  #watch: NodeJS.Timeout | null
  #open = false
  #closed = false

  constructor(server: RedisServer, connectionName: string, events: ShardLinkEvents) {
    this.#events = events
    const { host, port } = server
    const target = { host, port, keepAlive: true, keepAliveInitialDelay: 10_000, noDelay: true }
    this.#socket = server.tls
      ? connectTls({ ...target, ...(/[a-z]/i.test(host) ? { servername: host } : {}) })
      : connect(target)
    this.#socket.once(server.tls ? 'secureConnect' : 'connect', () => this.#greet(server, connectionName))
    this.#socket.on('data', (piece) => this.#read(piece))
    this.#socket.on('error', (error) => this.#end(error))
    this.#socket.on('close', () => this.#end(new Error('The connection to Redis was cut')))
    this.#watch = setTimeout(() => this.#end(new Error('Redis could not be reached')), CONNECT_TIMEOUT_MS)
    this.#heartbeat = setInterval(() => {
      if (this.#open) this.ping().catch(() => {})
    }, HEARTBEAT_INTERVAL_MS)
    this.#heartbeat.unref()
  }

  get isOpen(): boolean {
    return this.#open
  }

  /** Resolves once the server has acknowledged it. */
  subscribe(channel: string): Promise<void> {
    return this.#send('ssubscribe', channel, ['SSUBSCRIBE', channel])
  }

  /** Resolves once nothing comes of the channel any more. */
  unsubscribe(channel: string): Promise<void> {
    return this.#send('sunsubscribe', channel, ['SUNSUBSCRIBE', channel])
  }

  ping(): Promise<void> {
    return this.#send('other', null, ['PING'])
  }

  close(): void {
    this.#end(new Error('The connection to Redis was closed'))
  }

  #greet({ username, password }: RedisServer, connectionName: string): void {
    if (this.#closed) return
    this.#stopWatch()
    // As with ioredis: the default user signs in with the password alone.
    if (password !== null) this.#ask(['AUTH', ...(username === null ? [] : [username]), password])
    this.#ask(['CLIENT', 'SETNAME', connectionName])
    // A server that loads its data, or wants a password, does not answer a PING with PONG.
    this.#send('other', null, ['PING']).then(
      () => {
        if (this.#closed) return
        this.#open = true
        this.#events.onOpen()
      },
      (error) => this.#end(error),
    )
  }

  /** Of the greeting: the PING after it tells whether it went well. */
  #ask(words: readonly string[]): void {
    this.#send('other', null, words).catch((error) => {
      if (words[0] === 'AUTH') this.#end(error)
    })
  }

  #send(name: Command['name'], channel: string | null, words: readonly string[]): Promise<void> {
    if (this.#closed) return Promise.reject(new Error('Redis is away'))
    return new Promise((resolve, reject) => {
      this.#row.add({ name, channel, sentAtMs: performance.now(), resolve, reject })
      this.#socket.write(encode(words))
      this.#startWatch()
    })
  }

  #read(piece: Buffer): void {
    try {
      for (const reply of this.#reader.read(piece)) {
        if (this.#closed) return
        this.#take(reply)
      }
    } catch (error) {
      // What is thrown is an Error of the reader or of #take.
      this.#end(error as Error)
    }
  }

  #take(reply: RedisReply): void {
    if (!Array.isArray(reply)) {
      this.#settleFirst(reply)
      return
    }
    const [kind, channel, message] = reply
    if (kind === 'pong') this.#settleFirst('PONG')
    else if (typeof channel !== 'string') throw outOfStep()
    else if (kind === 'smessage') this.#events.onMessage(channel, String(message ?? ''))
    else if (kind === 'sunsubscribe') {
      if (!this.#answerFirst(kind, channel)) this.#events.onTaken(channel)
    } else if (kind !== 'ssubscribe' || !this.#answerFirst(kind, channel)) throw outOfStep()
  }

  #answerFirst(name: Command['name'], channel: string): boolean {
    const command = this.#first()
    if (command?.name !== name || command.channel !== channel) return false
    this.#shift(command)
    command.resolve()
    return true
  }

  /** An error names no channel, but MOVED a slot. */
  #settleFirst(reply: RedisReply): void {
    const command = this.#first()
    const error = reply instanceof RedisReplyError ? reply : null
    const slot = error === null ? undefined : /^MOVED (\d+) /.exec(error.message)?.[1]
    // Of a SUNSUBSCRIBE that crossed the server's own end of that subscription, which stood for its answer.
    if (!command && slot !== undefined) return
    if (!command || !mayAnswer(command, slot === undefined ? null : Number(slot), error !== null)) throw outOfStep()
    this.#shift(command)
    if (error) command.reject(error)
    else command.resolve()
  }

  #first(): Command | undefined {
    return this.#row.values().next().value
  }

  #shift(command: Command): void {
    this.#row.delete(command)
    if (this.#row.size === 0) this.#stopWatch()
  }

  #startWatch(): void {
    if (this.#watch || this.#closed) return
    const oldest = this.#first()
    if (!oldest) return
    const dueMs = Math.max(1, oldest.sentAtMs + COMMAND_TIMEOUT_MS - performance.now())
    this.#watch = setTimeout(() => {
      this.#watch = null
      const first = this.#first()
      if (first && performance.now() - first.sentAtMs >= COMMAND_TIMEOUT_MS) {
        this.#end(new Error(`Redis did not answer in ${COMMAND_TIMEOUT_MS} ms`))
      } else {
        this.#startWatch()
      }
    }, dueMs)
  }

  #stopWatch(): void {
    if (this.#watch) clearTimeout(this.#watch)
    this.#watch = null
  }

  #end(error: Error): void {
    if (this.#closed) return
    this.#closed = true
    this.#open = false
    this.#stopWatch()
    clearInterval(this.#heartbeat)
    this.#socket.destroy()
    const unanswered = [...this.#row]
    this.#row.clear()
    for (const command of unanswered) command.reject(error)
    this.#events.onClose(error)
  }
}

/** Only what is about no channel is answered by a word; MOVED speaks of the slot that it was asked about. */
function mayAnswer({ channel }: Command, movedSlot: number | null, isError: boolean): boolean {
  if (channel === null) return movedSlot === null
  return isError && (movedSlot === null || keySlot(channel) === movedSlot)
}

function outOfStep(): Error {
  return new Error('Redis answered something else than it was asked')
}

function encode(words: readonly string[]): string {
  return `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`
}
