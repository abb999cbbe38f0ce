import { afterEach, expect, it } from 'vitest'
import { eventually } from '../../test/support/eventually.ts'
import { createLogger } from '../platform/logger.ts'
import type { UserRecord } from '../users/user-record.ts'
import { createMemoryPresenceStore } from './presence-store-memory.ts'
import { RoomRoster } from './room-roster.ts'
import { RosterCursor } from './roster-cursor.ts'
import { RosterItems } from './roster-items.ts'

const LAST_SEEN_AT = '2026-01-31T12:00:00.000Z'

const rosters: RoomRoster[] = []
afterEach(() => {
  for (const roster of rosters.splice(0)) roster.close()
})

async function openRoom({ refreshMs }: { refreshMs: number }) {
  const store = createMemoryPresenceStore({ clock: { now: () => 1_000 }, nodeId: 'node' })
  const profiles = new Map<string, UserRecord>()
  const loads: string[][] = []
  const come = async (name: string) => {
    profiles.set(name, { id: name, name, avatarUrl: null, statusText: null, lastSeenAt: LAST_SEEN_AT })
    await store.hold([{ scope: 'room', userId: name, state: 'ONLINE' }], 60_000)
  }
  await come('Ada')
  const counts = { reads: 0, onRead: () => {} }
  const roster = await RoomRoster.open({
    read: (limit) => {
      counts.reads++
      counts.onRead()
      return store.read('room', limit)
    },
    listUsers: async (ids) => {
      loads.push([...ids])
      return ids.flatMap((id) => profiles.get(id) ?? [])
    },
    coalesceMs: 1,
    refreshMs,
    logger: createLogger('fatal'),
  })
  rosters.push(roster)
  return { store, profiles, loads, counts, come, roster, cursor: new RosterCursor(roster, new RosterItems(), () => {}) }
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

it('keeps what it knows while it settles, whatever is poked or was just being read', async () => {
  const { store, counts, come, roster } = await openRoom({ refreshMs: 60_000 })
  const before = roster.view
  let changes = 0
  roster.addWatcher({ wake: () => changes++ })
  await store.release([{ scope: 'room', userId: 'Ada' }])
  // At the second read the settling begins, too late for that read to be left out.
  counts.onRead = () => {
    counts.onRead = () => {}
    roster.settle(50)
  }
  roster.poke()
  await eventually(() => expect(counts.reads).toBe(2))
  await come('Ada')
  await come('Bob')
  roster.poke()
  await eventually(() => expect(roster.view.count).toBe(2))
  expect([...(roster.view.present?.keys() ?? [])]).toEqual(['Ada', 'Bob'])
  expect(before.count).toBe(1)
  // One change, by one further read for all of it.
  expect([changes, counts.reads]).toEqual([1, 3])
})
