// Webhooks as their operator has them, and a receiver that believes what the package standardwebhooks has verified.

import { Webhook } from 'standardwebhooks'
import { type Attempted, attempt } from './attempt.ts'
import { type DueNotifications, openDueNotifications } from './due-notifications.ts'
import { post } from './graphql-over-http.ts'
import { type PostReceiver, type ReceivedPost, startPostReceiver } from './post-receiver.ts'
import { signToken, startNodes, type TestNodes } from './start-nodes.ts'

const SETTINGS = {
  OUTBOUND_PRIVATE_ADDRESSES: 'allow',
  OUTBOUND_TIMEOUT_MS: '500',
  DELIVERY_RETRY_FIRST_MS: '20',
}
const DELIVERY = `id kind state error body attemptCount nextAttemptAt deliveredAt createdAt
  attempts { startedAt durationMs statusCode error responseBody }`

export interface ShownDelivery {
  id: string
  kind: string
  state: string
  error: string | null
  body: string
  attemptCount: number
  nextAttemptAt: string | null
  deliveredAt: string | null
  attempts: { statusCode: number | null; error: string | null; responseBody: string | null; durationMs: number }[]
}
export interface ShownWebhook {
  id: string
  url: string
  description: string | null
  kinds: string[]
  failingSince: string | null
  disabledAt: string | null
  disabledReason: string | null
}
/** What is read of a webhook. */
export const WEBHOOK = 'id url description kinds previousSecretEndsAt failingSince disabledAt disabledReason'

export type WebhookOperations = Awaited<ReturnType<typeof openOperations>>

/** Nodes, a receiver and an operator, and what the operator does. */
export async function openOperations(settings: Record<string, string> = {}, clock = { now: () => Date.now() }) {
  const receiver: PostReceiver = await startPostReceiver()
  const nodes: TestNodes = await startNodes({ settings: { ...SETTINGS, ...settings }, clock })
  const due: DueNotifications = await openDueNotifications(nodes)
  const [url = ''] = nodes.urls
  const operator = { token: await signToken('operator', { scope: 'sohbet:operator' }) }
  let paths = 0
  const act = <T>(field: string, input: object, selection: string): Promise<Attempted<T>> =>
    attempt<T>(url, operator, field, input, selection)
  return {
    receiver,
    due,
    url,
    operator,
    act,
    newPath: () => `/hook/${++paths}`,
    async make(path: string, more: object = {}) {
      const made = await act<{ webhook: ShownWebhook; secret: string }>(
        'createWebhook',
        { url: receiver.url + path, ...more },
        `webhook { ${WEBHOOK} } secret`,
      )
      if (!made.webhook || !made.secret) throw new Error(`refused: ${JSON.stringify(made)}`)
      return { webhook: made.webhook, secret: made.secret, path }
    },
    async ping(webhookId: string) {
      const { delivery } = await act<{ delivery: ShownDelivery }>(
        'pingWebhook',
        { webhookId },
        `delivery { ${DELIVERY} }`,
      )
      if (!delivery) throw new Error('refused')
      return delivery
    },
    redeliver: (deliveryId: string) =>
      act<{ delivery: ShownDelivery }>('redeliverWebhook', { deliveryId }, `delivery { ${DELIVERY} }`),
    async show(webhookId: string, args = 'first: 100'): Promise<ShownWebhook & { deliveries: ShownDelivery[] }> {
      const query = `query ($id: ID!) { node(id: $id) { ... on Webhook { ${WEBHOOK}
        deliveries(${args}) { edges { node { ${DELIVERY} } } } } } }`
      const { data, errors } = await post(url, query, { token: operator.token, variables: { id: webhookId } })
      // What a test reads is what its own query asked for.
      const node = data?.node as (ShownWebhook & { deliveries: { edges: { node: ShownDelivery }[] } }) | undefined
      if (!node) throw new Error(`no webhook: ${JSON.stringify(errors)}`)
      return { ...node, deliveries: node.deliveries.edges.map((edge) => edge.node) }
    },
    async close() {
      await due.close()
      await nodes.stop()
      await receiver.close()
    },
  }
}

/** As a receiver does; throws where the message is not to be believed. */
export function verify(secret: string, { headers, body }: ReceivedPost): unknown {
  const names = ['webhook-id', 'webhook-timestamp', 'webhook-signature']
  const signed = Object.fromEntries(names.map((name) => [name, String(headers[name])]))
  return new Webhook(secret).verify(body.toString('utf8'), signed)
}
