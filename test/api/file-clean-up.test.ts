// What is removed, when, and what is not: clean-up by the service's own clock, turned ahead by the tests.

import { mkdir, readdir, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createCleanUp } from '../../src/files/clean-up-jobs.ts'
import { type DiskFileStorage, openDiskFileStorage } from '../../src/files/file-storage-disk.ts'
import { createOrphanSearch } from '../../src/files/orphan-jobs.ts'
import { createDb, type Db } from '../../src/platform/db.ts'
import { newId } from '../../src/platform/ids.ts'
import { createLogger } from '../../src/platform/logger.ts'
import { eventually } from '../support/eventually.ts'
import { type Person, person } from '../support/seed.ts'
import { useNodes } from '../support/start-nodes.ts'
import { bytesFile, findAttachment, textFile, uploaded } from '../support/uploads.ts'

const HOUR_MS = 3_600_000
const never = new AbortController().signal

describe('the clean-up of files', () => {
  const nodes = useNodes()
  const url = () => nodes().urls[0] ?? ''
  let db: Db
  let storage: DiskFileStorage
  let filesDir: string
  let tempDir: string
  beforeAll(async () => {
    const { files } = nodes().config
    if (files?.storage.kind !== 'disk' || !files.storage.dir || !files.tempDir) throw new Error('no folder')
    filesDir = files.storage.dir
    tempDir = files.tempDir
    db = createDb({ url: nodes().databaseUrl, poolSize: 2 })
    storage = await openDiskFileStorage({ dir: filesDir })
  })
  afterAll(() => db?.$disconnect())

  const logger = createLogger('silent')
  const later = (ms: number) => ({ now: () => Date.now() + ms })
  const refused: string[] = []
  const processing = {
    refuse: async (id: string) => {
      refused.push(id)
      await db.attachment.update({ where: { id }, data: { status: 'REFUSED' } })
    },
  }
  const cleanUp = (aheadMs: number, signal = never) =>
    createCleanUp({ db, storage, processing, clock: later(aheadMs), unsentMs: 24 * HOUR_MS, tempDir }).cleanUp(signal)
  const findOrphans = (aheadMs: number) =>
    createOrphanSearch({ db, storage, clock: later(aheadMs), logger }).findOrphans(never)
  const uuidOf = (globalId: string) => Buffer.from(globalId, 'base64url').toString().split(':')[1] ?? ''
  const keysOf = async (attachmentId: string) => {
    const { objects } = await storage.list({ after: null, limit: 1_000 })
    return objects.map(({ key }) => key).filter((key) => key.startsWith(uuidOf(attachmentId)))
  }
  const ready = async (who: Person, file = textFile()) => {
    const { id } = await uploaded(url(), who, file)
    await eventually(async () => expect((await findAttachment(who, id))?.status).toBe('READY'))
    return id
  }

  it('removes what was not sent in a day, with its bytes, and nothing that was sent', async () => {
    const ada = await person(url(), 'Ada')
    const [unsent, sent] = [await ready(ada), await ready(ada)]
    await ada.send(await ada.createRoom(), 'look', { attachmentIds: [sent] })
    await cleanUp(23 * HOUR_MS)
    expect(await findAttachment(ada, unsent)).not.toBeNull()
    await cleanUp(25 * HOUR_MS)
    expect(await findAttachment(ada, unsent)).toBeNull()
    expect([await keysOf(unsent), await db.attachment.count({ where: { id: uuidOf(unsent) } })]).toEqual([[], 0])
    expect((await findAttachment(ada, sent))?.status).toBe('READY')
    expect(await keysOf(sent)).toHaveLength(1)
  })

  it('removes rows and bytes of what was taken away and of deleted messages soon, by a job', async () => {
    const ada = await person(url(), 'Ada')
    const [unsent, sent] = [await ready(ada), await ready(ada)]
    const { id: messageId } = await ada.send(await ada.createRoom(), 'look', { attachmentIds: [sent] })
    await ada.do('mutation ($input: DeleteAttachmentInput!) { deleteAttachment(input: $input) { __typename } }', {
      input: { attachmentId: unsent },
    })
    await ada.do('mutation ($input: DeleteMessageInput!) { deleteMessage(input: $input) { __typename } }', {
      input: { messageId },
    })
    for (const id of [unsent, sent]) {
      await eventually(async () => expect(await db.attachment.count({ where: { id: uuidOf(id) } })).toBe(0))
      expect(await keysOf(id)).toEqual([])
    }
  })

  it('removes what a job has left behind', async () => {
    const ada = await person(url(), 'Ada')
    const id = await ready(ada)
    // As after a job that has died: deleted, and nobody owes anything.
    await db.attachment.update({ where: { id: uuidOf(id) }, data: { deletedAt: new Date() } })
    await cleanUp(5 * 60_000)
    expect(await db.attachment.count({ where: { id: uuidOf(id) } })).toBe(1)
    await cleanUp(11 * 60_000)
    expect([await keysOf(id), await db.attachment.count({ where: { id: uuidOf(id) } })]).toEqual([[], 0])
  })

  it('gives up uploads that were not completed in a day, and refuses what is never processed', async () => {
    const ada = await person(url(), 'Ada')
    const [uploadId, attachmentId] = [newId(), newId()]
    const common = { uploaderId: uuidOf(ada.id), name: 'x', sizeBytes: 1 }
    await db.upload.create({ data: { id: uploadId, claimedType: '', objectKey: `${uploadId}/upload`, ...common } })
    await db.attachment.create({
      data: { id: attachmentId, contentType: 'text/plain', objectKey: `${attachmentId}/upload`, ...common },
    })
    await cleanUp(5 * HOUR_MS)
    expect([await db.upload.count({ where: { id: uploadId } }), refused]).toEqual([1, []])
    await cleanUp(7 * HOUR_MS)
    expect(refused).toEqual([attachmentId])
    await cleanUp(25 * HOUR_MS)
    expect(await db.upload.count({ where: { id: uploadId } })).toBe(0)
  })

  it('removes stale temporary files, and forgets the usage of past days', async () => {
    const ada = await person(url(), 'Ada')
    await ready(ada)
    const left = join(tempDir, 'upload-left')
    await mkdir(left, { recursive: true })
    const partial = join(filesDir, 'tmp', 'left')
    await writeFile(partial, 'x')
    const long = new Date(Date.now() - 2 * 24 * HOUR_MS)
    for (const path of [left, partial]) await utimes(path, long, long)
    await cleanUp(0)
    expect([await readdir(tempDir), await readdir(join(filesDir, 'tmp'))]).toEqual([[], []])
    expect(await db.uploadUsage.count({ where: { userId: uuidOf(ada.id) } })).toBe(1)
    await cleanUp(72 * HOUR_MS)
    expect(await db.uploadUsage.count({ where: { userId: uuidOf(ada.id) } })).toBe(0)
  })

  it('removes objects without a row, but none that may be in the making, and none that is not ours', async () => {
    const ada = await person(url(), 'Ada')
    const id = await ready(ada, bytesFile(10))
    const uploadId = newId()
    await db.upload.create({
      data: {
        ...{ id: uploadId, uploaderId: uuidOf(ada.id), name: 'x', sizeBytes: 1, claimedType: '' },
        objectKey: `${uploadId}/upload`,
      },
    })
    const write = (key: string) => storage.write(key, Readable.from(['x']), { maxBytes: 1 })
    const orphan = `${newId()}/upload`
    const leftOver = `${uuidOf(id)}/cleaned`
    const foreign = 'backups/of-others'
    for (const key of [orphan, leftOver, `${uploadId}/upload`, foreign]) await write(key)
    const exists = async (...keys: string[]) => Promise.all(keys.map(async (key) => (await storage.stat(key)) !== null))
    await findOrphans(30 * 60_000)
    expect(await exists(orphan, leftOver)).toEqual([true, true])
    await findOrphans(2 * HOUR_MS)
    expect(await exists(orphan, leftOver)).toEqual([false, false])
    expect(await exists(`${uploadId}/upload`, foreign, `${uuidOf(id)}/upload`)).toEqual([true, true, true])
  })

  it('removes nothing of an upload that ends while it is looked for', async () => {
    const ada = await person(url(), 'Ada')
    const id = newId()
    const key = `${id}/upload`
    const common = { id, uploaderId: uuidOf(ada.id), name: 'x', sizeBytes: 1, objectKey: key }
    await db.upload.create({ data: { ...common, claimedType: '' } })
    await storage.write(key, Readable.from(['x']), { maxBytes: 1 })
    // Between the search's two questions, whichever comes first.
    let questions = 0
    const meanwhile = async ({ args, query }: { args: object; query: (args: object) => Promise<unknown> }) => {
      if (questions++ === 1) {
        await db.$transaction([
          db.upload.delete({ where: { id } }),
          db.attachment.create({ data: { ...common, contentType: 'text/plain' } }),
        ])
      }
      return query(args)
    }
    const watched = db.$extends({ query: { upload: { findMany: meanwhile }, attachment: { findMany: meanwhile } } })
    // All that the search asks of it, it answers as the database does.
    const asking = createOrphanSearch({ db: watched as unknown as Db, storage, clock: later(2 * HOUR_MS), logger })
    await asking.findOrphans(never)
    expect(questions).toBeGreaterThan(1)
    expect(await storage.stat(key)).not.toBeNull()
  })

  it('marks an attachment whose bytes are gone, unless most seem to be: then the storage is the wrong one', async () => {
    const ada = await person(url(), 'Ada')
    const ids: string[] = []
    for (let i = 0; i < 24; i++) ids.push((await uploaded(url(), ada, textFile(`${i}.txt`))).id)
    for (const id of ids) await eventually(async () => expect((await findAttachment(ada, id))?.status).toBe('READY'))
    const [lost = '', ...others] = ids
    await storage.delete([`${uuidOf(lost)}/upload`])
    await findOrphans(0)
    expect(await findAttachment(ada, lost)).toMatchObject({ status: 'REFUSED', refusal: 'LOST', url: null })
    expect((await findAttachment(ada, others[0] ?? ''))?.status).toBe('READY')
    // A folder that was not mounted.
    const empty = await openDiskFileStorage({ dir: join(filesDir, 'elsewhere') })
    await createOrphanSearch({ db, storage: empty, clock: later(0), logger }).findOrphans(never)
    for (const id of others) expect((await findAttachment(ada, id))?.status).toBe('READY')
  })

  it('can be cut short at any time', async () => {
    const stopped = AbortSignal.abort()
    await cleanUp(30 * 24 * HOUR_MS, stopped)
    expect((await stat(filesDir)).isDirectory()).toBe(true)
  })
})
