// The faults. Each takes something away, waits until that has met somebody, says what it met, and gives it back; where it
// met nobody it throws, for a fault that fell on nothing proves nothing.

import { setTimeout as delay } from 'node:timers/promises'
import { eventually } from '../support/eventually.ts'
import type { Cluster, Member } from './cluster.ts'
import { holdsPort, isPaused, type PostgresEnd } from './processes.ts'
import type { Random } from './random.ts'
import type { KeptRequest, Receiver, ReceiverMode } from './receivers.ts'
import type { ProxyHits, TcpProxy } from './tcp-proxy.ts'

export interface Stage {
  readonly cluster: Cluster
  /** The webhooks and the push service. */
  readonly receivers: readonly Receiver[]
  /** How many sends have been acknowledged so far. */
  acknowledged(): number
}

export interface FaultKind {
  readonly name: string
  /** One of each lane may happen at a time: they do not take away what the other needs to hit. */
  readonly lane: 'processes' | 'network' | 'receivers'
  /** Says what it met. */
  inject(stage: Stage, random: Random): Promise<string>
}

const HIT_TIMEOUT_MS = 20_000

type Link = 'toRedis' | 'toPostgres' | 'sockets'

const LINK_NAMES: Readonly<Record<Link, string>> = { toRedis: 'redis', toPostgres: 'postgres', sockets: 'sockets' }

export const FAULT_KINDS: readonly FaultKind[] = [
  { name: 'node-kill', lane: 'processes', inject: killNode },
  { name: 'delivery-kill', lane: 'processes', inject: killDeliverer },
  { name: 'node-stop', lane: 'processes', inject: stopNode },
  { name: 'clock-jump', lane: 'processes', inject: turnClock },
  { name: 'redis-kill', lane: 'processes', inject: killRedis },
  { name: 'redis-pause', lane: 'processes', inject: pauseRedis },
  { name: 'postgres-fast-restart', lane: 'processes', inject: restartPostgres('SIGINT') },
  { name: 'postgres-immediate-restart', lane: 'processes', inject: restartPostgres('SIGQUIT') },
  { name: 'postgres-kill', lane: 'processes', inject: restartPostgres('SIGKILL') },
  { name: 'pool-termination', lane: 'processes', inject: terminateBackends },
  { name: 'checkpointer-pause', lane: 'processes', inject: pauseCheckpointer },
  { name: 'publish-drop', lane: 'network', inject: dropPublishes },
  ...(['fail', 'hang', 'late', 'cut'] as const).map(receiverFault),
  ...(['toRedis', 'toPostgres', 'sockets'] as const).flatMap((link) => networkFaults(link)),
]

async function killNode({ cluster }: Stage, random: Random): Promise<string> {
  const member = await pickMember(cluster, random, ({ sockets }) => sockets.connections > 0)
  const clients = member.sockets.connections
  const ending = await member.node.end('SIGKILL')
  if (ending !== 'SIGKILL') throw new Error(`${member.node.name} was not killed: ${ending}`)
  await delay(random.integer(0, 1_000))
  await cluster.startNode(member)
  return `${member.node.name} with ${clients} clients`
}

/** kill -9 of the node that is in the middle of a delivery: the receiver has the request, and has not answered yet. */
async function killDeliverer({ cluster, receivers }: Stage, random: Random): Promise<string> {
  const keepAll = (keeps: boolean) => {
    for (const receiver of receivers) receiver.keeps = keeps
  }
  keepAll(true)
  try {
    const { member, kept } = await eventually(() => findDeliverer(cluster, receivers), { timeoutMs: HIT_TIMEOUT_MS })
    const { telling } = kept
    const ending = await member.node.end('SIGKILL')
    if (ending !== 'SIGKILL') throw new Error(`${member.node.name} was not killed: ${ending}`)
    await hit(() => kept.isGone, 'the connection of the killed node is still there')
    if (telling.status !== null) throw new Error('the delivery was answered')
    keepAll(false)
    await delay(random.integer(0, 500))
    await cluster.startNode(member)
    return `${member.node.name} with version ${telling.version} of a notification for ${telling.target}`
  } finally {
    keepAll(false)
  }
}

