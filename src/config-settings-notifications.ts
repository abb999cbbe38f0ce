/** The settings of notifications, and of how they leave the house. */
import { contact, integer, oneOf, vapidPrivateKey, vapidPublicKey } from './config-formats.ts'
import { ms, setting } from './config-setting.ts'

const vapidWords = {
  defaultText: 'none, and no Web Push; in development made on the first start',
  required: 'with the others of VAPID_PUBLIC_KEY, VAPID_PRIVATE_KEY and VAPID_SUBJECT',
}

const OUTBOUND_POLICIES = ['refuse', 'allow'] as const
type OutboundPolicy = (typeof OUTBOUND_POLICIES)[number]

export const NOTIFICATION_SETTINGS = {
  vapidPublicKey: setting(
    'VAPID_PUBLIC_KEY',
    vapidPublicKey,
    null,
    'What browsers subscribe to Web Push with. Another one makes all their subscriptions worthless.',
    vapidWords,
  ),
  vapidPrivateKey: setting(
    'VAPID_PRIVATE_KEY',
    vapidPrivateKey,
    null,
    'The key that goes with it, by which push services know this server.',
    vapidWords,
  ),
  vapidSubject: setting(
    'VAPID_SUBJECT',
    contact,
    null,
    'Whom push services turn to when something is wrong with what this server sends.',
    vapidWords,
  ),
  outboundPrivateAddresses: setting<OutboundPolicy, OutboundPolicy>(
    'OUTBOUND_PRIVATE_ADDRESSES',
    oneOf(OUTBOUND_POLICIES),
    'refuse',
    'Whether webhooks and Web Push may connect to addresses that are not of the public internet. With `allow`, whoever can sign in can have this server send requests into your network.',
  ),
  outboundTimeoutMs: setting(
    'OUTBOUND_TIMEOUT_MS',
    ms(100, 60_000),
    10_000,
    'How long a webhook or a push service may take to answer.',
  ),
  deliveryRetryFirstMs: setting(
    'DELIVERY_RETRY_FIRST_MS',
    ms(1, 3_600_000),
    5000,
    'The pause before a delivery to a webhook or browser that failed is tried again; doubled with every failure, up to an hour.',
  ),
  deliveryRetryForMs: setting(
    'DELIVERY_RETRY_FOR_MS',
    ms(0, 604_800_000),
    86_400_000,
    'How long a delivery is tried before it is given up; to a browser no longer than a day.',
  ),
  webhookDisableAfterMs: setting(
    'WEBHOOK_DISABLE_AFTER_MS',
    ms(1, 2_592_000_000),
    432_000_000,
    'A webhook of which every attempt has failed for so long is disabled.',
  ),
  deliveryLogDays: setting(
    'DELIVERY_LOG_DAYS',
    integer(1, 3650, 'days'),
    30,
    'How long deliveries to webhooks, with what was sent and answered, are kept.',
  ),
  notificationWindowMs: setting(
    'NOTIFICATION_WINDOW_MS',
    ms(100, 3_600_000),
    60_000,
    'After a user was told of something in a room, more of its kind is gathered for so long and told together.',
  ),
  notificationRetentionDays: setting(
    'NOTIFICATION_RETENTION_DAYS',
    integer(0, 36_500, 'days'),
    90,
    'How long notifications are kept, read or not; of each user the newest 1,000 at most. 0 sets no limit of time.',
  ),
}
