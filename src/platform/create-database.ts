/** Connects to a database that may not exist yet. Several processes may create it at once. */
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'

const CONNECT_TIMEOUT_MS = 10_000
const CREATE_ATTEMPTS = 20

/** SQLSTATEs: no such database; it is there already (seen before, or after, the other one's commit); template in use. */
const ABSENT = '3D000'
const THERE = ['42P04', '23505']
const TEMPLATE_BUSY = '55006'

/** A connected client; the caller ends it. Throws within a bounded time when the server is away. */
export async function connectCreating(connectionString: string, log: (line: string) => void): Promise<pg.Client> {
  try {
    return await connect(connectionString)
  } catch (error) {
    if (codeOf(error) !== ABSENT) throw error
  }
  const url = new URL(connectionString)
  const database = decodeURIComponent(url.pathname.slice(1))
  url.pathname = '/postgres'
  const admin = await connect(url.toString())
  try {
    await createDatabase(admin, database)
  } finally {
    await admin.end()
  }
  log(`Created the database ${database}`)
  return connect(connectionString)
}

/** Creates the database, as a copy of the template where one is named, unless it is there. */
export async function createDatabase(admin: pg.Client, name: string, template?: string): Promise<void> {
  const from = template === undefined ? '' : ` TEMPLATE ${pg.escapeIdentifier(template)}`
  for (let attempt = 1; ; attempt += 1) {
    try {
      await admin.query(`CREATE DATABASE ${pg.escapeIdentifier(name)}${from}`)
      return
    } catch (error) {
      const code = codeOf(error)
      if (code !== undefined && THERE.includes(code)) return
      if (code !== TEMPLATE_BUSY || attempt >= CREATE_ATTEMPTS) throw error
      await delay(100)
    }
  }
}

/** A connected client; waits at most 10 s. After a failure nothing is left open. */
export async function connect(connectionString: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString, connectionTimeoutMillis: CONNECT_TIMEOUT_MS })
  client.on('error', () => {}) // a connection that breaks later fails its query as well
  try {
    await client.connect()
    return client
  } catch (error) {
    await client.end().catch(() => {})
    throw error
  }
}

const codeOf = (error: unknown): string | undefined => (error instanceof pg.DatabaseError ? error.code : undefined)
