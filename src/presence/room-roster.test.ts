import { afterEach, expect, it } from 'vitest'
import { eventually } from '../../test/support/eventually.ts'
import { createLogger } from '../platform/logger.ts'
import type { UserRecord } from '../users/user-record.ts'
import { createMemoryPresenceStore } from './presence-store-memory.ts'
import { MAX_NAMED, RoomRoster, type RoomRosterOptions } from './room-roster.ts'
import { RosterCursor } from './roster-cursor.ts'
import { RosterItems } from './roster-items.ts'

const LAST_SEEN_AT = '2026-01-31T12:00:00.000Z'

const rosters: RoomRoster[] = []
afterEach(() => {
  for (const roster of rosters.splice(0)) roster.close()
})

async function openRoom({ refreshMs, coalesceMs = 1 }: { refreshMs: number; coalesceMs?: number }) {
  const store = createMemoryPresenceStore({ clock: { now: () => 1_000 }, nodeId: 'node' })
  const profiles = new Map<string, UserRecord>()
  const loads: string[][] = []
  const come = async (name: string) => {
    profiles.set(name, { id: name, name, avatarUrl: null, statusText: null, lastSeenAt: LAST_SEEN_AT })
    await store.hold([{ scope: 'room', userId: name, state: 'ONLINE' }], 60_000)
  }
  await come('Ada')
  const counts = { reads: 0, onRead: () => {} }
  const options: RoomRosterOptions = {
    read: (limit) => {
      counts.reads++
      counts.onRead()
      return store.read('room', limit)
    },
    listUsers: async (ids) => {
      loads.push([...ids])
      return ids.flatMap((id) => profiles.get(id) ?? [])
    },
    coalesceMs,
    refreshMs,
    logger: createLogger('fatal'),
  }
  const open = async () => {
    const roster = await RoomRoster.open(options)
    rosters.push(roster)
    return { roster, cursor: new RosterCursor(roster, new RosterItems(), () => {}) }
  }
  return { store, profiles, loads, counts, come, open, ...(await open()) }
}

it('tells a changed profile of somebody who stays, with the state they are in', async () => {
  const { profiles, cursor } = await openRoom({ refreshMs: 20 })
  expect((await cursor.next()).value).toMatchObject({ kind: 'snapshot', present: [{ user: { name: 'Ada' } }] })
  const renamed = {
    id: 'Ada',
    name: 'Ada L.',
    avatarUrl: null,
    statusText: 'back at noon',
    lastSeenAt: LAST_SEEN_AT,
  }
  profiles.set('Ada', renamed)
  const { value } = await cursor.next()
  expect(value).toEqual({ kind: 'change', count: 1, changes: [{ user: renamed, state: 'ONLINE' }] })
})

it('does not tell that somebody was seen again', async () => {
  const { profiles, loads, roster } = await openRoom({ refreshMs: 20 })
  const before = roster.view
  const ada = before.present?.get('Ada')?.user
  if (ada) profiles.set('Ada', { ...ada, lastSeenAt: '2026-01-31T13:00:00.000Z' })
  const seen = loads.length
  await eventually(() => expect(loads.length).toBeGreaterThan(seen + 2))
  expect(roster.view).toBe(before)
})

it('loads only who is new when it is poked', async () => {
  const { loads, come, roster } = await openRoom({ refreshMs: 60_000 })
  await come('Bob')
  roster.poke()
  await eventually(() => expect(roster.view.count).toBe(2))
  expect(loads).toEqual([['Ada'], ['Bob']])
})

it('tells many changes of a moment at once, by one read', async () => {
  const { counts, come, roster, cursor } = await openRoom({ refreshMs: 60_000, coalesceMs: 100 })
  await cursor.next()
  for (let i = 0; i < 50; i++) {
    await come(`User ${i}`)
    roster.poke()
  }
  const { value } = await cursor.next()
  expect(value).toMatchObject({ kind: 'change', count: 51 })
  expect(value.changes).toHaveLength(50)
  expect([cursor.take(), counts.reads]).toEqual([null, 2])
})

