// Whoever may name a target must not reach the neighbours of this server by it (SSRF): not by an address in whatever
// spelling, not by a name, not by a name that changes its mind, not by a redirect.

import type { LookupFunction } from 'node:net'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import webPush from 'web-push'
import { createPost, OutboundError } from '../../src/notifications/outbound-requests.ts'
import { attempt } from '../support/attempt.ts'
import { type DueNotifications, openDueNotifications } from '../support/due-notifications.ts'
import { eventually } from '../support/eventually.ts'
import { type PostReceiver, startPostReceiver } from '../support/post-receiver.ts'
import { openBrowser } from '../support/push-browser.ts'
import { person } from '../support/seed.ts'
import { signToken, startNodes, type TestNodes } from '../support/start-nodes.ts'

/** Names as the tests have them: the next addresses of each. Whatever is not here does not exist. */
const names = new Map<string, string[][]>()
const lookups: string[] = []
const lookup: LookupFunction = (hostname, options, callback) => {
  lookups.push(hostname)
  const turns = names.get(hostname)
  const addresses = (turns && turns.length > 1 ? turns.shift() : turns?.[0]) ?? []
  const found = addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
  const error = found.length === 0 ? Object.assign(new Error(`${hostname} is unknown`), { code: 'ENOTFOUND' }) : null
  if (options.all) callback(error, found)
  else callback(error, found[0]?.address ?? '', found[0]?.family)
}

const PRIVATE_URLS = [
  'http://127.0.0.1/',
  'http://2130706433/',
  'http://0x7f000001/',
  'http://0177.0.0.01/',
  'http://127.1:8080/',
  'http://①②⑦.0.0.1/',
  'http://0.0.0.0/',
  'http://10.0.0.1/',
  'http://172.16.0.1/',
  'http://192.168.0.1/',
  'http://100.64.0.1/',
  'http://169.254.169.254/latest/meta-data/',
  'http://224.0.0.1/',
  'http://255.255.255.255/',
  'http://[::]/',
  'http://[::1]/',
  'http://[::ffff:127.0.0.1]/',
  'http://[::ffff:a9fe:a9fe]/',
  'http://[::7f00:1]/',
  'http://[64:ff9b::7f00:1]/',
  'http://[2002:7f00:1::]/',
  'http://[fc00::1]/',
  'http://[fd00:ec2::254]/',
  'http://[fe80::1]/',
  'http://[fec0::1]/',
  'http://[ff02::1]/',
  'http://localhost/',
  'http://LOCALHOST.:80/',
  'http://db.localhost/',
].map((url) => url.replace('http:', 'https:'))

const OTHERWISE_WRONG = [
  'ftp://example.com/',
  'file:///etc/passwd',
  'gopher://example.com/',
  'javascript:alert(1)',
  'https://user:password@example.com/',
  'https://user@example.com/',
  'https://@',
  '//example.com/',
  'https://exa mple.com/',
  'https://example.com/\n',
]

