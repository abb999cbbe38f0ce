// Work that is owed once something is committed: by any node, also after a crash. pg-boss, on the service's own Postgres.
// Invariant: a job that is sent within a transaction exists if and only if the transaction commits; it is handled at least
// once, perhaps twice, until its handler has returned; and what fails for good is kept where it can be seen and sent again.

import { fromPrisma, PgBoss } from 'pg-boss'
import type { Tx } from './db.ts'
import type { Logger } from './logger.ts'

const SCHEMA = 'pgboss'
const DEAD_JOBS = 'dead-jobs'
const DEAD_JOBS_KEPT_SECONDS = 30 * 24 * 60 * 60
const DONE_JOBS_KEPT_SECONDS = 60 * 60
const POOL_SIZE = 3
/** Jobs are told of as they are sent; this is for those that were to wait, and for what telling has missed. */
const POLL_SECONDS = 1
/** Of a node that was killed the others notice after this long, and at most one round of supervision more. */
const HEARTBEAT_SECONDS = 10
const SUPERVISE_SECONDS = 5
const CONNECT_TIMEOUT_MS = 5_000
const STATEMENT_TIMEOUT_MS = 15_000

/** A kind of job. Its name is the name of its queue in the database: keep it. */
export interface JobKind<Data extends object> {
  readonly name: string
  /** Longest run of one job, in seconds; then it counts as failed. */
  readonly timeoutSeconds: number
  /** How often a failed job is tried again before it is dead. */
  readonly retries: number
  /** Before the first retry, in seconds; doubled with each, with some jitter. */
  readonly retryDelaySeconds: number
  /** The longest of these pauses, in seconds. */
  readonly maxRetryDelaySeconds: number
  /** How many run at once on each node. Default 1. */
  readonly concurrency?: number
  /** How many of one group run at once, over all nodes; a few more where nodes look at the same moment. Default: any number. */
  readonly concurrencyPerGroup?: number
  /** Whether of the jobs with one key at most one waits: another is not stored. Default: every job counts. */
  readonly oneWaitingPerKey?: boolean
  /** Never there: it ties the kind to its data. */
  readonly data?: Data
}

export interface SendOptions {
  /** The job is sent with this transaction, or not at all. */
  tx?: Tx
  /** For a time that the database's clock has given. */
  startAfter?: Date
  /** The same from now on, by the database's clock: this node's may be wrong, and another one's is another. */
  delayMs?: number
  key?: string
  /** What those have in common that share something slow, as a server: see `concurrencyPerGroup`. */
  group?: string
}

export interface RunningJob {
  readonly id: string
  /** Aborted when the job has taken too long or the node stops. */
  readonly signal: AbortSignal
}

export type JobHandler<Data> = (data: Data, job: RunningJob) => Promise<void>

/** A job that has failed for good. */
export interface DeadJob {
  id: string
  kind: string
  data: object
  /** What it failed with at last. */
  error: string | null
  failedAt: Date
}

export interface JobsOptions {
  url: string
  logger: Logger
}

interface Handled {
  kind: JobKind<object>
  cron: string | null
  run: JobHandler<object>
}

export class Jobs {
  readonly #boss: PgBoss
  readonly #logger: Logger
  readonly #handled = new Map<string, Handled>()

