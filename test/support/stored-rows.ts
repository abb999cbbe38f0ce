import pg from 'pg'

const TABLES = [
  'users',
  'rooms',
  'memberships',
  'bans',
  'messages',
  'room_events',
  'user_events',
  'push_subscriptions',
  'webhooks',
] as const

/** How many rows each table of a test's database holds. */
export function countRows(databaseUrl: string): Promise<Record<string, number>> {
  return withDatabase(databaseUrl, async (client) => {
    const counts = TABLES.map((table) => `(SELECT count(*) FROM ${table})::int AS ${table}`)
    const { rows } = await client.query<Record<string, number>>(`SELECT ${counts.join(', ')}`)
    return rows[0] ?? {}
  })
}

/** Runs one piece of work on a connection of its own. */
export async function withDatabase<T>(databaseUrl: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({
    connectionString: databaseUrl,
    connectionTimeoutMillis: 10_000,
    query_timeout: 20_000,
  })
  try {
    await client.connect()
    return await work(client)
  } finally {
    await client.end()
  }
}
