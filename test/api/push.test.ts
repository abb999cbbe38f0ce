// Web Push, from the subscription to the browser: a push service of the tests takes the messages, and what the browsers'
// keys make of them is compared with what was due.

import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import webPush from 'web-push'
import { encodeGlobalId } from '../../src/graphql/global-id.ts'
import { attempt } from '../support/attempt.ts'
import { makeCertificate } from '../support/certificate.ts'
import { type DueNotifications, openDueNotifications } from '../support/due-notifications.ts'
import { eventually } from '../support/eventually.ts'
import { post } from '../support/graphql-over-http.ts'
import { type PostReceiver, startPostReceiver } from '../support/post-receiver.ts'
import { openBrowser, type PushBrowser, verifyVapid } from '../support/push-browser.ts'
import { type Person, person, stopAll } from '../support/seed.ts'
import { startNodes, type TestNodes, useNodes } from '../support/start-nodes.ts'

const KEYS = webPush.generateVAPIDKeys()
const SETTINGS = {
  VAPID_PUBLIC_KEY: KEYS.publicKey,
  VAPID_PRIVATE_KEY: KEYS.privateKey,
  VAPID_SUBJECT: 'mailto:chat@example.com',
  OUTBOUND_PRIVATE_ADDRESSES: 'allow',
  OUTBOUND_TIMEOUT_MS: '500',
  DELIVERY_RETRY_FIRST_MS: '20',
}

const LIST = '{ viewer { pushSubscriptions { edges { node { id endpoint userAgent createdAt } } } } }'
interface Listed {
  id: string
  endpoint: string
  userAgent: string | null
}

