// The people and rooms of a run, and what they do: clients that talk, and members of private rooms who go and come back.

import { setTimeout as delay } from 'node:timers/promises'
import { changeUntilCertain, createRoom, type FaultUser, makeUser, type PickUrl } from './api.ts'
import { FaultClient } from './clients.ts'
import type { Cluster } from './cluster.ts'
import type { MembershipChange } from './history.ts'
import type { Random } from './random.ts'

export interface TownOptions {
  clients: number
  rooms: number
  roomsPerClient: number
  sendEveryMs: number
  breakEveryMs: number
}

interface TownRoom {
  id: string
  isPrivate: boolean
  owner: FaultUser
  members: FaultUser[]
}

/** Every tenth client is a second device of the user before. */
const DEVICE_EVERY = 10
const OUTSIDERS_PER_PRIVATE_ROOM = 2
const CHANGE_EVERY_MS = 400

export class Town {
  readonly clients: FaultClient[] = []
  readonly rooms: TownRoom[] = []
  readonly changes: MembershipChange[] = []
  readonly failures: string[] = []
  readonly #cluster: Cluster
  readonly #random: Random
  readonly #options: TownOptions
  /** Who has left or is about to, as room and user. */
  readonly #away = new Set<string>()
  #isRestless = true
  #isOver = false

  private constructor(cluster: Cluster, random: Random, options: TownOptions) {
    this.#cluster = cluster
    this.#random = random
    this.#options = options
  }

  static async found(cluster: Cluster, random: Random, options: TownOptions): Promise<Town> {
    const town = new Town(cluster, random, options)
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
    const made = await inBatches(rooms, (index) => {
      const members = users.filter((_, user) => places[user]?.includes(index))
      return this.#makeRoom(index, members)
    })
    this.rooms.push(...made)
    let user = 0
    for (let index = 0; index < clients; index++) {
      const isSecondDevice = index % DEVICE_EVERY === DEVICE_EVERY - 1
      this.#addClient(`client-${index + 1}`, users[isSecondDevice ? user - 1 : user++], roomsPerClient)
    }
  }

  async #makeRoom(index: number, members: FaultUser[]): Promise<TownRoom> {
    const isPrivate = index % 3 === 0
    const [owner, ...others] = members
    if (!owner) throw new Error('a room without members: take more clients or fewer rooms')
    const kind = isPrivate ? 'PRIVATE' : 'PUBLIC'
    const memberIds = others.map(({ id }) => id)
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
    return { id, isPrivate, owner, members }
  }

  #addClient(name: string, user: FaultUser | undefined, roomsPerClient: number): void {
    if (!user) throw new Error('there are fewer users than clients')
    const random = this.#random.fork()
    const own = this.rooms.filter(({ members }) => members.includes(user)).slice(0, roomsPerClient)
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
        sendEveryMs: this.#options.sendEveryMs,
        breakEveryMs: this.#options.breakEveryMs,
      }),
    )
  }

  /** Members of private rooms leave and are added again some time later. */
  async #moveAbout(): Promise<void> {
    const closed = this.rooms.filter(({ isPrivate, members }) => isPrivate && members.length > 1)
    while (closed.length > 0) {
      await delay(this.#random.waitMs(CHANGE_EVERY_MS))
      if (!this.#isRestless) return
      const room = this.#random.pick(closed)
      const user = this.#random.pick(room.members.slice(1))
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