/** A node with a request that is kept. */
async function findDeliverer(
  cluster: Cluster,
  receivers: readonly Receiver[],
): Promise<{ member: Member; kept: KeptRequest }> {
  for (const kept of receivers.flatMap((receiver) => [...receiver.kept])) {
    for (const member of cluster.running) {
      const { pid } = member.node
      if (pid !== null && !kept.isGone && (await holdsPort(pid, kept.senderPort))) return { member, kept }
    }
  }
  throw new Error('no node delivers anything')
}

/** All at once: one of them may have nothing to come just then. */
function receiverFault(mode: Exclude<ReceiverMode, 'answer'>): FaultKind {
  return {
    name: `receivers-${mode}`,
    lane: 'receivers',
    async inject({ receivers }, random) {
      const met = () => sum(receivers, (receiver) => receiver.met[mode])
      const before = met()
      for (const receiver of receivers) receiver.mode = mode
      try {
        await hit(() => met() > before, 'nobody delivered anything')
        await delay(random.integer(200, 1_500))
        return `${met() - before} deliveries`
      } finally {
        for (const receiver of receivers) receiver.mode = 'answer'
      }
    },
  }
}

/** As a deploy does: it has to say goodbye to everybody and to end in order. */
async function stopNode({ cluster }: Stage, random: Random): Promise<string> {
  const member = await pickMember(cluster, random, ({ sockets }) => sockets.connections > 0)
  const clients = member.sockets.connections
  const startedAtMs = performance.now()
  const ending = await member.node.end('SIGTERM')
  const tookMs = Math.round(performance.now() - startedAtMs)
  if (ending !== 0) throw new Error(`${member.node.name} ended with ${ending} after\n${member.node.lastLines}`)
  await cluster.startNode(member)
  return `${member.node.name} with ${clients} clients, in ${tookMs} ms`
}

/** There and back: by a minute and a half, this way or that. */
async function turnClock({ cluster, acknowledged }: Stage, random: Random): Promise<string> {
  const { node } = await pickMember(cluster, random, ({ sockets }) => sockets.connections > 0)
  const what = await node.turnClock()
  const before = acknowledged()
  try {
    await delay(random.integer(1_000, 4_000))
    await hit(() => acknowledged() > before, 'nothing was written meanwhile')
    return `${node.name}: ${what}`
  } finally {
    await node.turnClock()
  }
}

async function killRedis({ cluster }: Stage, random: Random): Promise<string> {
  const before = await cluster.redis.pid()
  const connections = sum(cluster.members, ({ toRedis }) => toRedis.connections)
  await cluster.redis.kill()
  await delay(random.integer(0, 1_500))
  await cluster.redis.restart()
  if ((await cluster.redis.pid()) === before) throw new Error('Redis was not killed')
  return requireSome(connections, 'connections')
}

async function pauseRedis({ cluster }: Stage, random: Random): Promise<string> {
  const pid = await cluster.redis.pid()
  const askedBytes = () => sum(cluster.members, ({ toRedis }) => toRedis.askedBytes)
  const before = askedBytes()
  process.kill(pid, 'SIGSTOP')
  try {
    await eventually(async () => demand(await isPaused(pid), 'Redis does not pause'))
    await delay(random.integer(500, 4_000))
    await hit(() => askedBytes() > before, 'nobody asked the paused Redis')
    return `${askedBytes() - before} bytes without an answer`
  } finally {
    process.kill(pid, 'SIGCONT')
  }
}

function restartPostgres(signal: PostgresEnd): FaultKind['inject'] {
  return async ({ cluster }, random) => {
    const before = await cluster.postgres.pid()
    const connections = sum(cluster.members, ({ toPostgres }) => toPostgres.connections)
    await cluster.postgres.end(signal)
    await delay(random.integer(0, 700))
    await cluster.restartPostgres()
    if ((await cluster.postgres.pid()) === before) throw new Error('Postgres was not restarted')
    return requireSome(connections, 'connections')
  }
}

