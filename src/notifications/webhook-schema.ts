import type { Webhook, WebhookAttempt } from '../generated/prisma/client.ts'
import { REFUSALS } from '../graphql/base-types.ts'
import { builder, pageComplexity } from '../graphql/builder.ts'
import { requireViewer } from '../graphql/context.ts'
import { encodeGlobalId } from '../graphql/global-id.ts'
import { parseInput } from '../graphql/input.ts'
import { createWebhookRule, redeliverWebhookRule, updateWebhookRule, webhookOnlyRule } from './input-rules.ts'
import { findKind } from './kind-registry.ts'
import { resolveDeliveries, resolveWebhooks } from './pages.ts'
import { NotificationKindEnum, OTHER_KIND } from './schema.ts'
import { MAX_WEBHOOKS, PREVIOUS_SECRET_HOURS, type Webhooks, type WebhookWithSecret } from './webhook-service.ts'
import type { LoggedDelivery } from './webhook-store.ts'

declare module '../graphql/context.ts' {
  interface Services {
    readonly webhooks: Webhooks
  }
}

const DeliveryStateEnum = builder.enumType('DeliveryState', {
  description: 'Where a delivery stands.',
  values: {
    PENDING: { description: 'Nothing was sent yet.' },
    SENDING: { description: 'It is being sent; or the node that did so is gone, and it will be sent again.' },
    DELIVERED: { description: 'The receiver has answered with a status from 200 to 299.' },
    FAILED: { description: 'The last attempt failed; there will be another.' },
    DEAD: { description: 'It was given up. `redeliverWebhook` begins anew.' },
  } as const,
})

const WebhookAttemptType = builder.objectRef<WebhookAttempt>('WebhookAttempt').implement({
  description: 'One attempt to deliver to a webhook.',
  fields: (t) => ({
    startedAt: t.expose('startedAt', { type: 'DateTime', description: 'When it was sent.' }),
    durationMs: t.exposeInt('durationMs', { description: 'How long it took, in milliseconds.' }),
    statusCode: t.exposeInt('statusCode', {
      nullable: true,
      description: 'The status of the answer; null where there was none.',
    }),
    error: t.exposeString('error', { nullable: true, description: 'Why it failed; null where it did not.' }),
    responseBody: t.exposeString('responseBody', {
      nullable: true,
      description: 'The beginning of the answer’s body; null where there was none.',
    }),
  }),
})

const WebhookDeliveryType = builder.objectRef<LoggedDelivery>('WebhookDelivery').implement({
  description: 'One notification, or a ping, for one webhook.',
  fields: (t) => ({
    id: t.id({
      description: 'Names the delivery, for `redeliverWebhook`; it stands in the header `webhook-id` of every attempt.',
      resolve: ({ id }) => encodeGlobalId('WebhookDelivery', id),
    }),
    kind: t.exposeString('kind', { description: 'Of which kind the notification is, or PING.' }),
    state: t.expose('state', { type: DeliveryStateEnum, description: 'Where it stands.' }),
    error: t.exposeString('error', {
      nullable: true,
      description: 'What the last attempt met, or why it was given up; null where nothing is wrong.',
    }),
    body: t.exposeString('body', { description: 'What is sent, at each attempt the same: JSON.' }),
    attemptCount: t.exposeInt('attempts', { description: 'How often it was tried.' }),
    attempts: t.field({
      type: [WebhookAttemptType],
      description: 'What came of the attempts, the latest first; at most 50.',
      resolve: ({ log }) => log,
    }),
    nextAttemptAt: t.expose('nextAttemptAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When it is tried again, at the earliest; null where that is not planned.',
    }),
    deliveredAt: t.expose('deliveredAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When the receiver took it; null where it has not.',
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was due.' }),
  }),
})

const WebhookType = builder.objectRef<Webhook>('Webhook')

