// Nodes whose clock is not the database's: people are told all the same, and in time.

import pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { inboxOf } from '../support/notifications.ts'
import { person, stopAll } from '../support/seed.ts'
import { startNodes, type TestNodes } from '../support/start-nodes.ts'

const AHEAD_MS = 10 * 60 * 1_000

describe('a node whose clock is ten minutes ahead', () => {
  const MachineDate = Date
  let nodes: TestNodes
  let client: pg.Client
  const url = () => nodes.urls[0] ?? ''
  beforeAll(async () => {
    // All of this process, as all of a machine.
    globalThis.Date = class extends MachineDate {
      constructor(...given: unknown[]) {
        // Without arguments it is the time now; with them it is what they say, in any of Date's own ways.
        super(...(given.length === 0 ? ([MachineDate.now() + AHEAD_MS] as const) : (given as [number])))
      }
      static override now(): number {
        return MachineDate.now() + AHEAD_MS
      }
    } as DateConstructor // which can also be called without new; nobody does
    nodes = await startNodes()
    client = new pg.Client({ connectionString: nodes.databaseUrl })
    await client.connect()
  })
  afterEach(stopAll)
  afterAll(async () => {
    globalThis.Date = MachineDate
    await client?.end()
    await nodes?.stop()
  })

  it('tells people of the room that they were put into, and of what is written there next', async () => {
    const [ada, bob] = [await person(url(), 'Ada'), await person(url(), 'Bob')]
    const room = await ada.createRoom({ kind: 'PRIVATE', name: 'Attic', memberIds: [bob.id] })
    await ada.send(room, '@Bob look')
    await eventually(async () => {
      expect((await inboxOf(bob)).items.map(({ kind }) => kind)).toEqual(['MENTION', 'ROOM_ADDED'])
    })
  })

  it('looks for forgotten rooms as often as others do', async () => {
    const seconds = await eventually(async () => {
      const { rows } = await client.query(
        `SELECT extract(epoch FROM start_after - now())::float AS seconds FROM pgboss.job
         WHERE name = 'notification-sweep' AND state = 'created'`,
      )
      if (rows.length === 0) throw new Error('none waits')
      return rows[0].seconds
    })
    expect(seconds).toBeLessThanOrEqual(nodes.config.notifications.sweepIntervalMs / 1_000)
  })
})
