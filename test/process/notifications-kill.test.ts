// A node is killed between a send and the notification of it: another one tells of it, once.

import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { Device, inboxOf } from '../support/notifications.ts'
import { createTestDatabase, type TestDatabase } from '../support/postgres-server.ts'
import { NO_REDIS } from '../support/provided.ts'
import { person, stopAll } from '../support/seed.ts'
import { endAll, spawnServer } from '../support/spawn-server.ts'
import { TEST_SECRET } from '../support/start-nodes.ts'
import { withDatabase } from '../support/stored-rows.ts'

const PROJECT = fileURLToPath(new URL('../..', import.meta.url))
const redisUrl = inject('redisUrl')

describe.skipIf(redisUrl === null)(`notifications on processes that are killed ${redisUrl ? '' : NO_REDIS}`, () => {
  let database: TestDatabase
  beforeAll(async () => {
    database = await createTestDatabase(inject('postgresUrl'))
  })
  afterEach(async () => {
    await stopAll()
    await endAll()
  }, 60_000)
  afterAll(() => database?.drop())

  const startNode = async () => {
    const server = spawnServer({
      command: process.execPath,
      args: ['dist/main.js'],
      cwd: PROJECT,
      env: {
        ...{ DATABASE_URL: database.url, REDIS_URL: redisUrl ?? '', JWT_SECRET: TEST_SECRET, HOST: '127.0.0.1' },
        // So rooms that a killed node has left are found within two seconds.
        ...{ SWEEP_INTERVAL_MS: '300', NOTIFICATION_WINDOW_MS: '1000' },
      },
    })
    return { server, url: `${await server.ready()}/graphql` }
  }

  const numberOf = (sql: string) =>
    withDatabase(
      database.url,
      async (client) => (await client.query<{ n: number }>(`SELECT (${sql})::int AS n`)).rows[0]?.n,
    )

  it('come once, whenever the node is killed', async () => {
    const staying = await startNode()
    const bob = await person(staying.url, 'Bob')
    const device = new Device(bob, staying.url)
    await device.next('CaughtUp')
    let leftBehind = 0
    for (const delayMs of [0, 0, 20, 50, 80, 120]) {
      const killed = await startNode()
      const ada = await person(killed.url, 'Ada')
      const room = await ada.createRoom({ name: 'Garden' })
      await bob.join(room)
      const sends = Array.from({ length: 5 }, (_, i) => ada.send(room, `@Bob ${i}`))
      await sends[0]
      await new Promise((resolve) => setTimeout(resolve, delayMs))
      killed.server.signal('SIGKILL', 'process')
      await Promise.allSettled(sends)
      leftBehind +=
        (await numberOf(`SELECT count(*) FROM rooms r LEFT JOIN notification_positions p ON p.room_id = r.id
          WHERE r.last_seq > coalesce(p.seq, 0)`)) ?? 0
    }
    // The fault has hit: there was something to tell, and nobody to do it.
    expect(leftBehind).toBeGreaterThan(0)
    const sent = await numberOf('SELECT count(*) FROM messages')
    await eventually(
      async () => {
        expect(await numberOf('SELECT count(*) FROM notification_entries')).toBe(0)
        expect(await numberOf('SELECT coalesce(sum(count), 0) FROM notifications')).toBe(sent)
      },
      { timeoutMs: 40_000 },
    )
    // As often as the inbox has it, Bob's device was told, in order, and the last of each shows all of it.
    const versions = await numberOf('SELECT sum(version) FROM notifications')
    await eventually(() => expect(device.told).toHaveLength(versions ?? 0))
    const last = new Map(device.told.map(({ notification }) => [notification?.id, notification?.count]))
    const { items } = await inboxOf(bob)
    expect(new Map(items.map(({ id, count }) => [id, count]))).toEqual(last)
    const seqs = device.told.map(({ seq }) => seq)
    expect(seqs).toEqual([...new Set(seqs)].sort((a, b) => a - b))
  }, 180_000)
})
