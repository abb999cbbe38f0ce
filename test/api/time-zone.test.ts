import pg from 'pg'
import { afterAll, expect, it } from 'vitest'
import { post } from '../support/graphql-over-http.ts'
import { person } from '../support/seed.ts'
import { startNodes, type TestNodes } from '../support/start-nodes.ts'

const HOUR_MS = 3_600_000
let nodes: TestNodes | null = null
afterAll(() => nodes?.stop())

// Guards: the driver sends and reads times without a zone, and the session had the database's own.
it('moments are the same whatever the time zone of the database', async () => {
  nodes = await startNodes()
  const client = new pg.Client({ connectionString: nodes.databaseUrl })
  await client.connect()
  const { rows } = await client.query('SELECT current_database() AS name')
  await client.query(`ALTER DATABASE "${rows[0]?.name}" SET timezone TO 'Asia/Kolkata'`)
  // Its connections are made after that.
  const url = `${(await nodes.addNode()).url}/graphql`
  const ada = await person(url, 'Ada')
  const room = await ada.createRoom()
  const { data } = await post(url, `{ room(id: "${room}") { createdAt } viewer { lastSeenAt } }`, { token: ada.token })
  const moments = [Object(data?.room).createdAt, Object(data?.viewer).lastSeenAt].map((text) => Date.parse(text))
  const stored = await client.query('SELECT created_at AS at FROM rooms UNION ALL SELECT last_seen_at FROM users')
  for (const moment of [...moments, ...stored.rows.map(({ at }) => at.getTime())]) {
    expect(Math.abs(moment - Date.now())).toBeLessThan(HOUR_MS)
  }
  await client.end()
})
