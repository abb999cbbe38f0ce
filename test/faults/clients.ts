// Real graphql-ws clients as the protocol describes a correct one: they send with clientMessageId and repeat with the same
// one until they know, follow rooms by `after`, break away at random, and write down what they saw. They judge nothing.

import { type Client, createClient } from 'graphql-ws'
import { WebSocket } from 'ws'
import { post } from '../support/graphql-over-http.ts'
import type { Addressee } from './absentees.ts'
import { textOf, uploadFile } from './files.ts'
import type { Opening, SendHistory, SentFile, StreamHistory } from './history.ts'
import type { Random } from './random.ts'

/** How long a client waits for the handshake, the acknowledgement or a pong before it drops the socket. */
const PATIENCE_MS = 2_500
const PING_EVERY_MS = 2_000
const MAX_SENDS_IN_FLIGHT = 4
const UPLOAD_ATTEMPTS = 10

const ROOM_EVENTS = `subscription ($roomId: ID!, $after: Int) {
  roomEvents(roomId: $roomId, after: $after) { __typename seq ... on MessageSent { message { id } } }
}`
const SEND = `mutation ($input: SendMessageInput!) { sendMessage(input: $input) {
  ... on SendMessageSuccess { sentMessage { id seq } } ... on Error { code } } }`

interface Result<T> {
  data?: T | null
  errors?: readonly { message: string; extensions?: Record<string, unknown> }[]
}
interface StreamData {
  roomEvents: { __typename: string; seq: number; message?: { id: string } }
}
interface SendData {
  sendMessage: { sentMessage?: { id: string; seq: number }; code?: string }
}

export interface FaultClientOptions {
  name: string
  /** The user's id. */
  user: string
  token: string
  rooms: readonly { room: string; after: number | null; isWriter: boolean }[]
  /** Of any node, chosen anew for each connection. */
  pickUrl: () => string
  random: Random
  /** By room: whom a message may mention or reply to. */
  addressees: ReadonlyMap<string, readonly Addressee[]>
  /** Of its messages so many carry a file: from 0 to 1. */
  fileShare: number
  sendEveryMs: number
  breakEveryMs: number
}

export class FaultClient {
  readonly name: string
  readonly user: string
  readonly token: string
  readonly streams: StreamHistory[]
  readonly sends: SendHistory[] = []
  /** What a correct server does not answer whatever happens: for people to look at. */
  readonly surprises: string[] = []
  pendingSends = 0
  readonly #options: FaultClientOptions
  readonly #client: Client
  readonly #stops = new Map<StreamHistory, () => void>()
  readonly #leaving = new AbortController()
  #isSending = true
  #isRestless = true
  #socket: WebSocket | null = null
  #deadline: NodeJS.Timeout | undefined

  constructor(options: FaultClientOptions) {
    const { name, user, token, rooms, random } = options
    this.#options = options
    this.name = name
    this.user = user
    this.token = token
    this.streams = rooms.map(({ room }) => ({ client: name, user, room, openings: [], mustReachHead: false }))
    this.#client = createClient({
      url: () => options.pickUrl().replace(/^http/, 'ws'),
      webSocketImpl: ImpatientSocket,
      connectionParams: { authorization: `Bearer ${token}` },
      lazy: true,
      keepAlive: PING_EVERY_MS,
      retryAttempts: Number.POSITIVE_INFINITY,
      shouldRetry: () => true,
      retryWait: (retries) => this.#pause(random.integer(50, 300) * Math.min(retries + 1, 5)),
      on: {
        opened: (socket) => this.#opened(socket),
        connected: () => clearTimeout(this.#deadline),
        ping: (isReceived) => isReceived || this.#expectAnswer(),
        pong: (isReceived) => isReceived && clearTimeout(this.#deadline),
        closed: () => clearTimeout(this.#deadline),
      },
    })
  }

  start(): void {
    for (const [index, stream] of this.streams.entries()) {
      void this.#follow(stream, this.#options.rooms[index]?.after ?? null)
    }
    const writable = this.#options.rooms.filter(({ isWriter }) => isWriter).map(({ room }) => room)
    if (writable.length > 0) void this.#write(writable)
    void this.#breakAway()
  }

  /** What is under way is tried until its fate is known. */
  stopSending(): void {
    this.#isSending = false
  }

  stopBreaking(): void {
    this.#isRestless = false
  }

  /** Ends the connection for good. */
  async leave(): Promise<void> {
    this.#leaving.abort()
    await this.#client.dispose()
    this.#socket?.terminate()
  }

  /** The seq up to which it has read a stream; null where it has nothing. */
  positionOf(stream: StreamHistory): number | null {
    return positionOf(stream)
  }

  #opened(socket: unknown): void {
    // graphql-ws hands out what it made by webSocketImpl.
    this.#socket = socket as WebSocket
    this.#expectAnswer()
  }

