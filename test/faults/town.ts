// The people and rooms of a run, and what they do: clients that talk, and members of private rooms who go and come back.

import { setTimeout as delay } from 'node:timers/promises'
import { type AbsentUser, type Addressee, chooseLevel, makeAbsentUser, makeWebhooks, writeOnce } from './absentees.ts'
import { changeUntilCertain, createRoom, type FaultUser, makeUser, type PickUrl } from './api.ts'
import { FaultClient } from './clients.ts'
import type { Cluster } from './cluster.ts'
import type { Absentee, MembershipChange, SendHistory, Target } from './history.ts'
import type { Random } from './random.ts'
import type { Receiver } from './receivers.ts'

export interface TownOptions {
  clients: number
  rooms: number
  roomsPerClient: number
  sendEveryMs: number
  breakEveryMs: number
}

/** Where people's notifications go to. */
export interface Receivers {
  readonly webhooks: readonly Receiver[]
  readonly pushService: Receiver
}

interface TownRoom {
  id: string
  isPrivate: boolean
  isDirect: boolean
  owner: FaultUser
  /** Those who have clients. */
  members: FaultUser[]
  absent: AbsentUser[]
}

/** Every tenth client is a second device of the user before. */
const DEVICE_EVERY = 10
const OUTSIDERS_PER_PRIVATE_ROOM = 2
const CHANGE_EVERY_MS = 400
const FILE_SHARE = 0.04
const ABSENTEES_PER_ROOM = 3
const ROOMS_PER_ABSENTEE = 3
/** So many other rooms for each direct one. */
const ROOMS_PER_DIRECT_ROOM = 6

export class Town {
  readonly clients: FaultClient[] = []
  readonly rooms: TownRoom[] = []
  readonly changes: MembershipChange[] = []
  readonly absentees: Absentee[] = []
  readonly absentUsers: AbsentUser[] = []
  /** The webhooks, and the absent users' browsers. */
  readonly targets: Target[] = []
  /** What the absent users wrote before all else. */
  readonly firstSends: SendHistory[] = []
  readonly failures: string[] = []
  readonly #cluster: Cluster
  readonly #random: Random
  readonly #options: TownOptions
  readonly #receivers: Receivers
  /** By room: whom its messages can be meant for. */
  readonly #addressees = new Map<string, Addressee[]>()
  /** Who has left or is about to, as room and user. */
  readonly #away = new Set<string>()
  #isRestless = true
  #isOver = false

  private constructor(cluster: Cluster, receivers: Receivers, random: Random, options: TownOptions) {
    this.#cluster = cluster
    this.#receivers = receivers
    this.#random = random
    this.#options = options
  }

  static async found(cluster: Cluster, receivers: Receivers, random: Random, options: TownOptions): Promise<Town> {
    const town = new Town(cluster, receivers, random, options)
    await town.#build()
    return town
  }

  /** Of a node, past its proxy. */
  readonly pickUrl: PickUrl = () => `${this.#random.pick(this.#cluster.running).node.url}/graphql`

  start(): void {
    for (const client of this.clients) client.start()
    void this.#moveAbout()
  }

  /** Nobody writes, breaks away or leaves any more, and who has left is added again. */
  async calmDown(): Promise<void> {
    this.#isRestless = false
    for (const client of this.clients) {
      client.stopSending()
      client.stopBreaking()
    }
    while (this.#away.size > 0) await delay(50)
  }

  /** Whatever is still tried is given up. */
  async close(): Promise<void> {
    this.#isOver = true
    this.#isRestless = false
    await Promise.allSettled(this.clients.map((client) => client.leave()))
  }

  /** Whether the user may read the room, once all are back. */
  mayRead(user: string, room: string): boolean {
    const found = this.rooms.find(({ id }) => id === room)
    return found !== undefined && (!found.isPrivate || found.members.some(({ id }) => id === user))
  }

  async #build(): Promise<void> {
    const { clients, rooms, roomsPerClient } = this.#options
    const userCount = clients - Math.floor(clients / DEVICE_EVERY)
    const users = await inBatches(userCount, (index) => makeUser(this.pickUrl, `user-${index + 1}`))
    const places = users.map(() => this.#random.shuffled([...Array(rooms).keys()]).slice(0, roomsPerClient))
    const absent = await this.#makeAbsentUsers(Math.ceil((rooms * ABSENTEES_PER_ROOM) / ROOMS_PER_ABSENTEE))
    const directRooms = Math.ceil(rooms / ROOMS_PER_DIRECT_ROOM)
    const made = await inBatches(rooms + directRooms, (index) => {
      const own = absent.filter((_, place) => (index - place + rooms) % rooms < ROOMS_PER_ABSENTEE)
      if (index >= rooms) return this.#makeDirectRoom(users[index - rooms], absent[index - rooms])
      return this.#makeRoom(
        index,
        users.filter((_, user) => places[user]?.includes(index)),
        own,
      )
    })
    this.rooms.push(...made)
    await this.#settleAbsentees()
    let user = 0
    for (let index = 0; index < clients; index++) {
      const isSecondDevice = index % DEVICE_EVERY === DEVICE_EVERY - 1
      this.#addClient(`client-${index + 1}`, users[isSecondDevice ? user - 1 : user++])
    }
  }

