// Throwaway Redis Clusters for tests: three masters of 127.0.0.1 that own the slots by thirds, gone with this process.

import { Redis } from 'ioredis'
import { eventually } from './eventually.ts'
import { startRedisServer, type TestRedis } from './redis-server.ts'

export interface TestClusterMaster extends TestRedis {
  readonly port: number
  /** A look at the server itself. */
  readonly redis: Redis
  readonly id: string
}

export interface TestRedisCluster {
  /** As REDIS_URL. */
  readonly url: string
  readonly masters: readonly TestClusterMaster[]
  /** Who owns the slot, as the masters agree. */
  ownerOf(slot: number): Promise<TestClusterMaster>
  /** Hands an owner's slot and its keys over to another, as a resharding does. `onTheWay`: once half of the keys have moved. */
  moveSlot(
    slot: number,
    from: TestClusterMaster,
    to: TestClusterMaster,
    onTheWay?: () => Promise<unknown>,
  ): Promise<void>
  /** A replica of this master, in step with it. */
  addReplica(of: TestClusterMaster): Promise<TestClusterMaster>
  stop(): Promise<void>
}

const SLOTS = 16_384

export async function startTestRedisCluster(): Promise<TestRedisCluster> {
  const members: TestClusterMaster[] = []
  const stop = async () => {
    await Promise.all(members.map((member) => member.stop()))
  }
  try {
    for (const starting of await Promise.allSettled([startMember(), startMember(), startMember()])) {
      if (starting.status === 'rejected') throw starting.reason
      members.push(starting.value)
    }
    const masters = [...members]
    await introduce(masters)
    return {
      url: `redis+cluster://${masters.map(({ port }) => `127.0.0.1:${port}`).join(',')}`,
      masters,
      ownerOf: (slot) => ownerOf(masters, slot),
      moveSlot: (slot, from, to, onTheWay) => moveSlot(masters, slot, from, to, onTheWay),
      async addReplica(of) {
        const replica = await startMember()
        members.push(replica)
        await replicate(replica, of)
        return replica
      },
      stop,
    }
  } catch (error) {
    await stop()
    throw error
  }
}

async function startMember(): Promise<TestClusterMaster> {
  const server = await startRedisServer({ clusterNodeTimeoutMs: 2_000 })
  const redis = new Redis(server.url, { maxRetriesPerRequest: null })
  // The test kills the server; ioredis tells of that by an error.
  redis.on('error', () => {})
  return {
    ...server,
    port: Number(new URL(server.url).port),
    redis,
    id: String(await redis.cluster('MYID')),
    async stop() {
      redis.disconnect()
      await server.stop()
    },
  }
}

async function introduce(masters: readonly TestClusterMaster[]): Promise<void> {
  await Promise.all(
    masters.map(({ redis }, i) => {
      const first = Math.ceil((SLOTS * i) / masters.length)
      return redis.cluster('ADDSLOTSRANGE', first, Math.ceil((SLOTS * (i + 1)) / masters.length) - 1)
    }),
  )
  // Without an epoch of its own each, they would quarrel about slots that move.
  await Promise.all(masters.map(({ redis }, i) => redis.cluster('SET-CONFIG-EPOCH', i + 1)))
  const [first, ...others] = masters
  for (const other of others) await meet(other, first)
  await eventually(() => Promise.all(masters.map((master) => requireWhole(master, masters.length))), {
    timeoutMs: 30_000,
  })
}

async function meet({ redis }: TestClusterMaster, other: TestClusterMaster | undefined): Promise<void> {
  if (!other) return
  const busPort = String((await other.redis.config('GET', 'cluster-port')) as unknown).split(',')[1]
  await redis.call('CLUSTER', 'MEET', '127.0.0.1', other.port, busPort ?? '')
}

async function requireWhole({ redis }: TestClusterMaster, members: number): Promise<void> {
  const info = String(await redis.cluster('INFO'))
  const expected = ['cluster_state:ok', `cluster_slots_ok:${SLOTS}`, `cluster_known_nodes:${members}`]
  for (const line of expected) if (!info.includes(line)) throw new Error(`not yet ${line}`)
}

async function ownerOf(masters: readonly TestClusterMaster[], slot: number): Promise<TestClusterMaster> {
  for (const master of masters) {
    const ranges = await master.redis.cluster('SLOTS')
    const port = ranges.find(([first, last]) => first <= slot && slot <= last)?.[2]?.[1]
    const owner = masters.find((one) => one.port === port)
    if (owner) return owner
  }
  throw new Error(`nobody owns the slot ${slot}`)
}

async function moveSlot(
  masters: readonly TestClusterMaster[],
  slot: number,
  from: TestClusterMaster,
  to: TestClusterMaster,
  onTheWay?: () => Promise<unknown>,
): Promise<void> {
  await to.redis.cluster('SETSLOT', slot, 'IMPORTING', from.id)
  await from.redis.cluster('SETSLOT', slot, 'MIGRATING', to.id)
  const keys = (await from.redis.cluster('GETKEYSINSLOT', slot, 1_000)).map(String)
  const half = Math.ceil(keys.length / 2)
  await moveKeys(keys.slice(0, half), from, to)
  await onTheWay?.()
  await moveKeys(keys.slice(half), from, to)
  const bystanders = masters.filter((master) => master !== from && master !== to)
  for (const master of [to, from, ...bystanders]) await master.redis.cluster('SETSLOT', slot, 'NODE', to.id)
  // The move gave the new owner an epoch: who has not heard of it could win the slot back by the same number.
  await eventually(async () => {
    const infos = await Promise.all(masters.map(({ redis }) => redis.cluster('INFO')))
    const epochs = new Set(infos.map((info) => /cluster_current_epoch:(\d+)/.exec(String(info))?.[1]))
    if (epochs.size !== 1) throw new Error('the masters have not heard of the move')
  })
}

async function moveKeys(keys: readonly string[], from: TestClusterMaster, to: TestClusterMaster): Promise<void> {
  if (keys.length > 0) await from.redis.call('MIGRATE', '127.0.0.1', to.port, '', 0, 5_000, 'KEYS', ...keys)
}

async function replicate(replica: TestClusterMaster, of: TestClusterMaster): Promise<void> {
  await meet(replica, of)
  await eventually(() => replica.redis.cluster('REPLICATE', of.id))
  await eventually(
    async () => {
      if (!String(await replica.redis.info('replication')).includes('master_link_status:up')) throw new Error('not yet')
    },
    { timeoutMs: 30_000 },
  )
}
