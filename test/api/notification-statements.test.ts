// What it costs to tell many at once: they are told under locks, so the statements must not be as many as they are.

import { afterEach, describe, expect, it } from 'vitest'
import webPush from 'web-push'
import { createDb } from '../../src/platform/db.ts'
import { newId } from '../../src/platform/ids.ts'
import { countStatements } from '../support/count-statements.ts'
import { eventually } from '../support/eventually.ts'
import { person, stopAll } from '../support/seed.ts'
import { useNodes } from '../support/start-nodes.ts'

const KEYS = webPush.generateVAPIDKeys()
const MEMBERS = 120

describe('telling everybody in a room', () => {
  const nodes = useNodes({
    settings: {
      VAPID_PUBLIC_KEY: KEYS.publicKey,
      VAPID_PRIVATE_KEY: KEYS.privateKey,
      VAPID_SUBJECT: 'mailto:chat@example.com',
    },
  })
  afterEach(stopAll)

  it('plans the deliveries of all in some statements, each delivery with its job', async () => {
    const ada = await person(nodes().urls[0] ?? '', 'Ada')
    const room = await ada.createRoom()
    const db = createDb({ url: nodes().databaseUrl, poolSize: 2, applicationName: 'test' })
    const uuidOf = (globalId: string) => Buffer.from(globalId, 'base64url').toString().split(':')[1] ?? ''
    const users = Array.from({ length: MEMBERS }, (_, i) => ({ id: newId(), subject: newId(), name: `Member ${i}` }))
    await db.user.createMany({ data: users })
    await db.membership.createMany({
      data: users.map(({ id }) => ({ id: newId(), roomId: uuidOf(room), userId: id, role: 'MEMBER' as const })),
    })
    // Two browsers each, where nothing is sent to: the addresses are not allowed.
    await db.pushSubscription.createMany({
      data: [...users, ...users].map(({ id }, i) => ({
        ...{ id: newId(), userId: id, endpoint: `https://127.0.0.1/${i}` },
        ...{ p256dh: KEYS.publicKey, auth: 'AAAAAAAAAAAAAAAAAAAAAA' },
      })),
    })
    await db.webhook.create({
      data: {
        id: newId(),
        url: 'https://127.0.0.1/hook',
        secret: 'whsec_AAAA',
        kinds: [],
        createdById: uuidOf(ada.id),
      },
    })
    const counter = countStatements(nodes().databaseUrl, 'sohbet-background')
    try {
      await ada.send(room, '@room hello')
      const counts = async () => [await db.pushDelivery.count(), await db.webhookDelivery.count()]
      await eventually(async () => expect(await counts()).toEqual([2 * MEMBERS, MEMBERS]))
      const planning = counter
        .take()
        .filter((text) => /FOR KEY SHARE$|INSERT INTO "public"."(push|webhook)_deliveries"|INTO pgboss.job/.test(text))
      expect(planning.length).toBeLessThan(15)
      await eventually(async () => expect(await db.pushDelivery.count({ where: { state: 'DEAD' } })).toBe(2 * MEMBERS))
      await eventually(async () => expect(await db.webhookDelivery.count({ where: { state: 'DEAD' } })).toBe(MEMBERS))
    } finally {
      counter.stop()
      await db.$disconnect()
    }
  })
})
