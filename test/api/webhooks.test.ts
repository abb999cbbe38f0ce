// Webhooks, from the operator's mutation to the receiver, which believes a message only after the unmodified package
// standardwebhooks has verified it.

import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { createDeliveryCleanup } from '../../src/notifications/delivery-cleanup.ts'
import { attempt } from '../support/attempt.ts'
import { eventually } from '../support/eventually.ts'
import { post } from '../support/graphql-over-http.ts'
import { type Person, person, stopAll } from '../support/seed.ts'
import {
  openOperations,
  type ShownWebhook,
  verify,
  WEBHOOK,
  type WebhookOperations,
} from '../support/webhook-operations.ts'

describe('webhooks', () => {
  let on: WebhookOperations
  let ada: Person
  beforeAll(async () => {
    on = await openOperations()
    ada = await person(on.url, 'Ada')
  })
  afterEach(async () => {
    await stopAll()
    // Each story has its own: what is due goes to every webhook.
    await on.due.db.webhook.deleteMany()
  })
  afterAll(() => on?.close())

  describe('are for operators', () => {
    it('to whom alone they can be seen', async () => {
      const { webhook } = await on.make(on.newPath())
      const query = 'query ($id: ID!) { webhooks { edges { node { id url } } } node(id: $id) { id } }'
      const ask = async (token: string) => (await post(on.url, query, { token, variables: { id: webhook.id } })).data
      expect(await ask(on.operator.token)).toEqual({
        webhooks: { edges: [{ node: { id: webhook.id, url: webhook.url } }] },
        node: { id: webhook.id },
      })
      expect(await ask(ada.token)).toEqual({ webhooks: null, node: null })
    })

    it('who alone can change them or send anything', async () => {
      const { webhook } = await on.make(on.newPath())
      const { id: deliveryId } = await on.ping(webhook.id)
      await eventually(async () => expect((await on.show(webhook.id)).deliveries[0]?.state).toBe('DELIVERED'))
      const webhookId = webhook.id
      for (const [field, input] of [
        ['createWebhook', { url: 'https://example.com' }],
        ['updateWebhook', { webhookId, url: 'https://example.com' }],
        ['rotateWebhookSecret', { webhookId }],
        ['pingWebhook', { webhookId }],
        ['redeliverWebhook', { deliveryId }],
        ['deleteWebhook', { webhookId }],
      ] as const) {
        expect([field, (await attempt(on.url, ada, field, input)).code]).toEqual([field, 'FORBIDDEN'])
      }
      expect(await on.show(webhook.id)).toMatchObject({ url: webhook.url, deliveries: [{ attemptCount: 1 }] })
    })

    it('to whom the absent is told as such', async () => {
      const unused = (typename: string) =>
        Buffer.from(`${typename}:018f0000-0000-7000-8000-000000000000`).toString('base64url')
      const webhookId = unused('Webhook')
      for (const [field, input] of [
        ['updateWebhook', { webhookId }],
        ['rotateWebhookSecret', { webhookId }],
        ['pingWebhook', { webhookId }],
        ['deleteWebhook', { webhookId }],
        ['redeliverWebhook', { deliveryId: unused('WebhookDelivery') }],
      ] as const) {
        expect([field, (await on.act(field, input, '__typename')).code]).toEqual([field, 'NOT_FOUND'])
      }
    })

    it('at most 50 of them', async () => {
      for (let i = 0; i < 50; i++) await on.make(on.newPath())
      const refused = await on.act('createWebhook', { url: 'https://example.com' }, '__typename')
      expect(refused).toMatchObject({ code: 'VALIDATION_FAILED', issues: [{ path: 'input', limit: 50 }] })
    })
  })

  describe('are told', () => {
    it('of a ping, signed so that the specification’s own package believes it', async () => {
      const { webhook, secret, path } = await on.make(on.newPath(), { kinds: ['MENTION'], description: ' Mail ' })
      expect(webhook).toMatchObject({ kinds: ['MENTION'], description: 'Mail', disabledAt: null, failingSince: null })
      on.receiver.answer(path, () => ({ status: 200, body: 'thank you\0' }))
      const ping = await on.ping(webhook.id)
      expect(ping).toMatchObject({ kind: 'PING', state: 'PENDING', attempts: [] })
      const delivered = await eventually(async () => {
        const { deliveries } = await on.show(webhook.id)
        expect(deliveries.map(({ state }) => state)).toEqual(['DELIVERED'])
        return deliveries[0]
      })
      const [message] = on.receiver.postsTo(path)
      if (!message) throw new Error('no message')
      expect(verify(secret, message)).toEqual({ type: 'webhook.ping', timestamp: expect.any(String), data: {} })
      expect(message.headers).toMatchObject({
        'webhook-id': ping.id,
        'content-type': 'application/json; charset=utf-8',
        'user-agent': expect.stringMatching(/^Sohbet\/\d/),
      })
      expect(delivered).toMatchObject({
        id: ping.id,
        body: message.body.toString(),
        attemptCount: 1,
        error: null,
        deliveredAt: expect.any(String),
        attempts: [{ statusCode: 200, error: null, responseBody: 'thank you' }],
      })
    })

    it('of notifications, with all that a mail needs to say', async () => {
      const { secret, path } = await on.make(on.newPath())
      const notification = on.due.make(ada, { body: 'Çay? 🍵', count: 1 })
      await on.due.plan(notification)
      await on.due.plan({ ...notification, version: 2, count: 12, body: '12 new messages' })
      await eventually(() => expect(on.receiver.postsTo(path)).toHaveLength(2))
      const told = on.receiver.postsTo(path).map((message) => verify(secret, message))
      const data = {
        id: Buffer.from(`Notification:${notification.id}`).toString('base64url'),
        kind: 'MENTION',
        user: { id: ada.id, subject: 'ada' },
        room: null,
        actorName: 'Bob',
        title: 'Bob in Lounge',
        url: null,
      }
      const timestamp = notification.createdAt.toISOString()
      expect(told).toEqual(
        expect.arrayContaining([
          { type: 'notification.created', timestamp, data: { ...data, version: 1, count: 1, body: 'Çay? 🍵' } },
          {
            type: 'notification.updated',
            timestamp,
            data: { ...data, version: 2, count: 12, body: '12 new messages' },
          },
        ]),
      )
    })

    it('of the kinds that they are for, once each, and of nothing that was not committed', async () => {
      const [mentions, all] = [
        await on.make(on.newPath(), { kinds: ['MENTION', 'REPLY'] }),
        await on.make(on.newPath()),
      ]
      const kindsTold = async (id: string) => (await on.show(id)).deliveries.map(({ kind }) => kind).toSorted()
      await on.due.plan(on.due.make(ada, { kind: 'MENTION' }), true)
      const mention = on.due.make(ada, { kind: 'MENTION' })
      await Promise.all([on.due.plan(mention), on.due.plan(mention)])
      await on.due.plan(on.due.make(ada, { kind: 'MESSAGE' }))
      expect(await kindsTold(mentions.webhook.id)).toEqual(['MENTION'])
      expect(await kindsTold(all.webhook.id)).toEqual(['MENTION', 'MESSAGE'])
      await eventually(() => expect(on.receiver.postsTo(all.path)).toHaveLength(2))
      const { deliveries } = await on.show(mentions.webhook.id)
      await on.due.repeat(
        'webhook',
        Buffer.from(deliveries[0]?.id ?? '', 'base64url')
          .toString()
          .split(':')[1] ?? '',
      )
      await on.act('updateWebhook', { webhookId: mentions.webhook.id, kinds: ['MESSAGE'] }, '__typename')
      await on.due.plan(on.due.make(ada, { kind: 'MESSAGE' }))
      await eventually(() => expect(on.receiver.postsTo(mentions.path)).toHaveLength(2))
      expect(
        (await on.show(mentions.webhook.id)).deliveries.map(({ kind, attemptCount }) => [kind, attemptCount]),
      ).toEqual([
        ['MESSAGE', 1],
        ['MENTION', 1],
      ])
    })

    it('of nothing in rooms that the user may not read any more', async () => {
      const { webhook, path } = await on.make(on.newPath())
      const bob = await person(on.url, 'Bob')
      const roomId = await bob.createRoom({ kind: 'PRIVATE' })
      const id = Buffer.from(roomId, 'base64url').toString().split(':')[1] ?? ''
      await on.due.plan(on.due.make(ada, { roomId: id }))
      await eventually(async () =>
        expect((await on.show(webhook.id)).deliveries).toMatchObject([
          { state: 'DEAD', error: 'the user may not read the room any more', attempts: [] },
        ]),
      )
      expect(on.receiver.postsTo(path)).toEqual([])
    })
  })

  describe('deliveries', () => {
    it.each([
      ['500', { status: 500, body: 'out of order' }, 'answered 500', 500],
      ['404', { status: 404 }, 'answered 404', 404],
      ['429 with a wait', { status: 429, headers: { 'retry-after': '0' } }, 'answered 429', 429],
      ['a redirect', { status: 302, headers: { location: '/elsewhere' } }, 'answered 302, which is not followed', 302],
      ['a broken connection', 'cut', 'socket hang up', null],
      ['silence', 'hang', 'no answer within 500 ms', null],
    ] as const)(
      'that meet %s are tried again, as the same message with a new time',
      async (_, answer, error, status) => {
        const { webhook, secret, path } = await on.make(on.newPath())
        let isMended = false
        on.receiver.answer(path, () => (isMended ? { status: 204 } : answer))
        await on.due.plan(on.due.make(ada))
        await eventually(async () =>
          expect(await on.show(webhook.id)).toMatchObject({
            failingSince: expect.any(String),
            deliveries: [{ state: 'FAILED', error, nextAttemptAt: expect.any(String), deliveredAt: null }],
          }),
        )
        isMended = true
        const { deliveries } = await eventually(async () => {
          const shown = await on.show(webhook.id)
          expect(shown).toMatchObject({ failingSince: null, deliveries: [{ state: 'DELIVERED', error: null }] })
          return shown
        })
        const messages = on.receiver.postsTo(path)
        const [delivery] = deliveries
        expect(delivery?.attemptCount).toBe(messages.length)
        // The latest first.
        expect(delivery?.attempts.map(({ statusCode }) => statusCode)).toEqual([
          204,
          ...messages.slice(1).map(() => status),
        ])
        expect(delivery?.attempts.at(-1)?.error).toBe(error)
        expect(new Set(messages.map(({ headers }) => headers['webhook-id']))).toEqual(new Set([delivery?.id]))
        expect(new Set(messages.map((message) => JSON.stringify(verify(secret, message)))).size).toBe(1)
        expect(on.receiver.postsTo('/elsewhere')).toEqual([])
      },
    )

    it('to one that answers endlessly are done with its status, and little of it is kept', async () => {
      const { webhook, path } = await on.make(on.newPath())
      on.receiver.answer(path, () => 'endless')
      await on.ping(webhook.id)
      await eventually(async () => {
        const { deliveries } = await on.show(webhook.id)
        expect(deliveries).toMatchObject([{ state: 'DELIVERED', attempts: [{ responseBody: 'x'.repeat(2_000) }] }])
      })
    })

    it('to one that answers slowly are some at once, and hold up no other', async () => {
      const [slow, quick] = [await on.make(on.newPath(), { kinds: ['ROOM_ADDED'] }), await on.make(on.newPath())]
      on.receiver.answer(slow.path, () => 'hang')
      for (let i = 0; i < 40; i++) await on.due.plan(on.due.make(ada, { kind: 'ROOM_ADDED' }))
      await eventually(() => expect(on.receiver.postsTo(quick.path)).toHaveLength(40))
      // By then the slow one would have taken all hands, were they not counted.
      expect(on.receiver.postsTo(slow.path).length).toBeGreaterThan(0)
      // Four, and as many more as look for a job at the same moment: the queue has three connections.
      expect(on.receiver.mostAtOnceAt(slow.path)).toBeLessThanOrEqual(6)
    })

    it('are listed by state, the latest first, page by page', async () => {
      const { webhook, path } = await on.make(on.newPath())
      on.receiver.answer(path, (earlier) => ({ status: earlier === 1 ? 410 : 204 }))
      const ids: string[] = []
      for (const state of ['DELIVERED', 'DEAD']) {
        ids.unshift((await on.ping(webhook.id)).id)
        await eventually(async () => expect((await on.show(webhook.id)).deliveries[0]?.state).toBe(state))
      }
      const idsOf = async (args: string) => (await on.show(webhook.id, args)).deliveries.map(({ id }) => id)
      expect(await idsOf('first: 10')).toEqual(ids)
      expect(await idsOf('first: 1')).toEqual(ids.slice(0, 1))
      expect(await idsOf('last: 1')).toEqual(ids.slice(1))
      expect(await idsOf('states: [DEAD]')).toEqual(ids.slice(0, 1))
      expect(await idsOf('states: [DELIVERED, FAILED]')).toEqual(ids.slice(1))
      expect(await idsOf('states: []')).toEqual(ids)
      const query = `query ($id: ID!, $after: String) { node(id: $id) { ... on Webhook {
        deliveries(first: 1, after: $after) { pageInfo { endCursor hasNextPage } edges { node { id } } } } } }`
      const read = async (after: string | null) => {
        const variables = { id: webhook.id, after }
        const { data } = await post(on.url, query, { token: on.operator.token, variables })
        return JSON.parse(JSON.stringify(data)).node.deliveries
      }
      const first = await read(null)
      expect(first.pageInfo.hasNextPage).toBe(true)
      expect(await read(first.pageInfo.endCursor)).toMatchObject({
        pageInfo: { hasNextPage: false },
        edges: [{ node: { id: ids[1] } }],
      })
    })

    it('can be sent again, whatever became of them, under the same id', async () => {
      const { webhook, secret, path } = await on.make(on.newPath())
      await on.due.plan(on.due.make(ada))
      const [delivery] = await eventually(async () => {
        const { deliveries } = await on.show(webhook.id)
        expect(deliveries).toMatchObject([{ state: 'DELIVERED' }])
        return deliveries
      })
      on.receiver.answer(path, (earlier) => ({ status: earlier === 1 ? 500 : 204 }))
      const again = await on.redeliver(delivery?.id ?? '')
      expect(again.delivery).toMatchObject({ id: delivery?.id, state: 'PENDING', deliveredAt: null })
      await eventually(async () =>
        expect((await on.show(webhook.id)).deliveries).toMatchObject([{ state: 'DELIVERED', attemptCount: 3 }]),
      )
      const messages = on.receiver.postsTo(path)
      expect(messages.map(({ headers }) => headers['webhook-id'])).toEqual(messages.map(() => delivery?.id))
      for (const message of messages) verify(secret, message)
    })

    it('that are under way are not sent a second time', async () => {
      const { webhook, path } = await on.make(on.newPath())
      on.receiver.answer(path, () => 'hang')
      const { id } = await on.ping(webhook.id)
      await eventually(() => expect(on.receiver.postsTo(path)).toHaveLength(1))
      expect((await on.redeliver(id)).delivery?.state).toBe('SENDING')
      await eventually(async () => expect((await on.show(webhook.id)).deliveries[0]?.state).toBe('DEAD'))
      expect(on.receiver.postsTo(path)).toHaveLength(1)
    })

    it('are removed with their log when they are old', async () => {
      const { webhook } = await on.make(on.newPath())
      const [old, recent] = [await on.ping(webhook.id), await on.ping(webhook.id)]
      await eventually(async () =>
        expect((await on.show(webhook.id)).deliveries.map(({ state }) => state)).toEqual(['DELIVERED', 'DELIVERED']),
      )
      const id = Buffer.from(old.id, 'base64url').toString().split(':')[1] ?? ''
      const createdAt = new Date(Date.now() - 31 * 24 * 60 * 60 * 1_000)
      await on.due.db.webhookDelivery.update({ where: { id }, data: { createdAt } })
      const { db } = on.due
      const signal = new AbortController().signal
      await createDeliveryCleanup({ db, clock: { now: () => Date.now() }, days: 30 })({ id: 'any', signal })
      expect((await on.show(webhook.id)).deliveries.map((delivery) => delivery.id)).toEqual([recent.id])
      expect(await db.webhookAttempt.count({ where: { deliveryId: id } })).toBe(0)
    })
  })

  describe('that are gone', () => {
    it('by their own word, 410, are disabled at once, and told nothing until they are enabled', async () => {
      const { webhook, path } = await on.make(on.newPath())
      on.receiver.answer(path, (earlier) => ({ status: earlier === 0 ? 410 : 204 }))
      await on.due.plan(on.due.make(ada))
      await eventually(async () =>
        expect(await on.show(webhook.id)).toMatchObject({
          disabledAt: expect.any(String),
          disabledReason: 'It answered 410: it is gone for good.',
          deliveries: [{ state: 'DEAD', error: 'answered 410' }],
        }),
      )
      await on.due.plan(on.due.make(ada))
      const { deliveries } = await on.show(webhook.id)
      expect(deliveries).toHaveLength(1)
      const deliveryId = deliveries[0]?.id ?? ''
      expect(await on.redeliver(deliveryId)).toMatchObject({ code: 'WEBHOOK_DISABLED' })
      const refused = await on.act('pingWebhook', { webhookId: webhook.id }, '__typename')
      expect(refused.code).toBe('WEBHOOK_DISABLED')
      const enabled = await on.act<{ webhook: ShownWebhook }>(
        'updateWebhook',
        { webhookId: webhook.id, isEnabled: true },
        `webhook { ${WEBHOOK} }`,
      )
      expect(enabled.webhook).toMatchObject({ disabledAt: null, disabledReason: null, failingSince: null })
      await on.redeliver(deliveryId)
      await eventually(async () => expect((await on.show(webhook.id)).deliveries[0]?.state).toBe('DELIVERED'))
    })

    it('by the word of an operator leave what was still to be sent unsent', async () => {
      const { webhook, path } = await on.make(on.newPath())
      on.receiver.answer(path, () => ({ status: 503 }))
      await on.due.plan(on.due.make(ada))
      await eventually(async () => expect((await on.show(webhook.id)).deliveries[0]?.state).toBe('FAILED'))
      await on.act('updateWebhook', { webhookId: webhook.id, isEnabled: false }, '__typename')
      await eventually(async () =>
        expect(await on.show(webhook.id)).toMatchObject({
          disabledReason: 'An operator has disabled it.',
          deliveries: [{ state: 'DEAD', error: 'the webhook is disabled' }],
        }),
      )
      const { webhookId } = await on.act<{ webhookId: string }>('deleteWebhook', { webhookId: webhook.id }, 'webhookId')
      expect(webhookId).toBe(webhook.id)
      expect(await on.due.db.webhookDelivery.count({ where: { webhook: { url: webhook.url } } })).toBe(0)
    })
  })
})