  constructor({ url, logger }: JobsOptions) {
    this.#logger = logger
    this.#boss = new PgBoss({
      connectionString: url,
      schema: SCHEMA,
      max: POOL_SIZE,
      application_name: 'sohbet-jobs',
      options: `-c statement_timeout=${STATEMENT_TIMEOUT_MS} -c TimeZone=UTC`,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      migrate: false,
      createSchema: false,
      useListenNotify: true,
      superviseIntervalSeconds: SUPERVISE_SECONDS,
      monitorIntervalSeconds: SUPERVISE_SECONDS,
    })
    this.#boss.on('error', (error) => logger.warn({ err: error }, 'the job queue has met an error, and goes on'))
    this.#boss.on('warning', (warning) => logger.info({ warning }, 'the job queue warns'))
  }

  /** Says who does the jobs of a kind. Before the start only; once for each kind. Handlers may run twice for one job. */
  handle<Data extends object>(kind: JobKind<Data>, run: JobHandler<Data>): void {
    this.#add(kind, run, null)
  }

  /** The same for a job without data that is due again and again: `cron` in UTC. One node does it each time. */
  every(cron: string, kind: JobKind<Record<string, never>>, run: (job: RunningJob) => Promise<void>): void {
    this.#add(kind, (_data, job) => run(job), cron)
  }

  /** Begins to work. Rejects where the database was not migrated to this version. */
  async start(): Promise<void> {
    await this.#boss.start().catch(rejectWithAdvice)
    await this.#boss.createQueue(DEAD_JOBS, { retentionSeconds: DEAD_JOBS_KEPT_SECONDS })
    for (const { kind, cron, run } of this.#handled.values()) {
      const queue = {
        policy: kind.oneWaitingPerKey ? 'short' : 'standard',
        deadLetter: DEAD_JOBS,
        notify: true,
        expireInSeconds: kind.timeoutSeconds,
        heartbeatSeconds: HEARTBEAT_SECONDS,
        retryLimit: kind.retries,
        retryDelay: kind.retryDelaySeconds,
        retryBackoff: kind.retries > 0,
        retryDelayMax: kind.maxRetryDelaySeconds,
        deleteAfterSeconds: DONE_JOBS_KEPT_SECONDS,
      } as const
      await this.#boss.createQueue(kind.name, queue)
      const { policy: _fixed, ...changeable } = queue
      await this.#boss.updateQueue(kind.name, changeable)
      if (cron !== null) await this.#boss.schedule(kind.name, cron, {}, { tz: 'UTC' })
      await this.#work(kind, run)
    }
  }

  /** Sends a job. Its kind must be handled by this version, on this node or another. */
  async send<Data extends object>(kind: JobKind<Data>, data: Data, options: SendOptions = {}): Promise<void> {
    await this.sendAll(kind, [{ data, ...options }], options)
  }

  /** Sends many jobs of one kind in one statement. */
  async sendAll<Data extends object>(
    kind: JobKind<Data>,
    jobs: readonly ({ data: Data } & Omit<SendOptions, 'tx'>)[],
    { tx }: Pick<SendOptions, 'tx'> = {},
  ): Promise<void> {
    if (jobs.length === 0) return
    const rows = jobs.map(({ data, startAfter, delayMs, key, group }) => ({
      data,
      ...(startAfter ? { startAfter } : {}),
      ...(delayMs === undefined ? {} : { startAfter: delayMs / 1_000 }),
      ...(key === undefined ? {} : { singletonKey: key }),
      ...(group === undefined ? {} : { group: { id: group } }),
    }))
    await this.#boss.insert(kind.name, rows, tx ? { db: fromPrisma(tx) } : {})
  }

  /** What has failed for good in the last 30 days, oldest first, at most `limit`, from after the given id on. */
  async listDead({ limit, after }: { limit: number; after?: string }): Promise<DeadJob[]> {
    const jobs = await this.#boss.findJobs<object>(DEAD_JOBS, { limit, ...(after === undefined ? {} : { after }) })
    return jobs.map(({ id, data, createdOn, sourceName, sourceOutput }) => ({
      id,
      kind: sourceName ?? '',
      data,
      error: messageOf(sourceOutput),
      failedAt: createdOn,
    }))
  }

  /** Sends dead jobs again; returns how many there were. */
  async retryDead(ids: readonly string[]): Promise<number> {
    return this.#boss.redrive(DEAD_JOBS, { ids: [...ids] })
  }

  /** Takes no more jobs and waits for those that run, at most this long; what is cut short is done elsewhere, or later. */
  async stop(timeoutMs: number): Promise<void> {
    await this.#boss.stop({ graceful: true, timeout: timeoutMs })
  }

  #add<Data extends object>(kind: JobKind<Data>, run: JobHandler<Data>, cron: string | null): void {
    if (this.#handled.has(kind.name)) throw new Error(`the jobs ${kind.name} have a handler already`)
    // Data comes back as it was sent: only send() and sendAll() write to the queue, and both know the kind.
    this.#handled.set(kind.name, { kind, cron, run: run as JobHandler<object> })
  }

  async #work({ name, concurrency = 1, concurrencyPerGroup }: JobKind<object>, run: JobHandler<object>): Promise<void> {
    for (let i = 0; i < concurrency; i++) {
      const options = {
        pollingIntervalSeconds: POLL_SECONDS,
        notifyPollingIntervalSeconds: POLL_SECONDS,
        ...(concurrencyPerGroup === undefined ? {} : { groupConcurrency: concurrencyPerGroup }),
      }
      let workerId = ''
      workerId = await this.#boss.work<object>(name, options, async (jobs) => {
        // Whoever had a job looks for the next one at once, and not when it is time to look again.
        this.#boss.notifyWorker(workerId)
        for (const { id, data, signal } of jobs) {
          try {
            await run(data, { id, signal })
          } catch (error) {
            this.#logger.warn({ err: error, job: name, jobId: id }, 'a job has failed, and is tried again')
            throw error
          }
        }
      })
    }
  }
}

/** pg-boss says only that its tables are missing, or old, and in no other way than by these words. */
function rejectWithAdvice(error: unknown): never {
  const isUnmigrated =
    error instanceof Error && /pg-boss (is not installed|database requires migrations)/.test(error.message)
  if (!isUnmigrated) throw error
  throw new Error('The database lacks the job queue of this version: run "npm run migrate" first', { cause: error })
}

/** Of what pg-boss keeps of an error. */
function messageOf(output: unknown): string | null {
  return typeof output === 'object' && output !== null && 'message' in output ? String(output.message) : null
}

/** Brings the tables of the job queue up to this version. Any number of processes may call it at once. */
export async function migrateJobs(connectionString: string): Promise<void> {
  const boss = new PgBoss({
    connectionString,
    schema: SCHEMA,
    max: 1,
    application_name: 'sohbet-jobs',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    supervise: false,
    schedule: false,
    registerInstance: false,
  })
  // What fails rejects; this is for a connection that breaks while nobody uses it.
  boss.on('error', () => {})
  try {
    await boss.start()
  } finally {
    await boss.stop({ graceful: false })
  }
}