builder.node(WebhookType, {
  description: 'A server that is told of notifications. For operators; to others there is none.',
  id: { resolve: ({ id }) => id },
  loadMany: async (ids: string[], context) => {
    const viewer = requireViewer(context)
    const found = new Map((await context.webhooks.findWebhooks(viewer, ids)).map((webhook) => [webhook.id, webhook]))
    return ids.map((id) => found.get(id) ?? null)
  },
  fields: (t) => ({
    url: t.exposeString('url', { description: 'Where messages are posted to.' }),
    description: t.exposeString('description', { nullable: true, description: 'What it is for; null where not said.' }),
    kinds: t.field({
      type: [NotificationKindEnum],
      description: 'Of which kinds of notifications it is told; empty where of all.',
      resolve: ({ kinds }) => kinds.map((kind) => (findKind(kind) ? kind : OTHER_KIND)),
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it was made.' }),
    previousSecretEndsAt: t.expose('previousSecretEndsAt', {
      type: 'DateTime',
      nullable: true,
      description: 'Until when messages are signed with the secret before as well; null where there was none.',
    }),
    failingSince: t.expose('failingSince', {
      type: 'DateTime',
      nullable: true,
      description: 'Since when every attempt has failed; null where the last one succeeded, or there was none.',
    }),
    disabledAt: t.expose('disabledAt', {
      type: 'DateTime',
      nullable: true,
      description: 'Since when it is told nothing; null where it is enabled.',
    }),
    disabledReason: t.exposeString('disabledReason', {
      nullable: true,
      description: 'Why it is told nothing; null where it is enabled.',
    }),
    deliveries: t.connection(
      {
        type: WebhookDeliveryType,
        complexity: pageComplexity,
        description:
          'What was, is and will be sent to it, the latest first, for as long as deliveries are kept (`DELIVERY_LOG_DAYS`). Default page 50, at most 100.',
        args: {
          states: t.arg({
            type: [DeliveryStateEnum],
            description: 'Only deliveries in one of these states; where left out or empty, in all.',
          }),
        },
        resolve: (webhook, args, { webhooks }) => resolveDeliveries(webhooks, webhook, args.states ?? [], args),
      },
      { name: 'WebhookDeliveryConnection' },
      { name: 'WebhookDeliveryEdge' },
    ),
  }),
})

builder.queryFields((t) => ({
  webhooks: t.connection(
    {
      type: WebhookType,
      nullable: true,
      complexity: pageComplexity,
      description: `The webhooks, the oldest first, at most ${MAX_WEBHOOKS}; null to who is no operator (\`sohbet:operator\` in the token’s \`scope\`).`,
      resolve: (_root, args, context) => resolveWebhooks(context.webhooks, requireViewer(context), args),
    },
    { name: 'WebhookConnection' },
    { name: 'WebhookEdge' },
  ),
}))

const urlHelp = 'an http or https URL of at most 2,048 characters, without user name and password'
const kindsHelp = 'The kinds of notifications to tell it of; empty for all.'

const CreateWebhookInput = builder.inputType('CreateWebhookInput', {
  description: 'The webhook to make.',
  fields: (t) => ({
    url: t.string({ required: true, description: `Where to post: ${urlHelp}.` }),
    kinds: t.field({ type: [NotificationKindEnum], description: kindsHelp }),
    description: t.string({ description: 'What it is for, at most 200 characters.' }),
  }),
})

const UpdateWebhookInput = builder.inputType('UpdateWebhookInput', {
  description: 'What to change; what is left out stays as it is.',
  fields: (t) => ({
    webhookId: t.id({ required: true, description: 'The webhook.' }),
    url: t.string({ description: `Where to post: ${urlHelp}. The secret stays.` }),
    kinds: t.field({ type: [NotificationKindEnum], description: kindsHelp }),
    description: t.string({ description: 'What it is for, at most 200 characters; null or empty removes it.' }),
    isEnabled: t.boolean({
      description: 'Whether it is told of notifications. One that is enabled again begins with a clean record.',
    }),
  }),
})

const inputOfWebhook = (name: string, description: string) =>
  builder.inputType(name, {
    description,
    fields: (t) => ({ webhookId: t.id({ required: true, description: 'The webhook.' }) }),
  })

const RotateWebhookSecretInput = inputOfWebhook('RotateWebhookSecretInput', 'The webhook to get a new secret.')
const DeleteWebhookInput = inputOfWebhook('DeleteWebhookInput', 'The webhook to remove.')
const PingWebhookInput = inputOfWebhook('PingWebhookInput', 'The webhook to try out.')

const RedeliverWebhookInput = builder.inputType('RedeliverWebhookInput', {
  description: 'What to send again.',
  fields: (t) => ({ deliveryId: t.id({ required: true, description: 'The delivery.' }) }),
})

const successWithSecret = (name: string, description: string) =>
  builder.objectRef<WebhookWithSecret>(name).implement({
    description,
    fields: (t) => ({
      webhook: t.expose('webhook', { type: WebhookType, description: 'The webhook.' }),
      secret: t.exposeString('secret', {
        description: 'What its messages are signed with: `whsec_` and base64. It is shown this once.',
      }),
    }),
  })

const successWithDelivery = (name: string, description: string) =>
  builder.objectRef<{ delivery: LoggedDelivery }>(name).implement({
    description,
    fields: (t) => ({
      delivery: t.expose('delivery', { type: WebhookDeliveryType, description: 'The delivery, not yet sent.' }),
    }),
  })

const CreateWebhookSuccess = successWithSecret('CreateWebhookSuccess', 'The webhook is there.')
const RotateWebhookSecretSuccess = successWithSecret('RotateWebhookSecretSuccess', 'The webhook has a new secret.')
const PingWebhookSuccess = successWithDelivery('PingWebhookSuccess', 'The ping is on its way.')
const RedeliverWebhookSuccess = successWithDelivery('RedeliverWebhookSuccess', 'The delivery is on its way.')

const UpdateWebhookSuccess = builder.objectRef<{ webhook: Webhook }>('UpdateWebhookSuccess').implement({
  description: 'The webhook was changed.',
  fields: (t) => ({ webhook: t.expose('webhook', { type: WebhookType, description: 'The webhook, as it is now.' }) }),
})

const DeleteWebhookSuccess = builder.objectRef<{ webhookId: string }>('DeleteWebhookSuccess').implement({
  description: 'The webhook is gone, with its deliveries.',
  fields: (t) => ({
    webhookId: t.id({
      description: 'The webhook that was removed.',
      resolve: ({ webhookId }) => encodeGlobalId('Webhook', webhookId),
    }),
  }),
})

builder.mutationFields((t) => ({
  createWebhook: t.field({
    type: CreateWebhookSuccess,
    description: `Has a server be told of notifications, of all users, by messages that are signed after the Standard Webhooks specification (standardwebhooks.com). Operators only; at most ${MAX_WEBHOOKS} webhooks. See docs/notifications.md for what is sent.`,
    errors: { types: REFUSALS, union: { description: 'The webhook with its secret, or why it was refused.' } },
    args: { input: t.arg({ type: CreateWebhookInput, required: true, description: 'The webhook.' }) },
    resolve: (_root, { input }, context) => {
      const viewer = requireViewer(context)
      return context.webhooks.createWebhook(viewer, parseInput(createWebhookRule, input))
    },
  }),
  updateWebhook: t.field({
    type: UpdateWebhookSuccess,
    description: 'Changes a webhook. Operators only. What is still to be sent goes to the new URL.',
    errors: { types: REFUSALS, union: { description: 'The changed webhook, or why it was refused.' } },
    args: { input: t.arg({ type: UpdateWebhookInput, required: true, description: 'What to change.' }) },
    resolve: async (_root, { input }, context) => {
      const viewer = requireViewer(context)
      const { webhookId, edit } = parseInput(updateWebhookRule, input)
      return { webhook: await context.webhooks.updateWebhook(viewer, webhookId, edit) }
    },
  }),
  rotateWebhookSecret: t.field({
    type: RotateWebhookSecretSuccess,
    description: `Gives a webhook a new secret. Operators only. For ${PREVIOUS_SECRET_HOURS} hours messages carry two signatures, by the new secret and by the one before, so that the receiver can change over; a second rotation ends that of the first.`,
    errors: { types: REFUSALS, union: { description: 'The new secret, or why it was refused.' } },
    args: { input: t.arg({ type: RotateWebhookSecretInput, required: true, description: 'The webhook.' }) },
    resolve: (_root, { input }, context) => {
      const viewer = requireViewer(context)
      return context.webhooks.rotateSecret(viewer, parseInput(webhookOnlyRule, input).webhookId)
    },
  }),
  deleteWebhook: t.field({
    type: DeleteWebhookSuccess,
    description: 'Removes a webhook, its deliveries and their log. Operators only.',
    errors: { types: REFUSALS, union: { description: 'Which webhook is gone, or why it was refused.' } },
    args: { input: t.arg({ type: DeleteWebhookInput, required: true, description: 'The webhook.' }) },
    resolve: async (_root, { input }, context) => {
      const viewer = requireViewer(context)
      const { webhookId } = parseInput(webhookOnlyRule, input)
      await context.webhooks.deleteWebhook(viewer, webhookId)
      return { webhookId }
    },
  }),
  pingWebhook: t.field({
    type: PingWebhookSuccess,
    description:
      'Sends a webhook a message of the type `webhook.ping`, whatever kinds it is told of, and once only. Operators only. What came of it stands in its `deliveries`.',
    errors: { types: REFUSALS, union: { description: 'The delivery, or why it was refused.' } },
    args: { input: t.arg({ type: PingWebhookInput, required: true, description: 'The webhook.' }) },
    resolve: async (_root, { input }, context) => {
      const viewer = requireViewer(context)
      return { delivery: await context.webhooks.ping(viewer, parseInput(webhookOnlyRule, input).webhookId) }
    },
  }),
  redeliverWebhook: t.field({
    type: RedeliverWebhookSuccess,
    description:
      'Sends a delivery again, whatever became of it, under the same `webhook-id` and tried for as long as a new one. Operators only. One that is under way is left as it is.',
    errors: { types: REFUSALS, union: { description: 'The delivery, or why it was refused.' } },
    args: { input: t.arg({ type: RedeliverWebhookInput, required: true, description: 'The delivery.' }) },
    resolve: async (_root, { input }, context) => {
      const viewer = requireViewer(context)
      const { deliveryId } = parseInput(redeliverWebhookRule, input)
      return { delivery: await context.webhooks.redeliver(viewer, deliveryId) }
    },
  }),
}))
