// What a connection with one subscription costs a server in memory: its resident memory before and after many of them are
// opened, while nobody asks it anything. Every server runs as it ships, and nobody's garbage collector is told anything.
// --connections N: so many, on the product and on raw ws only.

import { Redis } from 'ioredis'
import type { BenchOptions } from './support/bench-options.ts'
import { comparatorVersions } from './support/comparators.ts'
import { type Contender, type ContenderName, publish, startContender } from './support/contenders.ts'
import type { LightClientOptions } from './support/light-client.ts'
import { CLIENT_CPU, describeEnvironment, leaveServerCpu, printTable } from './support/machine.ts'
import { type MessageSource, startMessageSource } from './support/message-source.ts'
import { maxOpenFiles, quietRssBytes } from './support/process-figures.ts'
import { LightClient } from './support/processes.ts'
import { startRedis } from './support/redis.ts'
import type { Scenario } from './support/scenarios.ts'
import { medianOf, roundRatio } from './support/statistics.ts'

/** Opened before the first look, so that what a server does for its first clients only is not counted. */
const WARM_UP = 200
const USERS = 100
/** Handshakes under way at a time: some servers give a client three seconds for it, and the machine may be busy. */
const OPENING = 50
/** One client process has so many at most: its files are limited, too. */
const CONNECTIONS_PER_CLIENT = 15_000
/** A server has other files than its clients' sockets. */
const OTHER_FILES = 100
const LOCAL_ADDRESSES = ['127.0.0.2', '127.0.0.3', '127.0.0.4', '127.0.0.5']
const TEXT = 'x'.repeat(100)
const MESSAGE = {
  id: 'TWVzc2FnZTowMDAwMDAwMC0wMDAwLTcwMDAtODAwMC0wMDAwMDAwMDAwMDA',
  seq: 1,
  text: TEXT,
  createdAt: '2026-01-01T00:00:00.000Z',
  author: { id: 'VXNlcjowMDAwMDAwMC0wMDAwLTcwMDAtODAwMC0wMDAwMDAwMDAwMDA', name: 'Ada' },
}

/** Who is measured; the product twice: its people share a hundred accounts, or have one each. */
type Case = ContenderName | 'sohbet, a user each'

export async function run({ quick, connections: given }: BenchOptions): Promise<void> {
  const environment = describeEnvironment()
  leaveServerCpu()
  const connections = given ?? (quick ? 2_000 : 10_000)
  await requireFiles(connections)
  const cases: Case[] =
    given === null
      ? ['raw', 'sohbet', 'sohbet, a user each', 'socketio', 'yoga', 'apollo', 'mercurius']
      : ['raw', 'sohbet']
  const rounds = quick || given !== null ? 1 : 3
  const scenario = memoryScenario(connections)
  const source = await startMessageSource({ people: connections + WARM_UP + 1, rooms: scenario.rooms.length })
  const bytes = new Map<Case, number[]>(cases.map((name) => [name, []]))
  try {
    for (let round = 0; round < rounds; round++) {
      for (const name of cases) bytes.get(name)?.push(await measure(name, scenario, source))
    }
  } finally {
    await source.stop()
  }
  const kilobytes = new Map([...bytes].map(([name, each]) => [name, medianOf(each) / 1_024]))
  printTable(
    ['RSS per connection', 'KB'],
    [...kilobytes].map(([name, each]) => [name, each.toFixed(1)]),
  )
  const figures = Object.fromEntries([...kilobytes].map(([name, each]) => [name, roundRatio(each)]))
  const result = { bench: 'memory', connections, rounds, ratios: ratiosOf(kilobytes), kilobytes: figures }
  process.stdout.write(
    `RESULT ${JSON.stringify({ ...result, ...environment, versions: await comparatorVersions() })}\n`,
  )
}

function ratiosOf(kilobytes: ReadonlyMap<Case, number>): Record<string, number> {
  const ratios: Record<string, number> = {}
  const of = (name: Case) => kilobytes.get(name) ?? Number.NaN
  for (const [name, each] of kilobytes) {
    if (name === 'raw') ratios['sohbet/raw'] = roundRatio(of('sohbet') / each)
    else if (name.startsWith('sohbet')) ratios[name.replace('sohbet', 'sohbet KB per connection')] = roundRatio(each)
    else ratios[`${name}/sohbet`] = roundRatio(each / of('sohbet'))
  }
  return ratios
}

