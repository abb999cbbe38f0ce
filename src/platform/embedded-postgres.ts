/**
 * The database of the embedded default: a real Postgres from npm in the data folder, on a free port of 127.0.0.1,
 * owned by this process. A commit that was acknowledged is on disk; no kill of any process leaves a server behind
 * (see embedded-postgres-server.ts).
 */
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type pg from 'pg'
import { connect, createDatabase } from './create-database.ts'
import { makeDataDir } from './data-dir.ts'
import { locateBinaries } from './embedded-postgres-binaries.ts'
import { ensureCluster, explain } from './embedded-postgres-cluster.ts'
import { endOrphan, runServer, type ServerProcess, settlesWithin } from './embedded-postgres-server.ts'
import { acquireProcessLock, LockedError, type ProcessLock } from './process-lock.ts'
import { canReach, postgresAccount } from './system-account.ts'

/** Generous, because a start after a crash first replays the write-ahead log. */
const READY_TIMEOUT_MS = 120_000
const START_ATTEMPTS = 20

export interface EmbeddedPostgresOptions {
  /** Created where missing. Root's Postgres runs as another user, who must be able to enter it: see resolveDataDir. */
  dataDir: string
  /** The database the url names; created where missing. */
  database: string
  /** Gets the server's log line by line. */
  log: (line: string) => void
  /** Default 100. */
  maxConnections?: number
  /** Default true. False gives up safety after a crash of the machine for speed: for throw-away data only. */
  durable?: boolean
}

export interface EmbeddedPostgres {
  /** With the superuser's password: any process that knows it owns the database. */
  readonly url: string
  /** Ends the server in order, and resolves when no process of it is left; within 20 seconds. Safe to call twice. */
  stop(): Promise<void>
  /** Resolves when the server is gone, by stop() or by accident. Never rejects. */
  readonly exited: Promise<void>
}

/**
 * Starts the server, or throws an error that says why not: the folder belongs to another live process, cannot be
 * reached or was made by another version, or the server does not become ready within two minutes.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const dataDir = await makeDataDir(options.dataDir)
  const lock = await lockFolder(dataDir)
  try {
    return await startLocked(options, dataDir, lock)
  } catch (error) {
    await lock.release()
    throw error
  }
}

async function lockFolder(dataDir: string): Promise<ProcessLock> {
  try {
    return await acquireProcessLock(join(dataDir, 'postgres.lock'))
  } catch (error) {
    if (!(error instanceof LockedError)) throw error
    throw new Error(
      `The data folder ${dataDir} is in use by process ${error.ownerPid}: stop that, or set another DATA_DIR`,
      { cause: error },
    )
  }
}

async function startLocked(
  { database, log, maxConnections = 100, durable = true }: EmbeddedPostgresOptions,
  dataDir: string,
  lock: ProcessLock,
): Promise<EmbeddedPostgres> {
  const clusterDir = join(dataDir, 'postgres')
  const account = await postgresAccount(clusterDir)
  if (!(await canReach(account, dataDir))) {
    throw new Error(`The user that Postgres runs as (uid ${account?.uid}) cannot enter the data folder ${dataDir}`)
  }
  await endOrphan(clusterDir, log)
  const { initdb, postgres } = await locateBinaries(account, dataDir, log)
  const password = await ensureCluster(clusterDir, initdb, account)
  for (let attempt = 1; ; attempt += 1) {
    const port = await freePort()
    const server = runServer({ postgres, clusterDir, account, port, maxConnections, durable, log })
    const urlOf = (name: string) => `postgresql://postgres:${password}@127.0.0.1:${port}/${encodeURIComponent(name)}`
    try {
      await ensureDatabase(server, urlOf('postgres'), database)
      const exited = server.gone.then(() => lock.release()).catch(() => {})
      return { url: urlOf(database), exited, stop: () => server.stop().then(() => exited) }
    } catch (error) {
      await server.stop()
      if (attempt >= START_ATTEMPTS || !passes(server.tail())) {
        throw new Error(`The embedded Postgres did not start: ${explain(server.tail() || String(error))}`, {
          cause: error,
        })
      }
      await delay(100)
    }
  }
}

/** Another program took the port in between, or the last children of a killed server are still about to go. */
const passes = (logged: string): boolean =>
  logged.includes('Address already in use') || logged.includes('pre-existing shared memory block')

async function ensureDatabase(server: ServerProcess, adminUrl: string, database: string): Promise<void> {
  const client = await connectWhenReady(server, adminUrl)
  try {
    const found = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [database])
    if (found.rowCount === 0) await createDatabase(client, database)
  } finally {
    await client.end()
  }
}

async function connectWhenReady(server: ServerProcess, connectionString: string): Promise<pg.Client> {
  const deadline = Date.now() + READY_TIMEOUT_MS
  for (;;) {
    try {
      return await connect(connectionString)
    } catch (error) {
      if (Date.now() > deadline) throw error
      if (await settlesWithin(server.gone, 20)) throw error
    }
  }
}

async function freePort(): Promise<number> {
  const probe = createServer()
  await new Promise<void>((resolve, reject) => {
    probe.once('error', reject).listen(0, '127.0.0.1', resolve)
  })
  const address = probe.address()
  await new Promise((resolve) => probe.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('No free port on 127.0.0.1')
  return address.port
}
