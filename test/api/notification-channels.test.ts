// From a message to the browser and the operator's server: who is mentioned is told there, as far as they want it told.

import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import webPush from 'web-push'
import { attempt } from '../support/attempt.ts'
import { makeCertificate } from '../support/certificate.ts'
import { eventually } from '../support/eventually.ts'
import { type PostReceiver, startPostReceiver } from '../support/post-receiver.ts'
import { openBrowser } from '../support/push-browser.ts'
import { type Person, person, stopAll } from '../support/seed.ts'
import { signToken, startNodes, type TestNodes } from '../support/start-nodes.ts'
import { verify } from '../support/webhook-operations.ts'

describe('who is mentioned', () => {
  let nodes: TestNodes
  let pushService: PostReceiver
  let receiver: PostReceiver
  let secret = ''
  const url = () => nodes.urls[0] ?? ''

  beforeAll(async () => {
    const [certificate, keys] = [await makeCertificate(), webPush.generateVAPIDKeys()]
    pushService = await startPostReceiver(certificate)
    receiver = await startPostReceiver()
    nodes = await startNodes({
      settings: {
        VAPID_PUBLIC_KEY: keys.publicKey,
        VAPID_PRIVATE_KEY: keys.privateKey,
        VAPID_SUBJECT: 'mailto:chat@example.com',
        OUTBOUND_PRIVATE_ADDRESSES: 'allow',
        NOTIFICATION_WINDOW_MS: '600000',
      },
      outbound: { ca: certificate.cert },
    })
    const operator = { token: await signToken('operator', { scope: 'sohbet:operator' }) }
    const made = await attempt<{ secret: string }>(
      url(),
      operator,
      'createWebhook',
      { url: receiver.url, kinds: ['MENTION'] },
      'secret',
    )
    secret = made.secret ?? ''
  })
  afterEach(stopAll)
  afterAll(async () => {
    await nodes?.stop()
    await pushService?.close()
    await receiver?.close()
  })

  const mention = async (name: string, privacy: string) => {
    const subject = `${name.toLowerCase()}-the-mentioned`
    const [who, bob, browser] = [
      await person(url(), name, subject),
      await person(url(), 'Bob'),
      openBrowser(pushService.url),
    ]
    await attempt(url(), who, 'subscribeToPush', browser.input)
    await attempt(url(), who, 'updateNotificationSettings', { pushPrivacy: privacy })
    const room = await bob.createRoom({ name: 'Garden' })
    await who.join(room)
    await bob.send(room, `@${name} the tulips are out 🌷`)
    const [message] = await eventually(() => {
      const pushed = pushService.postsTo(browser.path)
      expect(pushed).toHaveLength(1)
      return pushed
    })
    if (!message) throw new Error('no push')
    return { who, room, subject, message, pushed: browser.read(message), hooked: await hookFor(who) }
  }
  const hookFor = (who: Person) =>
    eventually(() => {
      // Verified, it is what the tests read of it.
      const told = receiver.posts.map(
        (each) => verify(secret, each) as { type: string; data: { user: { id: string } } },
      )
      const mine = told.filter(({ data }) => data.user.id === who.id)
      expect(mine).toHaveLength(1)
      return mine[0]
    })

  it('is told in the browser, at once, and so is the operator’s server', async () => {
    const { who, room, subject, message, pushed, hooked } = await mention('Ada', 'FULL')
    const text = { title: 'Bob mentioned you in Garden', body: '@Ada the tulips are out 🌷' }
    expect(pushed).toMatchObject({ ...text, kind: 'MENTION', count: 1, version: 1, roomId: room })
    expect(message.headers.urgency).toBe('high')
    expect(hooked).toEqual({
      type: 'notification.created',
      timestamp: expect.any(String),
      data: {
        ...text,
        id: pushed.id,
        version: 1,
        kind: 'MENTION',
        user: { id: who.id, subject },
        room: { id: room, name: 'Garden' },
        actorName: 'Bob',
        count: 1,
        url: null,
      },
    })
    // The inbox knows it by the same id.
    const query = 'query ($id: ID!) { node(id: $id) { ... on Notification { kind text } } }'
    expect(await who.do(query, { id: pushed.id })).toEqual({
      node: { kind: 'MENTION', text: 'Bob mentioned you in Garden: @Ada the tulips are out 🌷' },
    })
  })

  it('is told by whom, or only that there is something, where they want no more said', async () => {
    const bySender = await mention('Cem', 'SENDER_ONLY')
    expect(bySender.pushed).toMatchObject({ title: 'Bob mentioned you in Garden', body: '' })
    expect(JSON.stringify([bySender.pushed, bySender.hooked])).not.toContain('tulips')
    const silent = await mention('Duru', 'NONE')
    expect(silent.hooked?.data).toMatchObject({ room: { name: null }, actorName: null })
    const said = JSON.stringify([silent.pushed, silent.hooked])
    for (const word of ['tulips', 'Bob', 'Garden']) expect(said).not.toContain(word)
  })
})
