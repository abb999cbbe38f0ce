import { expect, it } from 'vitest'
import { createLogger } from '../platform/logger.ts'
import { createMemoryPresenceStore, MemoryPresenceState } from './presence-store-memory.ts'
import { PresenceTracker } from './tracker.ts'

const GRACE_MS = 5_000

function twoNodes() {
  const clock = { nowMs: 1_000, now: () => clock.nowMs }
  const shared = new MemoryPresenceState()
  const open = (nodeId: string) => {
    const store = createMemoryPresenceStore({ clock, nodeId, shared })
    const changed: string[] = []
    const onChange = (scopes: readonly string[]) => changed.push(...scopes)
    const logger = createLogger('fatal')
    return {
      store,
      changed,
      tracker: new PresenceTracker({ store, logger, ttlMs: 25_000, graceMs: GRACE_MS, onChange }),
    }
  }
  return { clock, one: open('one'), two: open('two') }
}

it('leaves its users present for the grace period when it is closed', async () => {
  const { clock, one, two } = twoNodes()
  const leave = one.tracker.enter('room', { id: 'a', userId: 'ada' })
  one.tracker.enter('room', { id: 'b', userId: 'bob' })
  await one.tracker.settled()
  leave()
  one.changed.length = 0
  await one.tracker.close()
  expect(one.changed).toEqual([])
  expect((await two.store.read('room', 10)).users.map(({ userId }) => userId)).toEqual(['ada', 'bob'])

  two.tracker.enter('room', { id: 'b', userId: 'bob' })
  await two.tracker.settled()
  expect(two.changed).toEqual([])
  clock.nowMs += GRACE_MS
  expect(await two.store.sweep()).toEqual(['room'])
  expect(await two.store.read('room', 10)).toEqual({ count: 1, users: [{ userId: 'bob', state: 'ONLINE' }] })
  await two.tracker.close()
})

it('writes everything again when it is asked to, states and all', async () => {
  const { clock, one, two } = twoNodes()
  one.tracker.enter('room', { id: 'a', userId: 'ada' })
  one.tracker.enter('other', { id: 'b', userId: 'bob' })
  one.tracker.setState('ada', 'AWAY', null)
  await one.tracker.settled()
  clock.nowMs += 25_000
  expect((await two.store.sweep()).toSorted()).toEqual(['other', 'room'])
  await one.tracker.renew()
  expect((await two.store.read('room', 10)).users).toEqual([{ userId: 'ada', state: 'AWAY' }])
  expect((await two.store.read('other', 10)).users).toEqual([{ userId: 'bob', state: 'ONLINE' }])
  await Promise.all([one.tracker.close(), two.tracker.close()])
})
