import { expect, it } from 'vitest'
import { createLogger } from '../platform/logger.ts'
import { createMemoryEventBus } from '../realtime/event-bus-memory.ts'
import { createMemoryPresenceStore } from './presence-store-memory.ts'
import { RoomWatchers } from './room-watchers.ts'

function open() {
  const bus = createMemoryEventBus()
  const store = createMemoryPresenceStore({ clock: { now: () => 1_000 }, nodeId: 'node' })
  const listUsers = async () => []
  const logger = createLogger('fatal')
  const watchers = new RoomWatchers({ store, bus, listUsers, logger, coalesceMs: 1, lostAt: () => null })
  return { bus, watchers }
}

it('tells of who types what everybody may know, and nothing else that the row has', async () => {
  const { bus, watchers } = open()
  const sent: string[] = []
  await bus.subscribe('presence:room', (message) => sent.push(message))
  const user = { id: 'ada', name: 'Ada', avatarUrl: null, statusText: null, lastSeenAt: '2026-01-31T12:00:00.000Z' }
  const row = { ...user, subject: 'secret' }
  watchers.tellTyping('room', row, true)
  await expect.poll(() => sent.map((message) => JSON.parse(message))).toEqual([{ type: 'typing', user, typing: true }])
})

it('ends its watchers when it is closed, and takes no further ones', async () => {
  const { watchers } = open()
  const cursor = await watchers.watch('room')
  expect((await cursor.next()).value).toMatchObject({ kind: 'snapshot' })
  const next = cursor.next()
  await watchers.close()
  expect(await next).toEqual({ done: true, value: undefined })
  await expect(watchers.watch('room')).rejects.toThrow('has ended')
})

it('shares a room among its watchers, and opens it anew after the last of them', async () => {
  const { watchers } = open()
  const [one, two] = await Promise.all([watchers.watch('room'), watchers.watch('room')])
  await Promise.all([one.return(), two.return()])
  const again = await watchers.watch('room')
  expect((await again.next()).value).toMatchObject({ kind: 'snapshot' })
  await watchers.close()
})