async function requireFiles(connections: number): Promise<void> {
  const wanted = connections + WARM_UP + OTHER_FILES
  const limit = await maxOpenFiles()
  if (wanted <= limit) return
  throw new Error(
    `${connections} connections need ${wanted} open files in the server, and a process may have ${limit} here. ` +
      `Raise the hard limit ("ulimit -n ${wanted}" as root, "docker run --ulimit nofile=${wanted}"), ` +
      `or take at most ${limit - WARM_UP - OTHER_FILES} connections`,
  )
}

/** Rooms of twenty, and from five hundred rooms on larger ones. */
function memoryScenario(connections: number): Scenario {
  const rooms = Math.min(500, Math.ceil(connections / 20))
  return {
    name: 'memory',
    subscribers: connections,
    rooms: Array.from({ length: rooms }, (_, index) => index + 1),
    replies: false,
    selections: ['id seq text createdAt author { id name } roomId'],
  }
}

/** Bytes per connection. */
async function measure(name: Case, scenario: Scenario, source: MessageSource): Promise<number> {
  const redis = await startRedis()
  const publisher = new Redis(redis.url)
  const contender = await startContender(nameOf(name), { redisUrl: redis.url, source })
  const clients: LightClient[] = []
  try {
    contender.setSamples({ message: MESSAGE, delivered: MESSAGE, frame: frameOf(MESSAGE) })
    const options = await contender.connect(scenario)
    if (name === 'sohbet') options.values = { ...options.values, token: options.values?.token?.slice(0, USERS) ?? [] }
    options.opening = OPENING
    clients.push(await LightClient.open({ ...options, connections: WARM_UP }, CLIENT_CPU))
    const before = await quietRssBytes(contender.pid)
    for (const each of shares(options)) clients.push(await LightClient.open(each, CLIENT_CPU))
    const after = await quietRssBytes(contender.pid)
    await requireDelivery({ scenario, contender, publisher, clients })
    process.stdout.write(`${name}: ${toMegabytes(before)} MB, then ${toMegabytes(after)} MB\n`)
    return (after - before) / scenario.subscribers
  } finally {
    for (const client of clients) await client.stop()
    publisher.disconnect()
    await contender.stop()
    await redis.stop()
  }
}

const nameOf = (name: Case): ContenderName => (name === 'sohbet, a user each' ? 'sohbet' : name)
const toMegabytes = (bytes: number) => Math.round(bytes / 1_024 / 1_024)

/** The connections of as many client processes as it takes; each has addresses of its own to connect from. */
function shares(options: LightClientOptions): LightClientOptions[] {
  const clients = Math.ceil(options.connections / CONNECTIONS_PER_CLIENT)
  return Array.from({ length: clients }, (_, index) => ({
    ...options,
    connections: Math.ceil((options.connections - index) / clients),
    localAddresses: [LOCAL_ADDRESSES[index % LOCAL_ADDRESSES.length] ?? '127.0.0.1'],
  }))
}

/** Who was counted has a subscription that works: a message to every room reaches everybody. */
async function requireDelivery({
  scenario,
  contender,
  publisher,
  clients,
}: {
  scenario: Scenario
  contender: Contender
  publisher: Redis
  clients: readonly LightClient[]
}): Promise<void> {
  const before = await Promise.all(clients.map((client) => client.counts()))
  const events = await contender.prepare(
    scenario,
    scenario.rooms.map((room) => ({ room, text: TEXT })),
  )
  await publish(publisher, events)
  await Promise.all(
    clients.map((client, index) => {
      const { ready = 0, frames = 0 } = before[index] ?? {}
      return client.untilFrames(frames + ready)
    }),
  )
}

function frameOf(message: object): string {
  const id = '00000000-0000-4000-8000-000000000000'
  return JSON.stringify({ id, type: 'next', payload: { data: { messageAdded: message } } })
}
