import type { PushSubscription } from '../generated/prisma/client.ts'
import { REFUSALS } from '../graphql/base-types.ts'
import { builder, pageComplexity } from '../graphql/builder.ts'
import { requireViewer } from '../graphql/context.ts'
import { encodeGlobalId } from '../graphql/global-id.ts'
import { parseInput } from '../graphql/input.ts'
import { ServerInfoType } from '../server-info/schema.ts'
import { UserType } from '../users/schema.ts'
import { subscribeToPushRule, unsubscribeFromPushRule } from './input-rules.ts'
import { resolvePushSubscriptions } from './pages.ts'
import { MAX_PUSH_SUBSCRIPTIONS, type Push } from './push-service.ts'

declare module '../graphql/context.ts' {
  interface Services {
    readonly push: Push
  }
}

const PushSubscriptionType = builder.objectRef<PushSubscription>('PushSubscription').implement({
  description: 'A browser that gets the viewer’s notifications by Web Push.',
  fields: (t) => ({
    id: t.id({
      description: 'Names the subscription for caches; it cannot be looked up by it.',
      resolve: ({ id }) => encodeGlobalId('PushSubscription', id),
    }),
    endpoint: t.exposeString('endpoint', { description: 'Where the browser’s push service takes messages for it.' }),
    userAgent: t.exposeString('userAgent', {
      nullable: true,
      description: 'What the browser has called itself; null where it did not say.',
    }),
    createdAt: t.expose('createdAt', { type: 'DateTime', description: 'When it first subscribed for this user.' }),
  }),
})

builder.objectFields(UserType, (t) => ({
  pushSubscriptions: t.connection(
    {
      type: PushSubscriptionType,
      nullable: true,
      complexity: pageComplexity,
      description: `The browsers that get the viewer’s notifications, the oldest first; null of other users. At most ${MAX_PUSH_SUBSCRIPTIONS}.`,
      extensions: { viewerDependent: true },
      resolve: (user, args, context) => {
        const viewer = requireViewer(context)
        return user.id === viewer.userId ? resolvePushSubscriptions(context.push, viewer, args) : null
      },
    },
    { name: 'PushSubscriptionConnection' },
    { name: 'PushSubscriptionEdge' },
  ),
}))

builder.objectFields(ServerInfoType, (t) => ({
  vapidPublicKey: t.string({
    nullable: true,
    description:
      'The `applicationServerKey` with which browsers subscribe to Web Push (RFC 8292), in base64url; null where this server sends none.',
    resolve: (_info, _args, { push }) => push.vapidPublicKey,
  }),
}))

const SubscribeToPushInput = builder.inputType('SubscribeToPushInput', {
  description: 'What the browser’s PushSubscription says (Push API, `toJSON()`).',
  fields: (t) => ({
    endpoint: t.string({
      required: true,
      description: 'Its `endpoint`, of at most 2,048 characters: https, and on the public internet.',
    }),
    p256dh: t.string({ required: true, description: 'Its `keys.p256dh`, in base64url.' }),
    auth: t.string({ required: true, description: 'Its `keys.auth`, in base64url.' }),
    userAgent: t.string({
      description: 'What the browser calls itself, for the user to know it by; at most 300 characters.',
    }),
  }),
})

const SubscribeToPushSuccess = builder
  .objectRef<{ pushSubscription: PushSubscription }>('SubscribeToPushSuccess')
  .implement({
    description: 'The browser gets the viewer’s notifications.',
    fields: (t) => ({
      pushSubscription: t.expose('pushSubscription', { type: PushSubscriptionType, description: 'The subscription.' }),
    }),
  })

const UnsubscribeFromPushInput = builder.inputType('UnsubscribeFromPushInput', {
  description: 'The browser that is to get no more.',
  fields: (t) => ({ endpoint: t.string({ required: true, description: 'Its endpoint.' }) }),
})

const UnsubscribeFromPushSuccess = builder.objectRef<{ endpoint: string }>('UnsubscribeFromPushSuccess').implement({
  description: 'The browser gets no notifications of the viewer’s.',
  fields: (t) => ({ endpoint: t.exposeString('endpoint', { description: 'Its endpoint.' }) }),
})

builder.mutationFields((t) => ({
  subscribeToPush: t.field({
    type: SubscribeToPushSuccess,
    description: `Has a browser get the viewer’s notifications by Web Push. Again with the same endpoint, it renews the keys; an endpoint that was another user’s is the viewer’s from then on. Of more than ${MAX_PUSH_SUBSCRIPTIONS} browsers of a user the oldest gets no more. PUSH_OFF where the server sends no Web Push.`,
    errors: { types: REFUSALS, union: { description: 'The subscription, or why it was refused.' } },
    args: { input: t.arg({ type: SubscribeToPushInput, required: true, description: 'The browser.' }) },
    resolve: async (_root, { input }, context) => {
      const viewer = requireViewer(context)
      return { pushSubscription: await context.push.subscribe(viewer, parseInput(subscribeToPushRule, input)) }
    },
  }),
  unsubscribeFromPush: t.field({
    type: UnsubscribeFromPushSuccess,
    description:
      'Has a browser get no more notifications of the viewer’s, as before they sign out. It changes nothing where it got none.',
    errors: { types: REFUSALS, union: { description: 'The endpoint, or why it was refused.' } },
    args: { input: t.arg({ type: UnsubscribeFromPushInput, required: true, description: 'The browser.' }) },
    resolve: async (_root, { input }, context) => {
      const viewer = requireViewer(context)
      const { endpoint } = parseInput(unsubscribeFromPushRule, input)
      await context.push.unsubscribe(viewer, endpoint)
      return { endpoint }
    },
  }),
}))