describe('Web Push', () => {
  let nodes: TestNodes
  let pushService: PostReceiver
  let due: DueNotifications
  const url = () => nodes.urls[0] ?? ''

  beforeAll(async () => {
    const certificate = await makeCertificate()
    pushService = await startPostReceiver(certificate)
    nodes = await startNodes({ settings: SETTINGS, outbound: { ca: certificate.cert } })
    due = await openDueNotifications(nodes)
  })
  afterEach(stopAll)
  afterAll(async () => {
    await due?.close()
    await nodes?.stop()
    await pushService?.close()
  })

  const list = async (who: Person): Promise<Listed[]> => {
    const { viewer } = await who.do<{ viewer: { pushSubscriptions: { edges: { node: Listed }[] } } }>(LIST)
    return viewer.pushSubscriptions.edges.map(({ node }) => node)
  }
  const subscribe = (who: Person, input: object) =>
    attempt<{ pushSubscription: Listed }>(url(), who, 'subscribeToPush', input, 'pushSubscription { id endpoint }')
  const withBrowser = async (name: string): Promise<{ who: Person; browser: PushBrowser }> => {
    const [who, browser] = [await person(url(), name), openBrowser(pushService.url)]
    expect((await subscribe(who, browser.input)).__typename).toBe('SubscribeToPushSuccess')
    return { who, browser }
  }
  const got = (browser: PushBrowser) => pushService.postsTo(browser.path).map((message) => browser.read(message))
  const statesOf = async (notificationId: string) => {
    const rows = await due.db.pushDelivery.findMany({ where: { notificationId }, orderBy: { version: 'asc' } })
    return rows.map(({ state, error }) => [state, error])
  }

  describe('subscriptions', () => {
    it('are made with the key that the server tells everybody', async () => {
      const { data } = await post(url(), '{ serverInfo { vapidPublicKey } }')
      expect(data).toEqual({ serverInfo: { vapidPublicKey: KEYS.publicKey } })
    })

    it('are one for each endpoint, however often it is subscribed, with the latest keys', async () => {
      const [ada, browser, again] = [
        await person(url(), 'Ada'),
        openBrowser(pushService.url),
        openBrowser(pushService.url),
      ]
      const answers = await Promise.all(Array.from({ length: 5 }, () => subscribe(ada, browser.input)))
      expect(new Set(answers.map(({ pushSubscription }) => pushSubscription?.id)).size).toBe(1)
      const renewed = { ...again.input, endpoint: browser.input.endpoint, userAgent: ' Firefox ' }
      await subscribe(ada, renewed)
      expect(await list(ada)).toEqual([
        { ...answers[0]?.pushSubscription, userAgent: 'Firefox', createdAt: expect.any(String) },
      ])
      const notification = due.make(ada)
      await due.plan(notification)
      const message = await eventually(() => {
        const [only] = pushService.postsTo(browser.path)
        if (!only) throw new Error('nothing yet')
        return only
      })
      expect(again.read(message).title).toBe('Bob in Lounge')
    })

    it('are shown to their user only', async () => {
      const { who: ada } = await withBrowser('Ada')
      const bob = await person(url(), 'Bob')
      const roomId = await bob.createRoom()
      await ada.join(roomId)
      const query = `query ($id: ID!) { room(id: $id) { members { edges { node { user {
        name pushSubscriptions { edges { node { endpoint } } } } } } } } }`
      const seen = await bob.do<{
        room: { members: { edges: { node: { user: { name: string; pushSubscriptions: object | null } } }[] } }
      }>(query, { id: roomId })
      expect(seen.room.members.edges.map(({ node }) => node.user)).toEqual([
        { name: 'Bob', pushSubscriptions: { edges: [] } },
        { name: 'Ada', pushSubscriptions: null },
      ])
    })

    it('go to who subscribes the same browser next, and what was due to the one before does not', async () => {
      const { who: ada, browser } = await withBrowser('Ada')
      const later = { status: 503, headers: { 'retry-after': '600' } }
      pushService.answer(browser.path, (earlier) => (earlier === 0 ? later : { status: 201 }))
      const toAda = due.make(ada, { title: 'for Ada' })
      await due.plan(toAda)
      await eventually(async () => expect(await statesOf(toAda.id)).toEqual([['FAILED', expect.any(String)]]))
      const bob = await person(url(), 'Bob')
      await subscribe(bob, browser.input)
      const before = pushService.postsTo(browser.path).length
      expect(await list(ada)).toEqual([])
      expect(await list(bob)).toHaveLength(1)
      await due.plan(due.make(ada, { title: 'for Ada again' }))
      await due.plan(due.make(bob, { title: 'for Bob' }))
      await eventually(() => expect(got(browser).at(-1)?.title).toBe('for Bob'))
      expect(got(browser).slice(before)).toHaveLength(1)
      expect(await statesOf(toAda.id)).toEqual([])
    })

    it('are at most 20 of a user; the oldest makes room', async () => {
      const ada = await person(url(), 'Ada')
      const browsers = Array.from({ length: 21 }, () => openBrowser(pushService.url))
      for (const { input } of browsers) await subscribe(ada, input)
      expect((await list(ada)).map(({ endpoint }) => endpoint)).toEqual(
        browsers.slice(1).map(({ input }) => input.endpoint),
      )
    })

    it('end when the browser unsubscribes, and nobody ends those of others', async () => {
      const { who: ada, browser } = await withBrowser('Ada')
      const { endpoint } = browser.input
      const bob = await person(url(), 'Bob')
      const end = (who: Person) => attempt(url(), who, 'unsubscribeFromPush', { endpoint }, 'endpoint')
      expect(await end(bob)).toMatchObject({ __typename: 'UnsubscribeFromPushSuccess', endpoint })
      expect(await list(ada)).toHaveLength(1)
      expect(await end(ada)).toMatchObject({ __typename: 'UnsubscribeFromPushSuccess', endpoint })
      expect(await end(ada)).toMatchObject({ __typename: 'UnsubscribeFromPushSuccess', endpoint })
      expect(await list(ada)).toEqual([])
    })

    it('are refused with keys that no message could be encrypted for', async () => {
      const ada = await person(url(), 'Ada')
      const { input } = openBrowser(pushService.url)
      const offTheCurve = Buffer.concat([Buffer.from([4]), Buffer.alloc(64, 7)]).toString('base64url')
      for (const [path, wrong] of [
        ['input.p256dh', { p256dh: 'short' }],
        ['input.p256dh', { p256dh: offTheCurve }],
        ['input.p256dh', { p256dh: `${input.p256dh.slice(0, -1)}!` }],
        ['input.auth', { auth: 'short' }],
        ['input.auth', { auth: '' }],
        ['input.endpoint', { endpoint: 'not a url' }],
        ['input.endpoint', { endpoint: `https://push.example.com/${'x'.repeat(2_048)}` }],
      ] as const) {
        const refused = await subscribe(ada, { ...input, ...wrong })
        expect([wrong, refused.code, refused.issues?.map((issue) => issue.path)]).toEqual([
          wrong,
          'VALIDATION_FAILED',
          [path],
        ])
      }
      expect(await list(ada)).toEqual([])
    })

    it('are taken with padded keys, as some libraries write them', async () => {
      const ada = await person(url(), 'Ada')
      const { input } = openBrowser(pushService.url)
      const padded = { ...input, p256dh: `${input.p256dh}=`, auth: `${input.auth}==` }
      expect((await subscribe(ada, padded)).__typename).toBe('SubscribeToPushSuccess')
    })
  })

  describe('a notification', () => {
    it('reaches every browser of the user, encrypted for it, with the identity of the server', async () => {
      const { who: ada, browser } = await withBrowser('Ada')
      const second = openBrowser(pushService.url)
      await subscribe(ada, second.input)
      const notification = due.make(ada, { body: 'Çay? 🍵', url: 'https://chat.example.com/rooms/1' })
      await due.plan(notification)
      for (const each of [browser, second]) {
        await eventually(() => expect(pushService.postsTo(each.path)).toHaveLength(1))
        expect(got(each)).toEqual([
          {
            type: 'notification',
            id: encodeGlobalId('Notification', notification.id),
            tag: notification.id,
            version: 1,
            kind: 'MENTION',
            title: 'Bob in Lounge',
            body: 'Çay? 🍵',
            count: 1,
            roomId: null,
            url: 'https://chat.example.com/rooms/1',
            createdAt: notification.createdAt.toISOString(),
          },
        ])
      }
      const [message] = pushService.postsTo(browser.path)
      if (!message) throw new Error('no message')
      expect(message.body.includes('Bob')).toBe(false)
      expect(message.headers).toMatchObject({
        urgency: 'high',
        topic: notification.id.replaceAll('-', ''),
        ttl: expect.stringMatching(/^8\d{4}$/),
        'user-agent': expect.stringMatching(/^Sohbet\/\d/),
      })
      const { publicKey, claims } = await verifyVapid(message, pushService.url)
      expect(publicKey).toBe(KEYS.publicKey)
      expect(claims.sub).toBe('mailto:chat@example.com')
      // A node notes an answer after it was given.
      await eventually(async () =>
        expect(await statesOf(notification.id)).toEqual([
          ['DELIVERED', null],
          ['DELIVERED', null],
        ]),
      )
    })

    it('that is not urgent wakes no device', async () => {
      const { who: ada, browser } = await withBrowser('Ada')
      await due.plan(due.make(ada, { isUrgent: false }))
      await eventually(() => expect(pushService.postsTo(browser.path)[0]?.headers.urgency).toBe('normal'))
    })

    it('comes once, however often it is planned and its job is done, and not at all where nothing was committed', async () => {
      const { who: ada, browser } = await withBrowser('Ada')
      const [first, undone] = [due.make(ada, { title: 'first' }), due.make(ada, { title: 'undone' })]
      await due.plan(undone, true)
      await Promise.all([due.plan(first), due.plan(first), due.plan(first)])
      await eventually(async () => expect(await statesOf(first.id)).toEqual([['DELIVERED', null]]))
      await due.plan(first)
      const row = await due.db.pushDelivery.findFirstOrThrow({ where: { notificationId: first.id } })
      await due.repeat('push', row.id)
      await due.plan(due.make(ada, { title: 'last' }))
      await eventually(() => expect(got(browser).map(({ title }) => title)).toEqual(['first', 'last']))
      expect(await statesOf(undone.id)).toEqual([])
      // Once it has arrived, its text is kept no longer.
      expect(row.payload).toBeNull()
    })

    it('has its jobs with its transaction: none runs before there is something to do', async () => {
      const { who: ada } = await withBrowser('Ada')
      expect(await due.countJobsAround(due.make(ada))).toEqual([0, 1])
    })

    it.each([
      ['has too much to do', { status: 429, headers: { 'retry-after': '0' } }, 'answered 429'],
      ['fails', { status: 503 }, 'answered 503'],
      ['breaks the connection', 'cut', ''],
      ['does not answer in time', 'hang', 'no answer within 500 ms'],
    ] as const)('is tried again where the push service %s', async (_, answer, error) => {
      const { who: ada, browser } = await withBrowser('Ada')
      let isMended = false
      pushService.answer(browser.path, () => (isMended ? { status: 201 } : answer))
      const notification = due.make(ada)
      await due.plan(notification)
      await eventually(async () =>
        expect(await statesOf(notification.id)).toEqual([['FAILED', expect.stringContaining(error)]]),
      )
      isMended = true
      await eventually(async () => expect(await statesOf(notification.id)).toEqual([['DELIVERED', null]]))
      const messages = pushService.postsTo(browser.path)
      expect(messages.length).toBeGreaterThan(1)
      // Whoever got it twice shows it once: by topic at the push service, by tag in the browser.
      expect(new Set(messages.map(({ headers }) => headers.topic)).size).toBe(1)
      expect(new Set(got(browser).map(({ tag }) => tag))).toEqual(new Set([notification.id]))
    })

    it.each([404, 410])('that meets %d ends the subscription: the browser is gone', async (status) => {
      const { who: ada, browser } = await withBrowser('Ada')
      pushService.answer(browser.path, () => ({ status }))
      await due.plan(due.make(ada))
      await eventually(async () => expect(await list(ada)).toEqual([]))
      expect(pushService.postsTo(browser.path)).toHaveLength(1)
    })

    it.each([400, 403, 413])('that meets %d is given up, and the browser gets the next', async (status) => {
      const { who: ada, browser } = await withBrowser('Ada')
      pushService.answer(browser.path, (earlier) => ({ status: earlier === 0 ? status : 201, body: 'no\0 thanks' }))
      const first = due.make(ada)
      await due.plan(first)
      await eventually(async () =>
        expect(await statesOf(first.id)).toEqual([['DEAD', `the push service answered ${status}: no thanks`]]),
      )
      const next = due.make(ada, { title: 'next' })
      await due.plan(next)
      await eventually(async () => expect(await statesOf(next.id)).toEqual([['DELIVERED', null]]))
    })

    it('that has become another one meanwhile is sent as that one only', async () => {
      const { who: ada, browser } = await withBrowser('Ada')
      let isMended = false
      pushService.answer(browser.path, () => (isMended ? { status: 201 } : { status: 503 }))
      const first = due.make(ada, { body: '1 new message' })
      await due.plan(first)
      await eventually(async () => expect((await statesOf(first.id))[0]?.[0]).toBe('FAILED'))
      await due.plan({ ...first, version: 2, count: 2, body: '2 new messages' })
      await eventually(async () => expect((await statesOf(first.id))[0]?.[0]).toBe('DEAD'))
      isMended = true
      const earlier = pushService.postsTo(browser.path).length
      await eventually(async () => expect((await statesOf(first.id))[1]?.[0]).toBe('DELIVERED'))
      expect(got(browser).at(-1)).toMatchObject({ body: '2 new messages', version: 2, tag: first.id })
      expect(pushService.postsTo(browser.path).length).toBeGreaterThan(earlier)
    })

    it('about a room that the user may not read any more is not sent', async () => {
      const { who: ada, browser } = await withBrowser('Ada')
      const bob = await person(url(), 'Bob')
      const roomId = await bob.createRoom({ kind: 'PRIVATE', memberIds: [ada.id] })
      const about = { roomId: Buffer.from(roomId, 'base64url').toString().split(':')[1] ?? '' }
      await due.plan(due.make(ada, { ...about, title: 'while a member' }))
      // And perhaps of having been added, if that was told before it was over.
      const titles = () => got(browser).map(({ title }) => title)
      await eventually(() => expect(titles()).toContain('while a member'))
      await attempt(url(), bob, 'removeMember', { roomId, userId: ada.id })
      const late = due.make(ada, { ...about, title: 'too late' })
      await due.plan(late)
      await eventually(async () =>
        expect(await statesOf(late.id)).toEqual([['DEAD', 'the user may not read the room any more']]),
      )
      expect(titles()).not.toContain('too late')
    })

    it('of a message that was deleted before it could be sent is not sent', async () => {
      const { who: ada, browser } = await withBrowser('Ada')
      const bob = await person(url(), 'Bob')
      const roomId = await bob.createRoom({ memberIds: [ada.id] })
      let isMended = false
      pushService.answer(browser.path, () => (isMended ? { status: 201 } : { status: 503 }))
      const { id: messageId } = await bob.send(roomId, '@Ada the code is 1234')
      const { id } = await eventually(() => {
        const tried = got(browser).find(({ body }) => body.includes('1234'))
        if (!tried) throw new Error('not tried yet')
        return tried
      })
      await attempt(url(), bob, 'deleteMessage', { messageId })
      const tries = () => got(browser).filter(({ body }) => body.includes('1234')).length
      const earlier = tries()
      isMended = true
      const notificationId = Buffer.from(id, 'base64url').toString().split(':')[1] ?? ''
      await eventually(async () =>
        expect(await statesOf(notificationId)).toEqual([['DEAD', 'the message was deleted']]),
      )
      // One may have been under way.
      expect(tries()).toBeLessThanOrEqual(earlier + 1)
    })

    it('is sent again under the same topic where the node was lost between the answer and the note of it', async () => {
      const { who: ada, browser } = await withBrowser('Ada')
      const notification = due.make(ada)
      await due.plan(notification)
      await eventually(async () => expect(await statesOf(notification.id)).toEqual([['DELIVERED', null]]))
      // What such a node leaves behind: the row as it was taken, and the job to be done.
      const { id } = await due.db.pushDelivery.findFirstOrThrow({ where: { notificationId: notification.id } })
      const payload = { ...got(browser)[0] }
      await due.db.pushDelivery.update({ where: { id }, data: { state: 'SENDING', payload } })
      await due.repeat('push', id)
      await eventually(async () => expect(await statesOf(notification.id)).toEqual([['DELIVERED', null]]))
      const messages = pushService.postsTo(browser.path)
      expect(messages).toHaveLength(2)
      expect(messages[1]?.headers.topic).toBe(messages[0]?.headers.topic)
      expect(got(browser)[1]).toEqual(got(browser)[0])
    })
  })
})

describe('a server without VAPID keys', () => {
  const nodes = useNodes()

  it('says so, and refuses subscriptions', async () => {
    const [url = ''] = nodes().urls
    const ada = await person(url, 'Ada')
    expect(await ada.do('{ serverInfo { vapidPublicKey } }')).toEqual({ serverInfo: { vapidPublicKey: null } })
    const { input } = openBrowser('https://push.example.com')
    expect(await attempt(url, ada, 'subscribeToPush', input)).toMatchObject({ code: 'PUSH_OFF' })
  })
})
