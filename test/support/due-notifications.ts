// Notifications that are due, handed to the channels as the consumer does, on the database of running nodes.

import { decodeGlobalId, encodeGlobalId } from '../../src/graphql/global-id.ts'
import { type DueNotification, joinChannels } from '../../src/notifications/channel.ts'
import { createPushChannel, DELIVER_PUSH } from '../../src/notifications/push-delivery-service.ts'
import { createWebhookChannel, DELIVER_WEBHOOK } from '../../src/notifications/webhook-delivery-service.ts'
import { createDb, type Db } from '../../src/platform/db.ts'
import { newId } from '../../src/platform/ids.ts'
import { Jobs } from '../../src/platform/jobs.ts'
import { createLogger } from '../../src/platform/logger.ts'
import { eventually } from './eventually.ts'
import type { Person } from './seed.ts'
import type { TestNodes } from './start-nodes.ts'

export interface DueNotifications {
  readonly db: Db
  /** A notification for this person. */
  make(who: Pick<Person, 'id' | 'name'>, more?: Partial<DueNotification>): DueNotification
  /** Hands it to the channels, in a transaction that then fails if `isUndone`. */
  plan(due: DueNotification, isUndone?: boolean): Promise<void>
  /** Has the job of a delivery done once more, and waits for it. */
  repeat(kind: 'push' | 'webhook', deliveryId: string): Promise<void>
  /** How many jobs of deliveries there are for a user's pushes, as everybody sees them: plans, and asks before and after commit. */
  countJobsAround(due: DueNotification): Promise<[before: number, after: number]>
  close(): Promise<void>
}

export async function openDueNotifications({ databaseUrl, config }: TestNodes): Promise<DueNotifications> {
  const db = createDb({ url: databaseUrl, poolSize: 2 })
  // It only sends: the nodes do the work.
  const jobs = new Jobs({ url: databaseUrl, logger: createLogger('fatal') })
  await jobs.start()
  const clock = { now: () => Date.now() }
  const options = { jobs, clock, globalId: encodeGlobalId, retryForMs: config.channels.retryForMs }
  const channel = joinChannels([createWebhookChannel(options), createPushChannel(options)])
  return {
    db,
    make: ({ id, name }, more = {}) => ({
      id: newId(),
      version: 1,
      userId: decodeGlobalId(id).id,
      userSubject: name.toLowerCase(),
      kind: 'MENTION',
      isUrgent: true,
      roomId: null,
      roomName: null,
      actorName: 'Bob',
      count: 1,
      title: 'Bob in Lounge',
      body: 'Lunch?',
      createdAt: new Date(),
      ...more,
    }),
    async plan(due, isUndone = false) {
      const planning = db.$transaction(async (tx) => {
        await channel.plan(tx, [due])
        if (isUndone) throw new Error('undone')
      })
      if (!isUndone) return planning
      await planning.catch((error) => {
        if (error.message !== 'undone') throw error
      })
    },
    async repeat(kind, deliveryId) {
      await jobs.send(kind === 'push' ? DELIVER_PUSH : DELIVER_WEBHOOK, { deliveryId })
      await eventually(async () => {
        const [left] = await db.$queryRaw<{ count: number }[]>`
          SELECT count(*)::int AS count FROM pgboss.job
          WHERE data->>'deliveryId' = ${deliveryId} AND state IN ('created', 'retry', 'active')`
        if (left?.count !== 0) throw new Error('the job is not done yet')
      })
    },
    async countJobsAround(due) {
      const count = async () => {
        const [found] = await db.$queryRaw<{ count: number }[]>`
          SELECT count(*)::int AS count FROM pgboss.job WHERE group_id = ${due.userId}`
        return found?.count ?? 0
      }
      const before = await db.$transaction(async (tx) => {
        await channel.plan(tx, [due])
        return count()
      })
      return [before, await count()]
    },
    async close() {
      await jobs.stop(1_000)
      await db.$disconnect()
    },
  }
}