  #expectAnswer(): void {
    const socket = this.#socket
    clearTimeout(this.#deadline)
    this.#deadline = setTimeout(() => socket?.terminate(), PATIENCE_MS)
  }

  async #follow(stream: StreamHistory, firstAfter: number | null): Promise<void> {
    while (!this.#leaving.signal.aborted) {
      await this.#read(stream, firstAfter)
      await this.#pause(this.#options.random.integer(200, 1_500))
    }
  }

  /** One subscription, over as many connections as it takes; resolves when it has ended. */
  #read(stream: StreamHistory, firstAfter: number | null): Promise<void> {
    return new Promise((resolve) => {
      let opening: Opening | undefined
      const variables = {
        roomId: stream.room,
        // Read whenever graphql-ws puts the operation on the wire: then a new opening begins.
        get after() {
          if (opening?.end === 'open') opening.end = 'cut'
          const after = positionOf(stream) ?? firstAfter
          opening = { openedAtMs: performance.now(), after, items: [], end: 'open' }
          stream.openings.push(opening)
          return after
        },
      }
      const endAs = (end: Opening['end']) => {
        if (opening?.end === 'open') opening.end = end
        this.#stops.delete(stream)
        resolve()
      }
      const stop = this.#client.subscribe<StreamData>(
        { query: ROOM_EVENTS, variables },
        {
          next: ({ data, errors }: Result<StreamData>) => {
            if (data && opening) take(opening, data)
            else if (opening) this.#refused(opening, errors)
          },
          error: (error) => {
            this.#surprise('a stream failed', error)
            endAs('cut')
          },
          complete: () => endAs('completed'),
        },
      )
      this.#stops.set(stream, () => {
        if (opening?.end === 'open') opening.end = 'cut'
        stop()
      })
    })
  }

  #refused(opening: Opening, errors: Result<unknown>['errors']): void {
    const [error] = errors ?? []
    const { code, retryable } = error?.extensions ?? {}
    // The reason why a stream that did begin is over: who left the room, say.
    if (code === 'STREAM_ENDED') {
      opening.end = 'completed'
      return
    }
    opening.end = 'refused'
    if (code !== 'NOT_FOUND' && retryable !== true) this.#surprise('a stream was refused', errors)
  }

  async #write(rooms: readonly string[]): Promise<void> {
    const { random, sendEveryMs } = this.#options
    for (let number = 1; ; number++) {
      await this.#pause(random.waitMs(sendEveryMs))
      if (!this.#isSending || this.#leaving.signal.aborted) return
      if (this.pendingSends < MAX_SENDS_IN_FLIGHT) void this.#send(random.pick(rooms), `${this.name} ${number}`)
    }
  }

  async #send(room: string, clientMessageId: string): Promise<void> {
    const { random, user, name, addressees, fileShare } = this.#options
    const { text, replyToId, ...meant } = compose(clientMessageId, addressees.get(room) ?? [], random)
    this.pendingSends += 1
    const attachments = random.chance(fileShare) ? await this.#upload(clientMessageId) : []
    const send = {
      client: name,
      user,
      room,
      clientMessageId,
      attempts: 0,
      acks: [],
      refusals: [],
      ...meant,
      attachments,
    }
    this.sends.push(send)
    const input = {
      roomId: room,
      text,
      replyToId,
      ...(attachments.length === 0 ? {} : { attachmentIds: attachments.map(({ id }) => id) }),
      // Read whenever the message is put on the wire.
      get clientMessageId() {
        send.attempts += 1
        return clientMessageId
      },
    }
    // The same message over another node at the same time, as an impatient client's second attempt.
    if (random.chance(0.05)) void this.#judge(send, this.#overHttp(input))
    while (!(await this.#judge(send, this.#overSocket(input))) && !this.#leaving.signal.aborted) {
      await this.#pause(random.integer(100, 500))
    }
    this.pendingSends -= 1
  }

  /** A file for this message; none where it does not succeed. */
  async #upload(clientMessageId: string): Promise<SentFile[]> {
    const { random, pickUrl } = this.#options
    const text = textOf(clientMessageId, random)
    for (let attempt = 0; attempt < UPLOAD_ATTEMPTS && !this.#leaving.signal.aborted; attempt++) {
      const file = await uploadFile(pickUrl(), this.token, text)
      if (file) return [file]
      await this.#pause(random.integer(100, 500))
    }
    return []
  }

  /** Whether the answer has settled it. */
  async #judge(send: SendHistory, answer: Promise<Result<SendData> | null>): Promise<boolean> {
    const result = await answer
    if (result === null) return false
    const { sentMessage, code } = result.data?.sendMessage ?? {}
    if (sentMessage) send.acks.push({ seq: sentMessage.seq, id: sentMessage.id })
    // To be sent again, as it is.
    else if (code === 'ATTACHMENT_NOT_READY') return false
    else if (code !== undefined) send.refusals.push(code)
    else {
      const isRetryable = result.errors?.every(({ extensions }) => extensions?.retryable === true) ?? false
      if (!isRetryable) this.#surprise('a send was answered', result)
      return false
    }
    return true
  }

  /** Null where there was no answer. */
  #overSocket(input: object): Promise<Result<SendData> | null> {
    return new Promise((resolve) => {
      let result: Result<SendData> | null = null
      this.#client.subscribe<SendData>(
        { query: SEND, variables: { input } },
        {
          next: (value: Result<SendData>) => {
            result = value
          },
          error: (error) => {
            this.#surprise('a send failed', error)
            resolve(null)
          },
          complete: () => resolve(result),
        },
      )
    })
  }

  async #overHttp(input: object): Promise<Result<SendData> | null> {
    try {
      const { data, errors } = await post(this.#options.pickUrl(), SEND, {
        token: this.token,
        variables: { input },
      })
      // What SEND asks for.
      return { data: data as SendData | null, errors }
    } catch {
      return null
    }
  }

  /** Cuts its connection, or leaves a stream and takes it up again. */
  async #breakAway(): Promise<void> {
    const { random, breakEveryMs } = this.#options
    for (;;) {
      await this.#pause(random.waitMs(breakEveryMs))
      if (!this.#isRestless || this.#leaving.signal.aborted) return
      if (random.chance(0.7)) this.#socket?.terminate()
      else if (this.#stops.size > 0) random.pick([...this.#stops.values()])()
    }
  }

  #surprise(what: string, about: unknown): void {
    if (this.#leaving.signal.aborted) return
    const { code, reason, message } = Object(about)
    const text = code === undefined && message === undefined ? JSON.stringify(about) : `${code} ${reason ?? message}`
    this.surprises.push(`${what}: ${text}`)
  }

  /** Shorter when the client leaves. */
  #pause(timeMs: number): Promise<void> {
    const { signal } = this.#leaving
    if (signal.aborted) return Promise.resolve()
    return new Promise((resolve) => {
      const finish = () => {
        clearTimeout(timer)
        signal.removeEventListener('abort', finish)
        resolve()
      }
      const timer = setTimeout(finish, timeMs)
      signal.addEventListener('abort', finish)
    })
  }
}

