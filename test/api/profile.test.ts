import { describe, expect, it } from 'vitest'
import { createDb } from '../../src/platform/db.ts'
import { findUser } from '../../src/users/store.ts'
import { attempt } from '../support/attempt.ts'
import { post } from '../support/graphql-over-http.ts'
import { person, stopAll } from '../support/seed.ts'
import { signToken, useNodes } from '../support/start-nodes.ts'
import { withDatabase } from '../support/stored-rows.ts'
import { subscribe } from '../support/stream.ts'

const PROFILE = 'id name avatarUrl statusText lastSeenAt'

interface Profile {
  id: string
  name: string
  avatarUrl: string | null
  statusText: string | null
  lastSeenAt: string | null
}

describe('profiles', () => {
  // Two nodes on one database, as behind a load balancer; what they share here needs no Redis.
  const nodes = useNodes({ nodes: 2 })
  const url = () => nodes().urls[0] ?? ''
  const viewer = async (subject: string, claims: object, at = url()) => {
    const { data, errors } = await post(at, `{ viewer { ${PROFILE} } }`, {
      token: await signToken(subject, { ...claims }),
    })
    expect(errors).toEqual([])
    // What the query above asks for.
    return data?.viewer as Profile
  }
  const update = async (subject: string, claims: object, input: object) =>
    (
      await attempt<{ user: Profile }>(
        url(),
        { token: await signToken(subject, { ...claims }) },
        'updateProfile',
        input,
        `user { ${PROFILE} }`,
      )
    ).user
  const rowsOf = (subject: string, from = 'users u') =>
    withDatabase(nodes().databaseUrl, async (client) => {
      const { rows } = await client.query(`SELECT u.id FROM ${from} WHERE u.subject = $1`, [subject])
      return rows.length
    })

  it('are made at first sight from the claims, or from the subject where there is no name', async () => {
    expect(await viewer('first-1', { name: 'Grace', picture: 'https://example.com/g.png' })).toMatchObject({
      name: 'Grace',
      avatarUrl: 'https://example.com/g.png',
      statusText: null,
    })
    expect(await viewer('first-2', { name: undefined })).toMatchObject({ name: 'first-2', avatarUrl: null })
  })

  it('are one, however many requests of a new user arrive at once on however many nodes', async () => {
    const seen = await Promise.all(
      Array.from({ length: 24 }, (_, i) => viewer('crowd', { name: `Name ${i % 3}` }, nodes().urls[i % 2])),
    )
    expect(new Set(seen.map(({ id }) => id)).size).toBe(1)
    expect(await rowsOf('crowd')).toBe(1)
  })

  it('follow the claims when these change, on every node', async () => {
    const { id } = await viewer('rename', { name: 'Before' })
    expect(await viewer('rename', { name: 'After', picture: 'https://example.com/a.png' })).toMatchObject({
      id,
      name: 'After',
      avatarUrl: 'https://example.com/a.png',
    })
    const other = nodes().urls[1]
    expect(await viewer('rename', { name: 'Last' }, other)).toMatchObject({ id, name: 'Last', avatarUrl: null })
  })

  it('keep what was changed by hand until the claim itself changes', async () => {
    const claims = { name: 'Claimed', picture: 'https://example.com/1.png' }
    await viewer('by-hand', claims)
    const input = { name: '  By hand ', avatarUrl: 'http://example.com/2.png', statusText: 'busy' }
    const changed = { name: 'By hand', avatarUrl: 'http://example.com/2.png', statusText: 'busy' }
    expect(await update('by-hand', claims, input)).toMatchObject(changed)
    for (const at of nodes().urls) expect(await viewer('by-hand', claims, at)).toMatchObject(changed)
    expect(await viewer('by-hand', { ...claims, name: 'New claim' })).toMatchObject({ ...changed, name: 'New claim' })
    const picture = 'https://example.com/3.png'
    expect(await viewer('by-hand', { name: 'New claim', picture })).toMatchObject({
      name: 'New claim',
      avatarUrl: picture,
      statusText: 'busy',
    })
  })

  it('follow the newest token: an older one of another device does not flip them back, on no node', async () => {
    const now = Math.floor(Date.now() / 1_000)
    const older = { name: 'Before', picture: 'https://example.com/1.png', iat: now - 600 }
    const newer = { name: 'After', picture: 'https://example.com/2.png', iat: now - 300 }
    const after = { name: 'After', avatarUrl: 'https://example.com/2.png' }
    expect(await viewer('two-devices', older)).toMatchObject({ name: 'Before' })
    for (const at of nodes().urls) {
      expect(await viewer('two-devices', newer, at)).toMatchObject(after)
      for (const claims of [older, newer, { name: 'No time', iat: undefined }, older]) {
        expect(await viewer('two-devices', claims, at)).toMatchObject(after)
      }
    }
    // Milliseconds instead of seconds: a time that would outrank every right one for ever.
    await viewer('two-devices', { name: 'Wrong unit', iat: Date.now() })
    expect(await viewer('two-devices', { name: 'Again', iat: now - 300 })).toMatchObject({ name: 'Again' })
    expect(await viewer('no-times', { name: 'One', iat: undefined })).toMatchObject({ name: 'One' })
    expect(await viewer('no-times', { name: 'Two', iat: undefined })).toMatchObject({ name: 'Two' })
  })

  it('are not written again by the claims of older tokens, whichever is used in turn', async () => {
    const now = Math.floor(Date.now() / 1_000)
    await viewer('in-turn', { name: 'Old', iat: now - 20 })
    await viewer('in-turn', { name: 'New', iat: now - 10 })
    const version = () =>
      withDatabase(nodes().databaseUrl, async (client) => {
        const { rows } = await client.query(`SELECT xmin::text, ctid::text FROM users WHERE subject = 'in-turn'`)
        return rows
      })
    const before = await version()
    for (let i = 0; i < 5; i++) {
      await viewer('in-turn', { name: 'Old', iat: now - 20 })
      await viewer('in-turn', { name: 'New', iat: now - 10 })
    }
    expect(await version()).toEqual(before)
  })

  it('show others what a user record says and nothing more', async () => {
    await viewer('secretive', { name: 'Ada' })
    const db = createDb({ url: nodes().databaseUrl, poolSize: 1 })
    try {
      const { id } = await db.user.findUniqueOrThrow({ where: { subject: 'secretive' } })
      // Guards: the whole row, with the subject and the claims, once travelled over Redis with the typing signal.
      const lastSeenAt = expect.any(Date)
      expect(await findUser(db, id)).toEqual({ id, name: 'Ada', avatarUrl: null, statusText: null, lastSeenAt })
    } finally {
      await db.$disconnect()
    }
  })

  it('change only in what is given; null and empty remove what can be removed', async () => {
    const claims = { name: 'Ada' }
    await update('partly', claims, { statusText: 'here', avatarUrl: 'https://example.com/a.png' })
    expect(await update('partly', claims, { name: 'Countess' })).toMatchObject({
      name: 'Countess',
      statusText: 'here',
      avatarUrl: 'https://example.com/a.png',
    })
    expect(await update('partly', claims, { statusText: ' ', name: null })).toMatchObject({
      name: 'Countess',
      statusText: null,
    })
    expect(await update('partly', claims, { avatarUrl: null })).toMatchObject({ avatarUrl: null })
    expect(await update('partly', claims, {})).toMatchObject({ name: 'Countess', statusText: null, avatarUrl: null })
  })

  it('tell all devices of the user when they were changed', async () => {
    const subject = 'profile-devices'
    const ada = await person(url(), 'Ada', subject)
    const query = 'subscription { viewerEvents { __typename ... on ProfileUpdated { user { name } } } }'
    const stream = subscribe(ada.connect(), query)
    expect(await stream.next()).toMatchObject({ data: { viewerEvents: { __typename: 'CaughtUp' } } })
    await attempt(url(), ada, 'updateProfile', { name: 'Countess' })
    expect(await stream.next()).toMatchObject({
      data: { viewerEvents: { __typename: 'ProfileUpdated', user: { name: 'Countess' } } },
    })
    const nextClaims = await signToken(subject, { name: 'Augusta' })
    await Promise.all(Array.from({ length: 4 }, () => post(url(), '{ viewer { id } }', { token: nextClaims })))
    expect(await stream.next()).toMatchObject({
      data: { viewerEvents: { __typename: 'ProfileUpdated', user: { name: 'Augusta' } } },
    })
    expect(await rowsOf(subject, 'user_events e JOIN users u ON u.id = e.user_id')).toBe(2)
    await stopAll()
  })

  it('are refused where they break a rule, each rule by name and limit', async () => {
    const token = await signToken('refused')
    for (const [input, issue] of [
      [{ name: '' }, { path: 'input.name', limit: 1 }],
      [{ name: 'x'.repeat(101) }, { path: 'input.name', limit: 100 }],
      [{ statusText: 'x'.repeat(141) }, { path: 'input.statusText', limit: 140 }],
      [{ avatarUrl: 'javascript:alert(1)' }, { path: 'input.avatarUrl', limit: null }],
      [{ avatarUrl: '' }, { path: 'input.avatarUrl', limit: null }],
      [{ avatarUrl: `https://example.com/${'x'.repeat(2_048)}` }, { path: 'input.avatarUrl', limit: 2_048 }],
      // Each of these letters takes six characters in a URL.
      [{ avatarUrl: `https://example.com/${'ü'.repeat(500)}` }, { path: 'input.avatarUrl', limit: 2_048 }],
    ] as const) {
      const result = await attempt(url(), { token }, 'updateProfile', input)
      expect([input, result]).toEqual([
        input,
        expect.objectContaining({ code: 'VALIDATION_FAILED', issues: [expect.objectContaining(issue)] }),
      ])
    }
    const both = await attempt(url(), { token }, 'updateProfile', { name: '\n', statusText: 'x'.repeat(141) })
    expect(both.issues?.map(({ path }) => path)).toEqual(['input.name', 'input.statusText'])
  })
})