  async #makeAbsentUsers(count: number): Promise<AbsentUser[]> {
    const { webhooks, pushService } = this.#receivers
    this.targets.push(...(await makeWebhooks(this.pickUrl, webhooks)))
    const made = await inBatches(count, (index) => makeAbsentUser(this.pickUrl, index, pushService))
    this.targets.push(...made.flatMap(({ targets }) => targets))
    this.absentUsers.push(...made.map(({ user }) => user))
    return this.absentUsers
  }

  /** First everybody says what they want to be told of, and then there is something to tell. */
  async #settleAbsentees(): Promise<void> {
    const places = this.rooms.flatMap((room) => room.absent.map((user) => ({ room, user })))
    const random = this.#random.fork()
    for (const { room, user } of places) {
      this.absentees.push(await chooseLevel(this.pickUrl, user, room, random))
    }
    for (const { room, user } of places) {
      const { send, addressee } = await writeOnce(this.pickUrl, user, room.id)
      this.firstSends.push(send)
      this.#addressees.set(room.id, [...(this.#addressees.get(room.id) ?? []), addressee])
    }
  }

  async #makeDirectRoom(owner: FaultUser | undefined, other: AbsentUser | undefined): Promise<TownRoom> {
    if (!owner || !other) throw new Error('there are more direct rooms than people for them')
    const id = await createRoom(this.pickUrl, owner, { kind: 'DIRECT', memberIds: [other.id] })
    return { id, isPrivate: true, isDirect: true, owner, members: [owner], absent: [other] }
  }

  async #makeRoom(index: number, members: FaultUser[], absent: AbsentUser[]): Promise<TownRoom> {
    const isPrivate = index % 3 === 0
    const [owner, ...others] = members
    if (!owner) throw new Error('a room without members: take more clients or fewer rooms')
    const kind = isPrivate ? 'PRIVATE' : 'PUBLIC'
    const memberIds = [...absent, ...others].map(({ id }) => id)
    const id = await createRoom(this.pickUrl, owner, {
      name: `Room ${index + 1}`,
      kind,
      memberIds: memberIds.slice(0, 50),
    })
    for (const userId of memberIds.slice(50)) {
      const change = isPrivate
        ? { token: owner.token, field: 'addMember' as const, input: { roomId: id, userId } }
        : { token: tokenOf(others, userId), field: 'joinRoom' as const, input: { roomId: id } }
      await changeUntilCertain(this.pickUrl, change.token, change, () => this.#isOver)
    }
    return { id, isPrivate, isDirect: false, owner, members, absent }
  }

  #addClient(name: string, user: FaultUser | undefined): void {
    if (!user) throw new Error('there are fewer users than clients')
    const random = this.#random.fork()
    const own = this.rooms.filter(({ members }) => members.includes(user))
    const closed = this.rooms.filter(({ isPrivate, members }) => isPrivate && !members.includes(user))
    // They knock again and again, and must never be let in.
    const share = (OUTSIDERS_PER_PRIVATE_ROOM * closed.length) / this.#options.clients
    const knocked = closed.length > 0 && random.chance(share) ? [random.pick(closed)] : []
    this.clients.push(
      new FaultClient({
        name,
        user: user.id,
        token: user.token,
        rooms: [
          ...own.map(({ id }) => ({ room: id, after: random.chance(0.5) ? 0 : null, isWriter: true })),
          ...knocked.map(({ id }) => ({ room: id, after: 0, isWriter: false })),
        ],
        pickUrl: () => `http://127.0.0.1:${random.pick(this.#cluster.members).sockets.port}/graphql`,
        random,
        addressees: this.#addressees,
        fileShare: FILE_SHARE,
        sendEveryMs: this.#options.sendEveryMs,
        breakEveryMs: this.#options.breakEveryMs,
      }),
    )
  }

  /** Members of private rooms leave and are added again some time later. */
  async #moveAbout(): Promise<void> {
    const closed = this.rooms.filter(({ isPrivate, isDirect, members }) => isPrivate && !isDirect && members.length > 1)
    while (closed.length > 0) {
      await delay(this.#random.waitMs(CHANGE_EVERY_MS))
      if (!this.#isRestless) return
      const room = this.#random.pick(closed)
      const user = this.#random.pick([...room.members.slice(1), ...room.absent.filter(({ isSteady }) => !isSteady)])
      const key = `${room.id} ${user.id}`
      if (this.#away.has(key)) continue
      this.#away.add(key)
      this.#goAndComeBack(room, user)
        .catch((error: unknown) => this.failures.push(String(error)))
        .finally(() => this.#away.delete(key))
    }
  }

  async #goAndComeBack({ id, owner }: TownRoom, user: FaultUser): Promise<void> {
    const note = (kind: MembershipChange['kind']) =>
      this.changes.push({ room: id, user: user.id, kind, startedAtMs: performance.now() })
    const isOver = () => this.#isOver
    note('leave')
    await changeUntilCertain(this.pickUrl, user.token, { field: 'leaveRoom', input: { roomId: id } }, isOver)
    if (this.#isRestless) await delay(this.#random.waitMs(2_000))
    note('add')
    const input = { roomId: id, userId: user.id }
    await changeUntilCertain(this.pickUrl, owner.token, { field: 'addMember', input }, isOver)
  }
}

function tokenOf(users: readonly FaultUser[], id: string): string {
  return users.find((user) => user.id === id)?.token ?? ''
}

/** So many at once, in the order of their indexes. */
async function inBatches<T>(count: number, make: (index: number) => Promise<T>, atOnce = 10): Promise<T[]> {
  const made: T[] = []
  while (made.length < count) {
    const size = Math.min(atOnce, count - made.length)
    made.push(...(await Promise.all(Array.from({ length: size }, (_, index) => make(made.length + index)))))
  }
  return made
}
