// How notifications leave the house, put together: the channels that notifications are handed to, and the jobs that deliver.

import type { Clock } from '../platform/clock.ts'
import type { Db } from '../platform/db.ts'
import type { Jobs } from '../platform/jobs.ts'
import type { Logger } from '../platform/logger.ts'
import type { Rooms } from '../rooms/service.ts'
import { joinChannels, type NotificationChannel } from './channel.ts'
import { CLEAN_DELIVERIES, createDeliveryCleanup } from './delivery-cleanup.ts'
import { createPost, type OutboundOptions } from './outbound-requests.ts'
import { createPushChannel, createPushDelivery, DELIVER_PUSH, type VapidKeys } from './push-delivery-service.ts'
import { createPush, type Push } from './push-service.ts'
import { createWebhookChannel, createWebhookDelivery, DELIVER_WEBHOOK } from './webhook-delivery-service.ts'
import { createWebhooks, type Webhooks } from './webhook-service.ts'

export interface ChannelsOptions {
  db: Db
  /** Not started yet. */
  jobs: Jobs
  rooms: Rooms
  clock: Clock
  logger: Logger
  outbound: OutboundOptions
  /** Null: push is off. */
  vapid: VapidKeys | null
  /** Whether push services may be http, as one on a developer's machine. */
  allowsHttpPush: boolean
  /** Before the first retry of a delivery, and for how long it is tried. */
  retryFirstMs: number
  retryForMs: number
  /** A webhook that has failed for so long is disabled. */
  disableAfterMs: number
  /** How long deliveries are kept. */
  logDays: number
  /** Names objects as the API does. */
  globalId: (typename: string, id: string) => string
}

export interface Channels {
  push: Push
  webhooks: Webhooks
  /** All that a notification is handed to. */
  channel: NotificationChannel
}

export function createChannels(options: ChannelsOptions): Channels {
  const { db, jobs, rooms, clock, vapid, retryForMs, logDays, allowsHttpPush } = options
  const { allowsPrivate } = options.outbound
  const post = createPost(options.outbound)
  const mayRead = async (userId: string, roomId: string) => (await rooms.findRoom({ userId }, { id: roomId })) !== null
  const delivery = { ...options, post, mayRead }
  if (vapid) jobs.handle(DELIVER_PUSH, createPushDelivery({ ...delivery, vapid }))
  jobs.handle(DELIVER_WEBHOOK, createWebhookDelivery(delivery))
  jobs.every('41 * * * *', CLEAN_DELIVERIES, createDeliveryCleanup({ db, clock, days: logDays }))
  const channels = [createWebhookChannel(options), ...(vapid ? [createPushChannel(options)] : [])]
  return {
    push: createPush({
      db,
      targets: { allowsPrivate, allowsHttp: allowsHttpPush },
      vapidPublicKey: vapid?.publicKey ?? null,
    }),
    webhooks: createWebhooks({ db, jobs, clock, targets: { allowsPrivate, allowsHttp: true }, retryForMs }),
    channel: joinChannels(channels),
  }
}
