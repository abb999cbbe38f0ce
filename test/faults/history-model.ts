// Makes histories in which every promise is kept, of all shapes: for the checker's own tests.

import type {
  Absentee,
  Download,
  History,
  MembershipChange,
  Opening,
  PresenceReport,
  SendHistory,
  SentFile,
  StoredEvent,
  StoredFile,
  StoredRoom,
  StreamHistory,
} from './history.ts'
import { type ModelDuty, tellCorrectly } from './notification-model.ts'
import { Random } from './random.ts'

export interface ModelOptions {
  seed: number
  users: number
  rooms: number
  /** Of each room. */
  steps: number
}

export function makeCorrectHistory({ seed, users, rooms, steps }: ModelOptions): History {
  const random = new Random(seed)
  const models = Array.from({ length: rooms }, (_, index) => {
    const people = Array.from({ length: users }, (_, user) => `user${user}`)
    return new RoomModel(`room${index}`, random.chance(0.5), people, random)
  })
  for (const model of models) {
    for (let step = 0; step < steps; step++) model.step()
    model.finish()
  }
  return {
    streams: models.flatMap(({ streams }) => streams),
    sends: models.flatMap(({ sends }) => sends),
    memberships: models.flatMap(({ changes }) => changes),
    rooms: models.map((model) => model.stored),
    presence: models.flatMap((model) => model.presence()),
    notifications: tellCorrectly(
      models.flatMap(({ duties }) => duties),
      models.flatMap(({ absentees }) => absentees),
      random.fork(),
    ),
    files: {
      stored: models.flatMap(({ files }) => files),
      objects: models.flatMap(({ files }) => files.flatMap(({ keys }) => keys)),
      downloads: models.flatMap(({ downloads }) => downloads),
    },
  }
}

/** Members of every room who never read; they want to be told of everything, of what is meant for them, and of nothing. */
const ABSENTEES = ['ALL', 'MENTIONS', 'NONE'] as const

class RoomModel {
  readonly streams: StreamHistory[] = []
  readonly sends: SendHistory[] = []
  readonly changes: MembershipChange[] = []
  readonly absentees: readonly Absentee[]
  /** What somebody has to be told of. */
  readonly duties: ModelDuty[] = []
  readonly files: StoredFile[] = []
  readonly downloads: Download[] = []
  readonly #room: string
  readonly #isPrivate: boolean
  readonly #random: Random
  readonly #events: StoredEvent[] = []
  readonly #members = new Set<string>()
  /** By user. The first owns the room and stays; the last of a private room is never let in. */
  readonly #people: readonly string[]
  #nowMs = 0

  constructor(room: string, isPrivate: boolean, people: readonly string[], random: Random) {
    this.#room = room
    this.#isPrivate = isPrivate
    this.#people = people
    this.#random = random
    const founders = isPrivate ? people.slice(0, Math.max(1, people.length - 1)) : people
    for (const user of founders) {
      this.#append('MemberJoined', user)
      this.#members.add(user)
    }
    this.absentees = ABSENTEES.map((level) => ({ user: `absentee ${level}`, room, level, isSteady: true }))
    for (const { user } of this.absentees) {
      this.#append('MemberJoined', user, people[0])
      this.duties.push({ user, room, kind: 'ROOM_ADDED', message: null })
    }
    for (const user of people) {
      this.streams.push({ client: `client of ${user}`, user, room, openings: [], mustReachHead: false })
    }
  }