it('says that it is unknown, once, and begins anew when it is known again; whatever was just being read', async () => {
  const { store, counts, come, roster, cursor } = await openRoom({ refreshMs: 60_000 })
  expect((await cursor.next()).value).toMatchObject({ kind: 'snapshot', count: 1 })
  const lostAt = new Date('2026-01-31T12:00:00.000Z')
  await store.release([{ scope: 'room', userId: 'Ada' }])
  // At the second read presence is lost, too late for that read to be left out.
  counts.onRead = () => {
    counts.onRead = () => {}
    roster.suspend(lostAt)
  }
  roster.poke()
  expect((await cursor.next()).value).toEqual({ kind: 'unknown', since: lostAt })
  roster.suspend(new Date())
  roster.poke()
  await roster.readAgain()
  expect([cursor.take(), counts.reads]).toEqual([null, 2])
  await come('Ada')
  await come('Bob')
  roster.resume()
  const { value } = await cursor.next()
  expect(value).toMatchObject({
    kind: 'snapshot',
    count: 2,
    present: [{ user: { name: 'Ada' } }, { user: { name: 'Bob' } }],
  })
  expect([cursor.take(), counts.reads]).toEqual([null, 3])
})

it('is unknown when it cannot be read, from the first time on, and reads again by itself', async () => {
  const { store, counts, roster, cursor, open } = await openRoom({ refreshMs: 20 })
  expect((await cursor.next()).value).toMatchObject({ kind: 'snapshot' })
  const fail = () => {
    throw new Error('the store is away')
  }
  counts.onRead = fail
  expect((await cursor.next()).value).toMatchObject({ kind: 'unknown' })
  const second = await open()
  expect(second.cursor.take()).toMatchObject({ kind: 'unknown' })
  await store.hold([{ scope: 'room', userId: 'Ada', state: 'AWAY' }], 60_000)
  counts.onRead = () => {}
  for (const each of [cursor, second.cursor]) {
    expect((await each.next()).value).toMatchObject({ kind: 'snapshot', present: [{ state: 'AWAY' }] })
  }
  expect(roster.unknownSince).toBe(null)
})

it('tells who has left as they are by then', async () => {
  const { store, profiles, come, roster, cursor } = await openRoom({ refreshMs: 60_000 })
  await come('Bob')
  await roster.readAgain()
  expect((await cursor.next()).value).toMatchObject({ kind: 'snapshot', count: 2 })
  const user = { id: 'Bob', name: 'Bob', avatarUrl: null, statusText: null, lastSeenAt: '2026-01-31T13:00:00.000Z' }
  profiles.set('Bob', user)
  await store.release([{ scope: 'room', userId: 'Bob' }])
  roster.poke()
  await eventually(() => expect(roster.view.count).toBe(1))
  // A watcher who is late gets both comings and goings at once.
  await come('Cem')
  await roster.readAgain()
  expect((await cursor.next()).value).toEqual({
    kind: 'change',
    count: 2,
    changes: [
      { user, state: 'OFFLINE' },
      { user: expect.objectContaining({ name: 'Cem' }), state: 'ONLINE' },
    ],
  })
})

it('tells of more than 200 how many they are, and their names again when they are fewer', async () => {
  const { store, come, roster, cursor } = await openRoom({ refreshMs: 60_000 })
  expect((await cursor.next()).value).toMatchObject({ kind: 'snapshot', named: true })
  for (let i = 2; i <= MAX_NAMED; i++) await come(`User ${i}`)
  await roster.readAgain()
  const { value } = await cursor.next()
  expect(value).toMatchObject({ kind: 'change', count: MAX_NAMED })
  await come('One more')
  await roster.readAgain()
  expect((await cursor.next()).value).toEqual({
    kind: 'snapshot',
    count: MAX_NAMED + 1,
    named: false,
    present: [],
    typing: [],
  })
  await come('And another')
  await roster.readAgain()
  expect((await cursor.next()).value).toEqual({ kind: 'change', count: MAX_NAMED + 2, changes: [] })
  await store.release(['One more', 'And another'].map((userId) => ({ scope: 'room', userId })))
  await roster.readAgain()
  const again = (await cursor.next()).value
  expect(again).toMatchObject({ kind: 'snapshot', count: MAX_NAMED, named: true })
  expect(again.present).toHaveLength(MAX_NAMED)
})
