import { join } from 'node:path'
import type { Config } from './config.ts'
import { encodeGlobalId } from './graphql/global-id.ts'
import { type Channels, type ChannelsOptions, createChannels } from './notifications/channels.ts'
import { readOrMakeVapidKeys } from './notifications/development-vapid-keys.ts'
import type { OutboundOptions } from './notifications/outbound-requests.ts'

export interface OpenChannelsOptions extends Pick<ChannelsOptions, 'db' | 'jobs' | 'rooms' | 'clock' | 'logger'> {
  config: Config
  /** Null where the database is not embedded. */
  dataDir: string | null
  description: { name: string; version: string }
  /** What the tests have another way: how names are resolved, and whom they trust. */
  outbound: Pick<OutboundOptions, 'lookup' | 'ca'>
}

/** Web Push and webhooks, by the settings. Part of the composition root. */
export async function openChannels(options: OpenChannelsOptions): Promise<Channels> {
  const { config, dataDir, description, outbound, ...rest } = options
  const { vapid, allowsPrivateAddresses, timeoutMs, ...times } = config.channels
  const isDevelopment = config.mode === 'development'
  const ownKeys =
    isDevelopment && dataDir !== null ? () => readOrMakeVapidKeys(join(dataDir, 'development-vapid')) : null
  return createChannels({
    ...rest,
    ...times,
    outbound: {
      allowsPrivate: allowsPrivateAddresses,
      timeoutMs,
      userAgent: `${description.name}/${description.version}`,
      ...outbound,
    },
    vapid: vapid ?? (ownKeys ? await ownKeys() : null),
    allowsHttpPush: isDevelopment,
    globalId: encodeGlobalId,
  })
}
