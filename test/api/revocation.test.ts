// An operator's revokeTokens: every token that was issued before is refused, on every node, and those issued afterwards
// are not.

import { afterEach, describe, expect, it } from 'vitest'
import { attempt } from '../support/attempt.ts'
import { eventually } from '../support/eventually.ts'
import { post } from '../support/graphql-over-http.ts'
import { type Person, person, stopAll } from '../support/seed.ts'
import { describeTopologies, signToken, type TestNodes, useNodes } from '../support/start-nodes.ts'
import { withDatabase } from '../support/stored-rows.ts'
import { connect, subscribe } from '../support/stream.ts'

const REVOKED = { code: 'UNAUTHENTICATED', reason: 'TOKEN_REVOKED', retryable: false }
/** Of those who may revoke, beside others. */
const SCOPE = 'mail sohbet:operator'

const operatorToken = () => signToken('operator', { scope: SCOPE })
const revoke = async (url: string, userId: string, token?: string) =>
  attempt<{ validFrom: string }>(
    url,
    { token: token ?? (await operatorToken()) },
    'revokeTokens',
    { userId },
    'validFrom',
  )

/** What is heard comes by the bus then. */
const NO_SWEEP = { SWEEP_INTERVAL_MS: '300000' }

const tellRevocations = (nodes: () => TestNodes) => {
  afterEach(stopAll)

  it('are refused on every node, over HTTP and when a socket opens, also where the user was remembered', async () => {
    const { urls } = nodes()
    const [first = ''] = urls
    const ada = await person(first, 'Ada')
    for (const url of urls) {
      expect((await post(url, '{ viewer { name } }', { token: ada.token })).data).toEqual({ viewer: { name: 'Ada' } })
    }
    expect((await revoke(first, ada.id)).__typename).toBe('RevokeTokensSuccess')
    for (const url of urls) {
      await eventually(async () => {
        const { data, errors } = await post(url, '{ viewer { name } }', { token: ada.token })
        expect([data, errors[0]?.extensions]).toEqual([null, expect.objectContaining(REVOKED)])
      })
      const client = connect(url, ada.token)
      const closed = await subscribe(client, '{ viewer { name } }').ended()
      await client.dispose()
      expect(closed).toMatchObject({ code: 4401, reason: 'UNAUTHENTICATED' })
    }
  })

  it('are told of in the user’s own log', async () => {
    const [first = '', second = first] = nodes().urls
    const ada = await person(first, 'Ada', 'ada-of-the-log')
    const query = 'subscription { viewerEvents(after: 0) { __typename seq ... on TokensRevoked { validFrom } } }'
    const before = subscribe(ada.connect(second), query)
    await before.next()
    const { validFrom = '' } = await revoke(first, ada.id)
    expect(await before.ended()).toMatchObject({ code: 4403, reason: 'TOKEN_REVOKED' })
    const fresh = connect(second, await signToken('ada-of-the-log', { iat: Date.parse(validFrom) / 1_000 }))
    const stream = subscribe(fresh, query)
    expect((await stream.next()).data?.viewerEvents).toEqual({ __typename: 'TokensRevoked', seq: 1, validFrom })
    await fresh.dispose()
  })

  // The last one: it leaves a node behind that without Redis hears nothing.
  it('are refused by a node that starts later, and fresh ones are not', async () => {
    const [first = ''] = nodes().urls
    const ada = await person(first, 'Ada', 'ada-of-later')
    const { validFrom = '' } = await revoke(first, ada.id)
    const { url } = await nodes().addNode()
    const { errors } = await post(`${url}/graphql`, '{ viewer { name } }', { token: ada.token })
    expect(errors[0]?.extensions).toMatchObject(REVOKED)
    const fresh = await signToken('ada-of-later', { iat: Date.parse(validFrom) / 1_000 })
    const { data } = await post(`${url}/graphql`, '{ viewer { id } }', { token: fresh })
    expect(data).toEqual({ viewer: { id: ada.id } })
  })
}

describeTopologies('revoked tokens', tellRevocations, { settings: NO_SWEEP })