describe('targets that are not of the public internet', () => {
  const keys = webPush.generateVAPIDKeys()
  let nodes: TestNodes
  let receiver: PostReceiver
  let due: DueNotifications
  const url = () => nodes.urls[0] ?? ''

  beforeAll(async () => {
    receiver = await startPostReceiver()
    nodes = await startNodes({
      settings: {
        VAPID_PUBLIC_KEY: keys.publicKey,
        VAPID_PRIVATE_KEY: keys.privateKey,
        VAPID_SUBJECT: 'mailto:chat@example.com',
        DELIVERY_RETRY_FIRST_MS: '20',
        OUTBOUND_TIMEOUT_MS: '500',
      },
      outbound: { lookup },
    })
    due = await openDueNotifications(nodes)
  })
  beforeEach(() => due.db.webhook.deleteMany())
  afterAll(async () => {
    await due?.close()
    await nodes?.stop()
    await receiver?.close()
  })

  const operate = async <T>(field: string, input: object, selection: string) =>
    attempt<T>(url(), { token: await signToken('operator', { scope: 'sohbet:operator' }) }, field, input, selection)
  const makeWebhook = async (target: string): Promise<string> => {
    const made = await operate<{ webhook: { id: string } }>('createWebhook', { url: target }, 'webhook { id }')
    return made.webhook?.id ?? `refused: ${made.message}`
  }
  const port = () => new URL(receiver.url).port
  const deliveryOf = async (notificationId: string) =>
    due.db.webhookDelivery.findFirstOrThrow({ where: { notificationId }, include: { log: true } })

  it('are refused where they are named, in whatever spelling, to webhooks', async () => {
    const good = await makeWebhook('https://example.com/')
    for (const target of [...PRIVATE_URLS, ...OTHERWISE_WRONG]) {
      const created = await operate('createWebhook', { url: target }, '__typename')
      const updated = await operate('updateWebhook', { webhookId: good, url: target }, '__typename')
      const shown = [created, updated].map(({ code, issues }) => [code, issues?.map(({ path }) => path)])
      const expected = ['VALIDATION_FAILED', ['input.url']]
      expect([target, ...shown]).toEqual([target, expected, expected])
    }
    expect(await due.db.webhook.findMany({ select: { url: true } })).toEqual([{ url: 'https://example.com/' }])
  })

  it('and to Web Push, which is https only', async () => {
    const ada = await person(url(), 'Ada')
    const { input } = openBrowser('https://push.example.com')
    for (const endpoint of [...PRIVATE_URLS, ...OTHERWISE_WRONG, 'http://push.example.com/ada']) {
      const { code, issues } = await attempt(url(), ada, 'subscribeToPush', { ...input, endpoint })
      const shown = [endpoint, code, issues?.map(({ path }) => path)]
      expect(shown).toEqual([endpoint, 'VALIDATION_FAILED', ['input.endpoint']])
    }
    expect(await due.db.pushSubscription.count()).toBe(0)
  })

  it.each([
    ['has a private address', [['127.0.0.1']], 'is 127.0.0.1'],
    ['has a private address beside a public one', [['8.8.8.8', '127.0.0.1']], 'is 127.0.0.1'],
    ['has a private address of IPv6', [['::1']], 'is ::1'],
    ['has a mapped address', [['::ffff:127.0.0.1']], 'is ::ffff:127.0.0.1'],
    ['has the address of a cloud’s metadata', [['169.254.169.254']], 'is 169.254.169.254'],
  ] as const)('are refused when they are sent to, by a name that %s: no connection is made', async (_, turns, what) => {
    names.set(
      'hook.example.com',
      turns.map((turn) => [...turn]),
    )
    const before = receiver.connections
    await makeWebhook(`http://hook.example.com:${port()}/`)
    const notification = due.make(await person(url(), 'Ada'))
    await due.plan(notification)
    const error = `hook.example.com ${what}, which is not an address of the public internet`
    await eventually(async () =>
      expect(await deliveryOf(notification.id)).toMatchObject({
        state: 'DEAD',
        error,
        log: [{ statusCode: null, error, responseBody: null }],
      }),
    )
    expect(receiver.connections).toBe(before)
  })

  it('are refused when the name has become one since it was last asked for', async () => {
    // The first of these is of the public internet; from here it is not reached, and tried again.
    names.set('rebinding.example.com', [['2001:4860:4860::8888'], ['127.0.0.1']])
    const before = receiver.connections
    await makeWebhook(`http://rebinding.example.com:${port()}/`)
    const notification = due.make(await person(url(), 'Ada'))
    await due.plan(notification)
    await eventually(async () => {
      const { state, error, log } = await deliveryOf(notification.id)
      expect([state, error]).toEqual(['DEAD', expect.stringContaining('rebinding.example.com is 127.0.0.1, which')])
      expect(log.length).toBe(2)
    })
    expect(lookups.filter((name) => name === 'rebinding.example.com')).toHaveLength(2)
    expect(receiver.connections).toBe(before)
  })

  it('are refused to pushes as well', async () => {
    names.set('push.example.com', [['127.0.0.1']])
    const ada = await person(url(), 'Ada')
    const { input } = openBrowser(`https://push.example.com:${port()}`)
    const subscribed = await attempt(url(), ada, 'subscribeToPush', input)
    expect(subscribed.__typename).toBe('SubscribeToPushSuccess')
    const before = receiver.connections
    const notification = due.make(ada)
    await due.plan(notification)
    await eventually(async () => {
      const { state, error } = await due.db.pushDelivery.findFirstOrThrow({
        where: { notificationId: notification.id },
      })
      expect([state, error]).toEqual([
        'DEAD',
        'push.example.com is 127.0.0.1, which is not an address of the public internet',
      ])
    })
    expect(receiver.connections).toBe(before)
  })

  it('are refused when the setting has changed since they were named', async () => {
    const id = await makeWebhook('https://example.com/')
    // As it was stored while the setting allowed it.
    await due.db.webhook.updateMany({ data: { url: `${receiver.url}/` } })
    const before = receiver.connections
    const pinged = await operate('pingWebhook', { webhookId: id }, '__typename')
    expect(pinged.__typename).toBe('PingWebhookSuccess')
    await eventually(async () =>
      expect(await due.db.webhookDelivery.findFirstOrThrow({ where: { kind: 'PING' } })).toMatchObject({
        state: 'DEAD',
        error: '127.0.0.1 is not an address of the public internet',
      }),
    )
    expect(receiver.connections).toBe(before)
  })
})

