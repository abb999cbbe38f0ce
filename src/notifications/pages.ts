// Browsers, webhooks and deliveries as connections.

import type { DeliveryState, Webhook } from '../generated/prisma/client.ts'
import { decodeCursor, encodeCursor, type PageArgs, readPage, toPage } from '../graphql/page.ts'
import { isId } from '../platform/ids.ts'
import type { Viewer } from '../platform/viewer.ts'
import type { Push } from './push-service.ts'
import type { Webhooks } from './webhook-service.ts'

const cursorOf = ({ id }: { id: string }) => encodeCursor(id)

export async function resolvePushSubscriptions(push: Push, viewer: Viewer, args: PageArgs) {
  const range = readPage(args, decodeId)
  return toPage(range, await push.listSubscriptions(viewer, range), cursorOf)
}

/** Null to who is no operator. */
export async function resolveWebhooks(webhooks: Webhooks, viewer: Viewer, args: PageArgs) {
  const range = readPage(args, decodeId)
  const found = await webhooks.listWebhooks(viewer, range)
  return found && toPage(range, found, cursorOf)
}

export async function resolveDeliveries(
  webhooks: Webhooks,
  webhook: Webhook,
  states: readonly DeliveryState[],
  args: PageArgs,
) {
  const range = readPage(args, decodeId)
  return toPage(range, await webhooks.listDeliveries(webhook, states, range), cursorOf)
}

function decodeId(cursor: string): string | null {
  const [id, ...rest] = decodeCursor(cursor) ?? []
  return typeof id === 'string' && isId(id) && rest.length === 0 ? id : null
}
