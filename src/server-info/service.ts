import type { Clock } from '../platform/clock.ts'
import type { Db } from '../platform/db.ts'
import type { Presence } from '../presence/service.ts'
import type { EventBus } from '../realtime/event-bus.ts'

export interface ServerDescription {
  name: string
  version: string
  capabilities: readonly string[]
  limits: {
    messageCharacters: number
    requestBytes: number
    webSocketMessageBytes: number
    subscriptionsPerConnection: number
    pageSize: number
    attachmentsPerMessage: number
    uploadBytes: number
    fileBytes: number
    fileBytesPerDay: number
    fileTypes: readonly string[]
    unsentFiles: number
  }
}

export interface Health {
  state: 'UP' | 'DOWN' | 'NOT_USED'
  latencyMs: number | null
}

/** Longest wait for one answer of a health check. */
const CHECK_TIMEOUT_MS = 3_000

export type ServerInfo = ReturnType<typeof createServerInfo>

export interface ServerInfoOptions {
  description: ServerDescription
  db: Db
  bus: EventBus
  /** Whether the bus is Redis. */
  usesRedis: boolean
  presence: Presence
  clock: Clock
}

export function createServerInfo({ description, db, bus, usesRedis, presence, clock }: ServerInfoOptions) {
  const checkDatabase = () => check(async () => void (await db.$queryRaw`SELECT 1`))
  const checkRedis = (): Promise<Health> =>
    usesRedis ? check(async () => void (await bus.ping())) : Promise.resolve({ state: 'NOT_USED', latencyMs: null })

  return {
    description,
    now: () => new Date(clock.now()),
    checkDatabase,
    checkRedis,
    /** Whether this node can do its work: everything it needs answers. */
    async isReady(): Promise<boolean> {
      const [database, redis] = await Promise.all([checkDatabase(), checkRedis()])
      return database.state === 'UP' && redis.state !== 'DOWN'
    },
    /** Null while presence cannot be read. */
    async countPresence() {
      return presence.totals().catch(() => null)
    },
  }
}

async function check(answer: () => Promise<void>): Promise<Health> {
  const start = performance.now()
  let timer: NodeJS.Timeout | undefined
  const tooLate = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error('no answer in time')), CHECK_TIMEOUT_MS)
  })
  try {
    await Promise.race([answer(), tooLate])
    return { state: 'UP', latencyMs: Math.round((performance.now() - start) * 10) / 10 }
  } catch {
    return { state: 'DOWN', latencyMs: null }
  } finally {
    clearTimeout(timer)
  }
}
