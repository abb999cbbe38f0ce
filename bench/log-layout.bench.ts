// Should a message's own row be its MessageSent event, or should the log have a row for it as well?
// Both layouts on one throwaway Postgres, rounds interleaved, medians: time and write-ahead log per message appended in
// groups, and time to replay the newest events of a room that is mostly messages.

import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { startEmbeddedPostgres } from '../src/platform/embedded-postgres.ts'

const LAYOUTS = ['own', 'twice'] as const
type Layout = (typeof LAYOUTS)[number]

const GROUP = 32
const REPLAY = 200
const TEXT = 'x'.repeat(100)

interface Sample {
  appendUs: number
  walBytes: number
  replayMs: number
}

export async function run({ quick }: { quick: boolean }): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'sohbet-bench-'))
  await chmod(dir, 0o755)
  const postgres = await startEmbeddedPostgres({ dataDir: dir, database: 'bench', log: () => {} })
  const client = new pg.Client({ connectionString: postgres.url })
  try {
    await client.connect()
    for (const layout of LAYOUTS) await createTables(client, layout)
    const samples: Record<Layout, Sample[]> = { own: [], twice: [] }
    const rounds = quick ? 3 : 9
    for (let round = 0; round < rounds; round++) {
      for (const layout of LAYOUTS) samples[layout].push(await measure(client, layout, quick ? 40 : 200))
    }
    report(samples)
  } finally {
    await client.end()
    await postgres.stop()
    await rm(dir, { recursive: true, force: true })
  }
}

async function createTables(client: pg.Client, layout: Layout): Promise<void> {
  await client.query(`
    CREATE SCHEMA ${layout};
    CREATE TABLE ${layout}.rooms (id int PRIMARY KEY, last_seq int NOT NULL DEFAULT 0);
    CREATE TABLE ${layout}.messages (
      id uuid PRIMARY KEY DEFAULT gen_random_uuid(), room_id int NOT NULL, seq int NOT NULL, author_id uuid NOT NULL,
      text text NOT NULL, client_message_id text, created_at timestamptz NOT NULL DEFAULT now(), UNIQUE (room_id, seq));
    CREATE TABLE ${layout}.room_events (
      room_id int NOT NULL, seq int NOT NULL, type text NOT NULL, message_id uuid, actor_id uuid NOT NULL,
      payload jsonb NOT NULL DEFAULT '{}', created_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (room_id, seq));
    INSERT INTO ${layout}.rooms SELECT generate_series(1, 100);`)
}

/** A group of messages in one statement and one commit, to one room, as the service appends them. */
function appendStatement(layout: Layout): string {
  const log =
    layout === 'own'
      ? ''
      : `, logged AS (INSERT INTO twice.room_events (room_id, seq, type, message_id, actor_id)
           SELECT room_id, seq, 'MessageSent', id, author_id FROM stored)`
  return `WITH room AS (UPDATE ${layout}.rooms SET last_seq = last_seq + $2 WHERE id = $1 RETURNING last_seq),
    stored AS (INSERT INTO ${layout}.messages (room_id, seq, author_id, text)
      SELECT $1, room.last_seq - $2 + n, '00000000-0000-7000-8000-000000000001', $3 FROM room, generate_series(1, $2) n
      RETURNING id, room_id, seq, author_id)${log}
    SELECT count(*) FROM stored`
}

function replayStatements(layout: Layout): string[] {
  return layout === 'own'
    ? [
        `SELECT * FROM own.messages WHERE room_id = $1 AND seq > $2 ORDER BY seq LIMIT ${REPLAY}`,
        `SELECT * FROM own.room_events WHERE room_id = $1 AND seq > $2 ORDER BY seq LIMIT ${REPLAY}`,
      ]
    : [
        `SELECT e.*, m.* FROM twice.room_events e LEFT JOIN twice.messages m ON m.id = e.message_id
         WHERE e.room_id = $1 AND e.seq > $2 ORDER BY e.seq LIMIT ${REPLAY}`,
      ]
}

async function measure(client: pg.Client, layout: Layout, groups: number): Promise<Sample> {
  await client.query('CHECKPOINT')
  const statement = appendStatement(layout)
  const walBefore = await walPosition(client)
  const start = performance.now()
  for (let i = 0; i < groups; i++) await client.query(statement, [(i % 100) + 1, GROUP, TEXT])
  const appendMs = performance.now() - start
  const walBytes = (await walPosition(client)) - walBefore
  const messages = groups * GROUP
  const replayStart = performance.now()
  for (let room = 1; room <= 40; room++) {
    const { rows } = await client.query(
      `SELECT greatest(last_seq - ${REPLAY}, 0) AS after FROM ${layout}.rooms WHERE id = $1`,
      [room],
    )
    for (const sql of replayStatements(layout)) await client.query(sql, [room, rows[0].after])
  }
  const replayMs = (performance.now() - replayStart) / 40
  return { appendUs: (appendMs * 1_000) / messages, walBytes: walBytes / messages, replayMs }
}

async function walPosition(client: pg.Client): Promise<number> {
  const { rows } = await client.query(`SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8 AS bytes`)
  return rows[0].bytes
}

function report(samples: Record<Layout, Sample[]>): void {
  const median = (layout: Layout, key: keyof Sample) => {
    const sorted = samples[layout].map((sample) => sample[key]).sort((a, b) => a - b)
    return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
  }
  const ratios: Record<string, number> = {}
  for (const key of ['appendUs', 'walBytes', 'replayMs'] as const) {
    const [own, twice] = [median('own', key), median('twice', key)]
    process.stdout.write(`${key}: own ${own.toFixed(2)}, twice ${twice.toFixed(2)}\n`)
    ratios[`twice/own ${key}`] = Number((twice / own).toFixed(2))
  }
  process.stdout.write(`RESULT ${JSON.stringify({ bench: 'log-layout', ratios })}\n`)
}
