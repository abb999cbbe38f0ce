// Somebody who writes to a room as fast as the server answers, and remembers what it acknowledged.

import { post } from '../support/graphql-over-http.ts'
import { connect, subscribe } from '../support/stream.ts'

const LANES = 4

const CREATE_ROOM = `mutation { createRoom(input: { name: "Written" }) { ... on CreateRoomSuccess { room { id } } } }`
const SEND = `mutation ($input: SendMessageInput!) { sendMessage(input: $input) { __typename } }`
const ROOM_EVENTS = `subscription ($roomId: ID!) { roomEvents(roomId: $roomId, after: 0) {
  __typename seq ... on MessageSent { message { text } } } }`

interface RoomEvent {
  roomEvents: { __typename: string; seq: number; message?: { text: string } }
}

export class Writer {
  readonly #token: string
  readonly #roomId: string
  readonly acknowledged: string[] = []
  #sent = 0
  #lanes: Promise<void>[] = []
  #isWriting = false

  private constructor(token: string, roomId: string) {
    this.#token = token
    this.#roomId = roomId
  }

  /** Signs in by name, as in development, and makes a room. */
  static async signIn(url: string, name = 'Ada'): Promise<Writer> {
    const response = await fetch(`${url}/sign-in`, {
      method: 'POST',
      body: JSON.stringify({ name }),
      signal: AbortSignal.timeout(10_000),
    })
    const { token }: { token: string } = await response.json()
    const { data, errors } = await post(`${url}/graphql`, CREATE_ROOM, { token })
    // What was asked for above.
    const made = data as { createRoom: { room: { id: string } } } | null
    if (!made) throw new Error(`There is no room: ${JSON.stringify(errors)}`)
    return new Writer(token, made.createRoom.room.id)
  }

  /** Writes until `stop`; what fails is left behind, as it was never acknowledged. */
  start(url: string): void {
    this.#isWriting = true
    this.#lanes = Array.from({ length: LANES }, async () => {
      while (this.#isWriting) await this.write(url).catch(() => new Promise((resolve) => setTimeout(resolve, 20)))
    })
  }

  async stop(): Promise<void> {
    this.#isWriting = false
    await Promise.all(this.#lanes)
  }

  async write(url: string): Promise<void> {
    const text = `message ${++this.#sent}`
    const { data, errors } = await post(`${url}/graphql`, SEND, {
      token: this.#token,
      variables: { input: { roomId: this.#roomId, text } },
    })
    const isSent = Object(data?.sendMessage).__typename === 'SendMessageSuccess'
    if (!isSent) throw new Error(`not sent: ${JSON.stringify(data ?? errors)}`)
    this.acknowledged.push(text)
  }

  /** The texts in the room's log, whose numbers must be without a gap. */
  async read(url: string): Promise<string[]> {
    const client = connect(`${url}/graphql`, this.#token)
    try {
      const stream = subscribe<RoomEvent>(client, ROOM_EVENTS, { roomId: this.#roomId })
      const items = await stream.takeUntil(({ data }) => data?.roomEvents.__typename === 'CaughtUp')
      const events = items.flatMap(({ data }) => data?.roomEvents ?? []).slice(0, -1)
      const gap = events.find(({ seq }, index) => seq !== index + 1)
      if (gap) throw new Error(`The log has a gap before ${gap.seq}`)
      return events.flatMap(({ message }) => message?.text ?? [])
    } finally {
      await client.dispose()
    }
  }
}
