// What becomes of webhooks and their secrets in the course of days, by a clock that the test turns.

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { post } from '../support/graphql-over-http.ts'
import { person } from '../support/seed.ts'
import { openOperations, verify, type WebhookOperations } from '../support/webhook-operations.ts'

const HOUR_MS = 3_600_000
/** Turned only while nobody signs in: tokens would seem to have expired. */
const clock = { aheadMs: 0, now: () => Date.now() + clock.aheadMs }

describe('the secret of a webhook', () => {
  let on: WebhookOperations
  beforeAll(async () => {
    on = await openOperations({}, clock)
  })
  afterAll(() => on?.close())

  it('that was replaced counts for a day beside the new one', async () => {
    const { webhook, secret, path } = await on.make(on.newPath())
    const rotated = await on.act<{ secret: string; webhook: { previousSecretEndsAt: string } }>(
      'rotateWebhookSecret',
      { webhookId: webhook.id },
      'secret webhook { previousSecretEndsAt }',
    )
    const fresh = rotated.secret ?? ''
    expect(fresh).toMatch(/^whsec_[\w+/]{43}=$/)
    expect(fresh).not.toBe(secret)
    const hours = (Date.parse(rotated.webhook?.previousSecretEndsAt ?? '') - Date.now()) / 3_600_000
    expect(Math.round(hours)).toBe(24)
    const ada = await person(on.url, 'Ada')
    const tell = async (count: number) => {
      await on.due.plan(on.due.make(ada))
      return eventually(() => {
        const messages = on.receiver.postsTo(path)
        expect(messages).toHaveLength(count)
        return messages[count - 1] ?? messages[0]
      })
    }
    const both = await tell(1)
    if (!both) throw new Error('no message')
    expect(verify(fresh, both)).toEqual(verify(secret, both))
    clock.aheadMs = 25 * 3_600_000
    const later = await tell(2)
    clock.aheadMs = 0
    expect(String(both.headers['webhook-signature']).split(' ')).toHaveLength(2)
    expect(String(later?.headers['webhook-signature']).split(' ')).toHaveLength(1)
  })

  it('is in nothing that can be read later', async () => {
    const { data } = await post(on.url, '{ __type(name: "Webhook") { fields { name } } }', on.operator)
    const { fields } = JSON.parse(JSON.stringify(data)).__type
    expect(fields.map(({ name }: { name: string }) => name)).not.toContain('secret')
  })
})

describe('a webhook that does not work', () => {
  let on: WebhookOperations
  beforeAll(async () => {
    on = await openOperations({ DELIVERY_RETRY_FOR_MS: '0' }, clock)
  })
  afterAll(() => on?.close())

  it('has its deliveries given up when their time is over, and is disabled itself after days', async () => {
    const { webhook, path } = await on.make(on.newPath())
    on.receiver.answer(path, () => ({ status: 500, body: 'out of order' }))
    const ada = await person(on.url, 'Ada')
    /** What is due in so many hours is given up: the state of the webhook then. */
    const failIn = async (hours: number) => {
      clock.aheadMs = hours * HOUR_MS
      const notification = on.due.make(ada)
      await on.due.plan(notification)
      await eventually(async () => {
        const { state } = await on.due.db.webhookDelivery.findFirstOrThrow({
          where: { notificationId: notification.id },
        })
        expect(state).toBe('DEAD')
      })
      clock.aheadMs = 0
      return on.show(webhook.id)
    }
    expect(await failIn(0)).toMatchObject({
      failingSince: expect.any(String),
      disabledAt: null,
      deliveries: [{ state: 'DEAD', error: 'answered 500', nextAttemptAt: null, attemptCount: 1 }],
    })
    expect((await failIn(119)).disabledAt).toBeNull()
    const { failingSince, disabledReason, deliveries } = await failIn(121)
    expect(disabledReason).toBe(`No attempt has succeeded since ${failingSince}; the last one: answered 500`)
    on.receiver.answer(path, () => ({ status: 204 }))
    await on.act('updateWebhook', { webhookId: webhook.id, isEnabled: true }, '__typename')
    await on.redeliver(deliveries[0]?.id ?? '')
    await eventually(async () =>
      expect(await on.show(webhook.id)).toMatchObject({
        failingSince: null,
        deliveries: [{ state: 'DELIVERED' }, {}, {}],
      }),
    )
  })
})

describe('a delivery that has failed', () => {
  let on: WebhookOperations
  beforeAll(async () => {
    on = await openOperations({}, clock)
  })
  afterAll(() => on?.close())

  it('waits for its pause only, also where the clock of the node is hours ahead', async () => {
    // Guards: the next attempt was due by the clock of the node that had failed.
    const { path } = await on.make(on.newPath())
    on.receiver.answer(path, (earlier) => ({ status: earlier === 0 ? 503 : 204 }))
    const notification = on.due.make(await person(on.url, 'Ada'))
    clock.aheadMs = 3 * HOUR_MS
    try {
      await on.due.plan(notification)
      await eventually(() => expect(on.receiver.postsTo(path)).toHaveLength(2))
    } finally {
      clock.aheadMs = 0
    }
  })
})
