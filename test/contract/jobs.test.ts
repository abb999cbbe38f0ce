// What the rest of the service relies on of the job queue, on a real Postgres, with several nodes on it.

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, inject, it } from 'vitest'
import { createDb } from '../../src/platform/db.ts'
import { type JobKind, Jobs } from '../../src/platform/jobs.ts'
import { createLogger } from '../../src/platform/logger.ts'
import { eventually } from '../support/eventually.ts'
import { createTestDatabase } from '../support/postgres-server.ts'

interface Greeting {
  name: string
}

const GREET: JobKind<Greeting> = {
  name: 'greet',
  timeoutSeconds: 30,
  retries: 1,
  retryDelaySeconds: 0,
  maxRetryDelaySeconds: 1,
}
const GREET_ONCE: JobKind<Greeting> = { ...GREET, name: 'greet-once', oneWaitingPerKey: true }

const cleanUps: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp()
})

async function openDatabase() {
  const database = await createTestDatabase(inject('postgresUrl'))
  cleanUps.push(database.drop)
  const db = createDb({ url: database.url, poolSize: 3 })
  cleanUps.push(() => db.$disconnect())
  return { url: database.url, db }
}

async function startJobs(url: string, define: (jobs: Jobs) => void): Promise<Jobs> {
  const jobs = new Jobs({ url, logger: createLogger('fatal') })
  define(jobs)
  cleanUps.push(() => jobs.stop(1_000))
  await jobs.start()
  return jobs
}