interface Composed extends Pick<SendHistory, 'mentions' | 'repliesTo'> {
  text: string
  replyToId: string | null
}

/** Now and then it is meant for somebody. */
function compose(clientMessageId: string, addressees: readonly Addressee[], random: Random): Composed {
  const nobody = { text: `${clientMessageId} says something`, replyToId: null, mentions: [], repliesTo: null }
  if (addressees.length === 0) return nobody
  const { user, name, message } = random.pick(addressees)
  const choice = random.fraction()
  if (choice < 0.01) return { ...nobody, text: `${clientMessageId} asks @room`, mentions: 'EVERYBODY' }
  if (choice < 0.09) return { ...nobody, text: `${clientMessageId} asks @${name} about it`, mentions: [user] }
  if (choice < 0.15) return { ...nobody, replyToId: message, repliesTo: user }
  return nobody
}

/** A handshake over a link that says nothing must end. */
class ImpatientSocket extends WebSocket {
  constructor(address: string | URL, protocols?: string | string[]) {
    super(address, protocols, { handshakeTimeout: PATIENCE_MS, perMessageDeflate: false })
  }
}

function take({ items }: Opening, { roomEvents: { __typename: type, seq, message } }: StreamData): void {
  items.push({ atMs: performance.now(), type, seq, id: message?.id ?? null })
}

/** The seq of its last item, which is where the next opening begins. */
function positionOf({ openings }: StreamHistory): number | null {
  for (let index = openings.length - 1; index >= 0; index--) {
    const { items, after } = openings[index] ?? { items: [], after: null }
    const seq = items.at(-1)?.seq ?? after
    if (seq !== null && seq !== undefined) return seq
  }
  return null
}