describe('a request to a target', () => {
  let receiver: PostReceiver
  beforeAll(async () => {
    receiver = await startPostReceiver()
  })
  afterAll(() => receiver?.close())

  const options = { timeoutMs: 2_000, userAgent: 'Sohbet/test', lookup }
  const send = (target: string, allowsPrivate: boolean) =>
    createPost({ ...options, allowsPrivate })({ url: new URL(target), headers: {}, body: 'hello' })
  const codeOf = (target: string) =>
    send(target, false).then(
      () => 'sent',
      (error) => (error instanceof OutboundError ? error.code : String(error)),
    )

  it('is refused by the address itself, though nobody has looked at the URL before', async () => {
    for (const target of PRIVATE_URLS.filter((target) => !target.toLowerCase().includes('localhost'))) {
      expect([target, await codeOf(target)]).toEqual([target, 'ADDRESS_NOT_ALLOWED'])
    }
    names.set('localhost', [['127.0.0.1']])
    expect(await codeOf(receiver.url.replace('127.0.0.1', 'localhost'))).toBe('ADDRESS_NOT_ALLOWED')
    expect(receiver.connections).toBe(0)
  })

  it('goes where the setting allows it', async () => {
    names.set('inside.example.com', [['127.0.0.1']])
    const target = receiver.url.replace('127.0.0.1', 'inside.example.com')
    expect(await codeOf(target)).toBe('ADDRESS_NOT_ALLOWED')
    expect((await send(`${target}/allowed`, true)).status).toBe(204)
    expect(receiver.postsTo('/allowed')).toHaveLength(1)
  })

  it('follows no redirect', async () => {
    receiver.answer('/moved', () => ({ status: 307, headers: { location: `${receiver.url}/secret` } }))
    expect((await send(`${receiver.url}/moved`, true)).status).toBe(307)
    expect(receiver.postsTo('/secret')).toEqual([])
  })

  it('reads 64 KiB of an answer that has no end', async () => {
    receiver.answer('/endless', () => 'endless')
    // Longer than the test may take: nothing else ends it.
    const post = createPost({ ...options, timeoutMs: 60_000, allowsPrivate: true })
    const { status, body } = await post({ url: new URL(`${receiver.url}/endless`), headers: {}, body: '' })
    expect([status, body.length]).toEqual([200, 64 * 1_024])
  })

  it('ends when whoever waits for it gives up', async () => {
    receiver.answer('/slow', () => 'hang')
    const giveUp = new AbortController()
    const target = new URL(`${receiver.url}/slow`)
    const post = createPost({ ...options, allowsPrivate: true })
    const sent = post({ url: target, headers: {}, body: '', signal: giveUp.signal })
    await eventually(() => expect(receiver.postsTo('/slow')).toHaveLength(1))
    giveUp.abort()
    await expect(sent).rejects.toMatchObject({ code: 'NO_ANSWER' })
  })
})