describe('jobs', () => {
  it('exist with their transaction, and only then', async () => {
    const { url, db } = await openDatabase()
    const greeted: string[] = []
    const jobs = await startJobs(url, (jobs) => jobs.handle(GREET, async ({ name }) => void greeted.push(name)))
    const failing = db.$transaction(async (tx) => {
      await jobs.send(GREET, { name: 'never' }, { tx })
      throw new Error('no')
    })
    await expect(failing).rejects.toThrow('no')
    await db.$transaction(async (tx) => {
      await jobs.send(GREET, { name: 'Ada' }, { tx })
      expect(greeted).toEqual([])
    })
    await eventually(() => expect(greeted).toEqual(['Ada']))
    await jobs.sendAll(
      GREET,
      ['Bo', 'Cy'].map((name) => ({ data: { name } })),
    )
    await eventually(() => expect(greeted.toSorted()).toEqual(['Ada', 'Bo', 'Cy']))
  })

  it('are done once, whichever of several nodes takes them', async () => {
    const { url } = await openDatabase()
    const greeted: string[] = []
    const define = (jobs: Jobs) => jobs.handle(GREET, async ({ name }) => void greeted.push(name))
    const [jobs] = await Promise.all([startJobs(url, define), startJobs(url, define)])
    const names = Array.from({ length: 100 }, (_, i) => `person ${i}`)
    await jobs.sendAll(
      GREET,
      names.map((name) => ({ data: { name } })),
    )
    await eventually(() => expect(greeted.toSorted()).toEqual(names.toSorted()), { timeoutMs: 25_000 })
  })

  it('that fail are tried again, and then kept as dead until they are sent again', async () => {
    const { url } = await openDatabase()
    let tries = 0
    let isMended = false
    const jobs = await startJobs(url, (jobs) =>
      jobs.handle(GREET, async () => {
        tries++
        if (!isMended) throw new Error('not today')
      }),
    )
    await jobs.send(GREET, { name: 'Ada' })
    const [dead] = await eventually(async () => {
      const found = await jobs.listDead({ limit: 10 })
      expect(found).toEqual([
        {
          id: expect.any(String),
          kind: 'greet',
          data: { name: 'Ada' },
          error: 'not today',
          failedAt: expect.any(Date),
        },
      ])
      return found
    })
    expect(tries).toBe(2)
    isMended = true
    expect(await jobs.retryDead([dead?.id ?? ''])).toBe(1)
    await eventually(() => expect(tries).toBe(3))
    expect(await jobs.listDead({ limit: 10 })).toEqual([])
  })

  it('with a key wait once, and one more may be sent while one runs', async () => {
    const { url } = await openDatabase()
    const started: string[] = []
    let release = () => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    const jobs = await startJobs(url, (jobs) =>
      jobs.handle(GREET_ONCE, async ({ name }) => {
        started.push(name)
        await held
      }),
    )
    await jobs.send(GREET_ONCE, { name: 'first' }, { key: 'a' })
    await eventually(() => expect(started).toEqual(['first']))
    for (const name of ['second', 'third']) await jobs.send(GREET_ONCE, { name }, { key: 'a' })
    release()
    await eventually(() => expect(started).toEqual(['first', 'second']))
  })

  it('wait as long as they are to by the database’s clock, whatever the node’s says', async () => {
    const { url, db } = await openDatabase()
    const jobs = await startJobs(url, (jobs) => jobs.handle(GREET, async () => {}))
    const now = Date.now
    Date.now = () => now() + 3_600_000
    try {
      await jobs.send(GREET, { name: 'Ada' }, { delayMs: 90_500 })
    } finally {
      Date.now = now
    }
    const rows = await db.$queryRaw<{ waitsMs: number }[]>`
      SELECT (extract(epoch FROM start_after - created_on) * 1000)::int AS "waitsMs" FROM pgboss.job WHERE name = 'greet'`
    expect(rows).toEqual([{ waitsMs: 90_500 }])
  })

  it('of a node that was killed are done by another', async () => {
    const { url } = await openDatabase()
    const victim = fork(fileURLToPath(new URL('../support/stuck-worker.ts', import.meta.url)), [url])
    cleanUps.push(async () => victim.kill('SIGKILL'))
    const [said] = await once(victim, 'message')
    expect(said).toBe('working')
    victim.kill('SIGKILL')
    const greeted: string[] = []
    await startJobs(url, (jobs) => jobs.handle(GREET, async ({ name }) => void greeted.push(name)))
    await eventually(() => expect(greeted).toEqual(['Ada']), { timeoutMs: 60_000 })
  }, 90_000)

  it('that run when the node stops are waited for', async () => {
    const { url } = await openDatabase()
    const [greeted, started]: [string[], string[]] = [[], []]
    let release = () => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    const jobs = await startJobs(url, (jobs) =>
      jobs.handle(GREET, async ({ name }) => {
        started.push(name)
        await held
        greeted.push(name)
      }),
    )
    await jobs.send(GREET, { name: 'Ada' })
    await eventually(() => expect(started).toEqual(['Ada']))
    const stopping = jobs.stop(10_000)
    release()
    await stopping
    expect(greeted).toEqual(['Ada'])
  })

  it('that do not end hold up no stop for longer than they may', async () => {
    const { url } = await openDatabase()
    let isStarted = false
    const jobs = await startJobs(url, (jobs) =>
      jobs.handle(GREET, () => {
        isStarted = true
        return new Promise(() => {})
      }),
    )
    await jobs.send(GREET, { name: 'Ada' })
    await eventually(() => expect(isStarted).toBe(true))
    await jobs.stop(2_000)
  })

  it('refuse to start where there are no tables, as after `prisma migrate deploy` alone, and say what helps', async () => {
    const { url, db } = await openDatabase()
    await db.$executeRaw`DROP SCHEMA pgboss CASCADE`
    await expect(startJobs(url, () => {})).rejects.toThrow('run "npm run migrate" first')
  })

  it('refuse to start on tables of another version', async () => {
    const { url, db } = await openDatabase()
    await db.$executeRawUnsafe('UPDATE pgboss.version SET version = version - 1')
    const jobs = new Jobs({ url, logger: createLogger('fatal') })
    await expect(jobs.start()).rejects.toThrow()
    await jobs.stop(1_000)
  })
})
