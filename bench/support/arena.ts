// All contenders of a bench, started and fed; and a scenario played on them: each with all its subscribers connected.

import { Redis } from 'ioredis'
import { type Contender, type ContenderName, publish, startContender } from './contenders.ts'
import type { LightClientOptions } from './light-client.ts'
import { CLIENT_CPU, leaveServerCpu } from './machine.ts'
import { type MessageSource, startMessageSource } from './message-source.ts'
import { nextMessage } from './message-text.ts'
import { LightClient } from './processes.ts'
import { startRedis } from './redis.ts'
import { takeSamples } from './samples.ts'
import { roomsToSeed, type Scenario } from './scenarios.ts'
import { subjectOf } from './seed.ts'
import { tokenOf } from './sohbet.ts'

export interface Arena {
  readonly contenders: readonly Contender[]
  readonly source: MessageSource
  /** Where all contenders hear of their messages. */
  readonly redisUrl: string
  readonly publisher: Redis
  stop(): Promise<void>
}

export interface Stage {
  readonly arena: Arena
  readonly scenario: Scenario
  readonly clients: ReadonlyMap<ContenderName, LightClient>
}

/** Among the contenders must be the product: what the others deliver is taken from it. */
export async function openArena(names: readonly ContenderName[], scenarios: readonly Scenario[]): Promise<Arena> {
  leaveServerCpu()
  const people = Math.max(...scenarios.map(({ subscribers }) => subscribers)) + 1
  const contenders: Contender[] = []
  const closers: (() => Promise<void>)[] = []
  const stop = async () => {
    for (const close of closers.splice(0).reverse()) await close()
  }
  try {
    const source = await startMessageSource({ people, rooms: roomsToSeed(scenarios) })
    closers.push(source.stop)
    const redis = await startRedis({ cpu: CLIENT_CPU })
    closers.push(redis.stop)
    const publisher = new Redis(redis.url)
    closers.push(async () => publisher.disconnect())
    for (const name of names) {
      const contender = await startContender(name, { redisUrl: redis.url, source })
      contenders.push(contender)
      closers.push(contender.stop)
    }
    return { contenders, source, redisUrl: redis.url, publisher, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** How the subscribers of a scenario come to a contender. */
export type Connect = (contender: Contender, options: LightClientOptions) => Promise<LightClient>

const connectAll: Connect = (_contender, options) => LightClient.open(options, CLIENT_CPU)

/** Resolves when every subscriber of these contenders hears what is said. */
export async function setStage(
  arena: Arena,
  scenario: Scenario,
  names: readonly ContenderName[],
  connect: Connect = connectAll,
): Promise<Stage> {
  await shareSamples(arena, scenario)
  const clients = new Map<ContenderName, LightClient>()
  const stage = { arena, scenario, clients }
  for (const contender of arena.contenders.filter(({ name }) => names.includes(name))) {
    clients.set(contender.name, await connect(contender, await contender.connect(scenario)))
    await untilAllHear(stage, contender)
  }
  return stage
}

export async function clearStage({ clients }: Stage): Promise<void> {
  for (const client of clients.values()) await client.stop()
}

export function clientOf({ clients }: Stage, { name }: Contender): LightClient {
  const client = clients.get(name)
  if (!client) throw new Error(`${name} has no subscribers`)
  return client
}

/** How many subscribers a message has. */
export const audienceOf = ({ scenario }: Stage) => scenario.subscribers / scenario.rooms.length

/** A seeded room that nobody reads. */
const SILENT_ROOM = 9

/**
 * The next messages of the scenario, to its rooms in turns, all at once. Those of the product have been stored and published
 * by its sending node first. When it is another one's turn that node does as much, to a room without readers: so all get
 * their events at the same pace, and find the machine equally busy.
 */
export async function publishNext({ arena, scenario }: Stage, contender: Contender, count: number): Promise<void> {
  const outgoing = Array.from({ length: count }, () => {
    const { number, text } = nextMessage()
    return { room: scenario.rooms[number % scenario.rooms.length] ?? 0, text }
  })
  if (contender.name !== 'sohbet') await arena.source.send(outgoing.map(({ text }) => ({ room: SILENT_ROOM, text })))
  await publish(arena.publisher, await contender.prepare(scenario, outgoing))
}

async function shareSamples({ contenders, publisher }: Arena, scenario: Scenario): Promise<void> {
  const sohbet = contenders.find(({ name }) => name === 'sohbet')
  if (!sohbet) throw new Error('the samples are the product’s')
  const { host, port } = await sohbet.connect({ ...scenario, subscribers: 0 })
  const samples = await takeSamples({
    url: `ws://${host}:${port}/graphql`,
    token: await tokenOf(subjectOf(2)),
    scenario,
    deliver: async (room, text) => publish(publisher, await sohbet.prepare(scenario, [{ room, text }])),
  })
  for (const contender of contenders) contender.setSamples(samples)
}

const SETTLE_MS = 1_000
const MAX_ATTEMPTS = 60

/** An acknowledged connection has not subscribed yet: messages are sent until two in a row reach everybody once. */
async function untilAllHear(stage: Stage, contender: Contender): Promise<void> {
  const { rooms } = stage.scenario
  const client = clientOf(stage, contender)
  const subscribers = client.connections
  let complete = 0
  for (let attempt = 0; complete < 2; attempt++) {
    const { frames } = await client.counts()
    await publishNext(stage, contender, rooms.length)
    const counts = await client.awaitFrames(frames + subscribers, SETTLE_MS)
    complete = counts.frames === frames + subscribers ? complete + 1 : 0
    if (attempt > MAX_ATTEMPTS) {
      throw new Error(`${counts.frames - frames} of ${subscribers} subscribers of ${contender.name} hear what is said`)
    }
  }
}