describe('revokeTokens', () => {
  // Turned by hand, to the moments of a second.
  const clock = { nowMs: Math.floor(Date.now() / 1_000) * 1_000, now: () => clock.nowMs }
  const nodes = useNodes({ nodes: 1, clock })
  const url = () => nodes().urls[0] ?? ''
  const signAt = (subject: string, iat: number | undefined, more: object = {}) =>
    signToken(subject, { iat, ...more }, new Date(clock.nowMs + 3_600_000))
  const ask = async (token: string, query = '{ viewer { name } }') => {
    const { data, errors } = await post(url(), query, { token })
    return errors[0]?.extensions.reason ?? (data?.viewer as { name: string } | undefined)?.name
  }
  let people = 0
  const known = async (): Promise<Pick<Person, 'id'> & { subject: string }> => {
    const subject = `known-${++people}`
    return { ...(await person(url(), subject, subject)), subject }
  }

  it('tells the second of the revocation, whose tokens are refused, from the next, whose tokens count', async () => {
    const second = Math.floor(clock.nowMs / 1_000)
    const { id, subject } = await known()
    const [earlier, same, next] = await Promise.all([-1, 0, 1].map((more) => signAt(subject, second + more)))
    clock.nowMs = second * 1_000 + 999
    const { validFrom } = await revoke(url(), id)
    expect(validFrom).toBe(new Date((second + 1) * 1_000).toISOString())
    expect(await Promise.all([earlier, same, next].map((token) => ask(token ?? '')))).toEqual([
      ...['TOKEN_REVOKED', 'TOKEN_REVOKED'],
      subject,
    ])
    // Exactly at a second's start, it is that second's tokens that are refused.
    clock.nowMs = (second + 1) * 1_000
    await revoke(url(), id)
    expect(await ask(next ?? '')).toBe('TOKEN_REVOKED')
    expect(await ask(await signAt(subject, second + 2))).toBe(subject)
  })

  it('refuses, from then on, tokens that do not say when they were issued', async () => {
    const { id, subject } = await known()
    const timeless = await signAt(subject, undefined)
    expect(await ask(timeless)).toBe(subject)
    await revoke(url(), id)
    expect(await ask(timeless)).toBe('TOKEN_REVOKED')
  })

  it('is not taken back by a clock that goes back', async () => {
    const { id, subject } = await known()
    const token = await signAt(subject, Math.floor(clock.nowMs / 1_000))
    const { validFrom } = await revoke(url(), id)
    clock.nowMs -= 60_000
    expect(await revoke(url(), id)).toMatchObject({ validFrom })
    clock.nowMs += 60_000
    expect(await ask(token)).toBe('TOKEN_REVOKED')
  })

  it('is for operators only, and for users who exist', async () => {
    const { id } = await known()
    for (const scope of [
      undefined,
      '',
      'sohbet:operators',
      'xsohbet:operator',
      ['sohbet:operator'],
      'SOHBET:OPERATOR',
    ]) {
      const token = await signAt('would-be', Math.floor(clock.nowMs / 1_000), { scope })
      expect([scope, (await revoke(url(), id, token)).code]).toEqual([scope, 'FORBIDDEN'])
    }
    const nobody = Buffer.from('User:018f0000-0000-7000-8000-000000000000').toString('base64url')
    expect((await revoke(url(), nobody)).code).toBe('NOT_FOUND')
  })

  it('does not let a revoked token change the profile, or say that its user was here', async () => {
    const { id, subject } = await known()
    // Newer than the token that made the profile, and revoked nevertheless.
    clock.nowMs += 3_600_000
    const second = Math.floor(clock.nowMs / 1_000)
    await revoke(url(), id, await signAt('operator', second, { scope: SCOPE }))
    const row = () =>
      withDatabase(nodes().databaseUrl, async (client) => {
        const { rows } = await client.query('SELECT * FROM users WHERE subject = $1', [subject])
        return rows[0]
      })
    const before = await row()
    expect(await ask(await signAt(subject, second, { name: 'Thief' }))).toBe('TOKEN_REVOKED')
    expect(await ask(await signAt(subject, undefined, { name: 'Thief' }))).toBe('TOKEN_REVOKED')
    expect(await row()).toEqual(before)
  })
})

describe('a node that has missed the news of a revocation', () => {
  const nodes = useNodes({ nodes: 2 })

  it('finds it in the database', async () => {
    // Without Redis the two nodes hear nothing of each other.
    const [first = '', second = ''] = nodes().urls
    const ada = await person(second, 'Ada')
    await revoke(first, ada.id)
    await eventually(async () => {
      const { errors } = await post(second, '{ viewer { name } }', { token: ada.token })
      expect(errors[0]?.extensions).toMatchObject(REVOKED)
    })
  })
})
