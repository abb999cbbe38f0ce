import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { UploadLeases } from '../../src/files/upload-leases.ts'
import { createDb, type Db } from '../../src/platform/db.ts'
import { newId } from '../../src/platform/ids.ts'
import { eventually } from '../support/eventually.ts'
import { createTestDatabase, type TestDatabase } from '../support/postgres-server.ts'

let database: TestDatabase
let db: Db

beforeAll(async () => {
  database = await createTestDatabase(inject('postgresUrl'))
  db = createDb({ url: database.url, poolSize: 5 })
})

afterAll(async () => {
  await db.$disconnect()
  await database.drop()
})

describe('the lease of an upload', () => {
  const open = () => new UploadLeases({ db, ttlMs: 300, renewMs: 50, patienceMs: 5000 })
  const never = new AbortController().signal

  it('is held by one at a time; whoever holds it is asked to stop', async () => {
    const [first, second] = [open().newLock('x/original'), open().newLock('x/original')]
    const order: string[] = []
    await first.lock(never, async () => {
      order.push('asked')
      await first.unlock()
    })
    await second.lock(never, () => {})
    expect(order).toEqual(['asked'])
    await second.unlock()
  })

  it('ends by itself when its node is gone', async () => {
    await db.$executeRaw`INSERT INTO "upload_leases" VALUES ('y/original', ${newId()}::uuid, now() + interval '300 ms')`
    const lock = open().newLock('y/original')
    await lock.lock(never, () => {})
    await lock.unlock()
    expect(await db.uploadLease.count({ where: { objectKey: 'y/original' } })).toBe(0)
  })

  it('tells its holder when it is lost', async () => {
    const lock = open().newLock('z/original')
    const lost = new Promise<void>((resolve) => void lock.lock(never, resolve))
    await eventually(async () => expect(await db.uploadLease.count({ where: { objectKey: 'z/original' } })).toBe(1))
    await db.uploadLease.deleteMany({ where: { objectKey: 'z/original' } })
    await lost
    await lock.unlock()
  })

  it('is waited for no longer than the request lasts, and not for ever', async () => {
    const holder = open().newLock('w/original')
    await holder.lock(never, () => {})
    const giveUp = new AbortController()
    const waiting = open()
      .newLock('w/original')
      .lock(giveUp.signal, () => {})
    giveUp.abort()
    await expect(waiting).rejects.toMatchObject({ status_code: 400 })
    const impatient = new UploadLeases({ db, patienceMs: 1 }).newLock('w/original')
    await expect(impatient.lock(never, () => {})).rejects.toMatchObject({ status_code: 423 })
    await holder.unlock()
  })
})