async function terminateBackends({ cluster }: Stage): Promise<string> {
  const rows = await cluster.query<{ ended: boolean }>(
    `SELECT pg_terminate_backend(pid) AS ended FROM pg_stat_activity WHERE application_name = 'sohbet'`,
  )
  return requireSome(rows.filter(({ ended }) => ended).length, 'backends')
}

/** What the disk has to take piles up meanwhile. */
async function pauseCheckpointer({ cluster, acknowledged }: Stage, random: Random): Promise<string> {
  const [row] = await cluster.query<{ pid: number }>(
    `SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'`,
  )
  if (!row) throw new Error('Postgres has no checkpointer')
  const before = acknowledged()
  process.kill(row.pid, 'SIGSTOP')
  try {
    await eventually(async () => demand(await isPaused(row.pid), 'the checkpointer does not pause'))
    await delay(random.integer(1_000, 3_000))
    await hit(() => acknowledged() > before, 'nothing was written meanwhile')
    return `${acknowledged() - before} messages written meanwhile`
  } finally {
    process.kill(row.pid, 'SIGCONT')
  }
}

async function dropPublishes({ cluster }: Stage, random: Random): Promise<string> {
  const { node, toRedis } = await pickMember(cluster, random, () => true)
  const before = toRedis.hits.droppedMessages
  const count = random.integer(1, 3)
  toRedis.dropMessages(count)
  try {
    await hit(() => toRedis.hits.droppedMessages > before, `no message was published to ${node.name}`)
    await delay(random.integer(0, 500))
    return `${toRedis.hits.droppedMessages - before} messages to ${node.name}`
  } finally {
    toRedis.heal()
  }
}

function networkFaults(link: Link): FaultKind[] {
  const kind = (
    name: string,
    begin: (proxy: TcpProxy, random: Random) => void,
    counter: keyof ProxyHits,
    lastsMs: readonly [number, number],
  ): FaultKind => ({
    name: `${LINK_NAMES[link]}-${name}`,
    lane: 'network',
    async inject({ cluster }, random) {
      const member = await pickMember(cluster, random, (each) => each[link].connections > 0)
      const proxy = member[link]
      const before = proxy.hits[counter]
      begin(proxy, random)
      try {
        await hit(() => proxy.hits[counter] > before, `it met nothing at ${member.node.name}`)
        await delay(random.integer(...lastsMs))
        return `${proxy.hits[counter] - before} ${counter} at ${member.node.name}`
      } finally {
        proxy.heal()
      }
    },
  })
  return [
    kind('cut', (proxy) => proxy.cut(), 'cut', [0, 0]),
    kind('refuse', (proxy) => proxy.refuse(), 'refused', [300, 1_500]),
    kind('stall', (proxy) => proxy.stall(), 'stalledBytes', [500, 5_000]),
    kind('delay', (proxy, random) => proxy.delay(random.integer(5, 150)), 'delayedBytes', [500, 2_500]),
    kind('half-open-up', (proxy) => proxy.swallow('up'), 'swallowedBytes', [500, 5_000]),
    kind('half-open-down', (proxy) => proxy.swallow('down'), 'swallowedBytes', [500, 5_000]),
  ]
}

function pickMember(cluster: Cluster, random: Random, fits: (member: Member) => boolean): Promise<Member> {
  return eventually(() => random.pick(cluster.running.filter(fits)), { timeoutMs: HIT_TIMEOUT_MS })
}

function hit(holds: () => boolean, otherwise: string): Promise<void> {
  return eventually(() => demand(holds(), otherwise), { timeoutMs: HIT_TIMEOUT_MS })
}

function demand(holds: boolean, otherwise: string): void {
  if (!holds) throw new Error(otherwise)
}

function requireSome(count: number, what: string): string {
  demand(count > 0, `it met no ${what}`)
  return `${count} ${what}`
}

function sum<T>(items: readonly T[], value: (item: T) => number): number {
  return items.reduce((total, item) => total + value(item), 0)
}