  get stored(): StoredRoom {
    const [lastSeq, events] = [this.#events.length, this.#events]
    return { room: this.#room, isPrivate: this.#isPrivate, isDirect: false, lastSeq, events }
  }

  step(): void {
    this.#nowMs += this.#random.integer(1, 5)
    const stream = this.#random.pick(this.streams)
    const choice = this.#random.integer(0, 9)
    if (choice <= 3) this.#send(this.#random.pick([...this.#members]))
    else if (choice <= 6) this.#goOn(stream)
    else if (choice === 7) this.#cut(stream)
    else if (choice === 8 && this.#isPrivate) this.#changeMembership()
    else this.#sendInVain(this.#random.pick(this.#people))
  }

  /** Everybody who may reads to the head. */
  finish(): void {
    this.#nowMs += 10
    for (const stream of this.streams) {
      if (!this.#mayRead(stream.user)) continue
      if (openOf(stream) === null) this.#open(stream)
      this.#deliver(stream, this.#events.length)
      stream.mustReachHead = true
    }
  }

  presence(): PresenceReport[] {
    const connected = this.#people.filter(() => this.#random.chance(0.5))
    return ['node0', 'node1'].map((node) => ({ node, room: this.#room, said: connected.toReversed(), connected }))
  }

  #mayRead(user: string): boolean {
    return !this.#isPrivate || this.#members.has(user)
  }

  #append(type: string, user: string, actor: string | null = user): StoredEvent {
    return this.#appendAll({ type, user, actor, id: null, clientMessageId: null })
  }

  #appendAll(event: Omit<StoredEvent, 'seq'>): StoredEvent {
    const appended = { seq: this.#events.length + 1, ...event }
    this.#events.push(appended)
    return appended
  }

  #send(user: string): void {
    const number = this.#events.length
    const clientMessageId = `${user} ${number}`
    const id = `${this.#room} message ${number}`
    const { seq } = this.#appendAll({ type: 'MessageSent', user, actor: user, id, clientMessageId })
    const acks = Array.from({ length: this.#random.integer(0, 2) }, () => ({ seq, id }))
    const attempts = acks.length + this.#random.integer(2, 3)
    const refusals = this.#random.chance(0.1) ? ['NOT_FOUND'] : []
    const client = `client of ${user}`
    const meant = this.#meanSomebody(id)
    this.sends.push({
      client,
      user,
      room: this.#room,
      clientMessageId,
      attempts,
      acks,
      refusals,
      ...meant,
      attachments: this.#attach(id),
    })
  }

  /** Uploads files for it and fetches them again. */
  #attach(message: string): SentFile[] {
    const count = this.#random.chance(0.2) ? this.#random.integer(1, 3) : 0
    return Array.from({ length: count }, (_, index) => {
      const id = `file ${index} of ${message}`
      const digest = `bytes of ${id}`
      this.files.push({ id, message, status: 'READY', keys: [`${id}/upload`] })
      this.downloads.push({ file: id, digest, answer: '200' })
      return { id, digest }
    })
  }

  /** Mentions some, or replies to one, and notes who is to be told of it. */
  #meanSomebody(message: string): Pick<SendHistory, 'mentions' | 'repliesTo'> {
    const names = this.absentees.map(({ user }) => user)
    const mentions = this.#random.chance(0.1) ? 'EVERYBODY' : names.filter(() => this.#random.chance(0.1))
    const repliesTo = this.#random.chance(0.2) ? this.#random.pick(names) : null
    for (const { user, level, room } of this.absentees) {
      if (level === 'NONE') continue
      const duty = { user, room, message }
      if (mentions === 'EVERYBODY' || mentions.includes(user)) this.duties.push({ ...duty, kind: 'MENTION' })
      else if (repliesTo === user) this.duties.push({ ...duty, kind: 'REPLY' })
      else if (level === 'ALL') this.duties.push({ ...duty, kind: 'MESSAGE' })
    }
    return { mentions, repliesTo }
  }

  #sendInVain(user: string): void {
    const refusals = this.#random.chance(0.5) ? ['NOT_FOUND'] : []
    const clientMessageId = `${user} in vain ${this.sends.length}`
    const client = `client of ${user}`
    // What was uploaded for it is cleaned up.
    const meant = { mentions: [], repliesTo: null }
    this.sends.push({
      client,
      user,
      room: this.#room,
      clientMessageId,
      attempts: 1,
      acks: [],
      refusals,
      ...meant,
      attachments: [],
    })
  }

  #goOn(stream: StreamHistory): void {
    if (openOf(stream) === null) this.#open(stream)
    else this.#deliver(stream, this.#random.integer(0, this.#events.length))
  }

  #open(stream: StreamHistory): void {
    const position = positionOf(stream)
    const after = position ?? (this.#random.chance(0.5) ? null : this.#random.integer(0, this.#events.length))
    const opening: Opening = { openedAtMs: this.#nowMs, after, items: [], end: 'open' }
    stream.openings.push(opening)
    if (!this.#mayRead(stream.user)) opening.end = 'refused'
    else if (after === null) this.#item(opening, 'CaughtUp', this.#events.length)
  }

  #deliver(stream: StreamHistory, upTo: number): void {
    const opening = openOf(stream)
    if (!opening) return
    for (let seq = (positionOf(stream) ?? 0) + 1; seq <= upTo; seq++) {
      const { type, id = null } = this.#events[seq - 1] ?? { type: '' }
      this.#item(opening, type, seq, id)
    }
    const at = positionOf(stream) ?? 0
    if (at === this.#events.length && !opening.items.some(({ type }) => type === 'CaughtUp')) {
      this.#item(opening, 'CaughtUp', at)
    }
  }

  #item({ items }: Opening, type: string, seq: number, id: string | null = null): void {
    this.#nowMs += 1
    items.push({ atMs: this.#nowMs, type, seq, id })
  }

  #cut(stream: StreamHistory): void {
    const opening = openOf(stream)
    if (opening) opening.end = 'cut'
  }

  #changeMembership(): void {
    const candidates = this.#people.slice(1, -1)
    if (candidates.length === 0) return
    const user = this.#random.pick(candidates)
    const kind = this.#members.has(user) ? 'leave' : 'add'
    this.changes.push({ room: this.#room, user, kind, startedAtMs: this.#nowMs })
    this.#nowMs += 1
    this.#append(kind === 'leave' ? 'MemberLeft' : 'MemberJoined', user)
    if (kind === 'add') {
      this.#members.add(user)
      return
    }
    this.#members.delete(user)
    for (const stream of this.streams.filter((each) => each.user === user)) {
      const opening = openOf(stream)
      if (!opening) continue
      this.#deliver(stream, this.#events.length)
      opening.end = 'completed'
    }
  }
}

function openOf({ openings }: StreamHistory): Opening | null {
  const last = openings.at(-1)
  return last?.end === 'open' ? last : null
}

function positionOf({ openings }: StreamHistory): number | null {
  const last = openings.findLast(({ items, after }) => items.length > 0 || after !== null)
  return last?.items.at(-1)?.seq ?? last?.after ?? null
}
