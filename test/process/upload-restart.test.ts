// A large file on its way while its server is cut off, killed and replaced: the client knows nothing of it but its retries.

import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import os from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, expect, inject, it } from 'vitest'
import { openDiskFileStorage } from '../../src/files/file-storage-disk.ts'
import { decodeGlobalId } from '../../src/graphql/global-id.ts'
import { startProxy } from '../support/cuttable-proxy.ts'
import { createTestDatabase } from '../support/postgres-server.ts'
import { type Exit, endAll, type SpawnedServer, spawnServer } from '../support/spawn-server.ts'
import { uploadByTus } from '../support/tus-client.ts'

const MIB = 1024 * 1024
const PROJECT = fileURLToPath(new URL('../..', import.meta.url))
const PROGRAM = fileURLToPath(new URL('../support/uploads-program.ts', import.meta.url))

const cleanUps: (() => unknown)[] = []
afterEach(async () => {
  await endAll()
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp()
}, 60_000)

it('takes 200 MB through three interruptions, a kill and a restart among them', { timeout: 120_000 }, async () => {
  const database = await createTestDatabase(inject('postgresUrl'))
  cleanUps.push(() => database.drop())
  const dir = await mkdtemp(join(os.tmpdir(), 'sohbet-test-large-'))
  cleanUps.push(() => rm(dir, { recursive: true, force: true }))
  const startNode = () =>
    spawnServer({
      command: process.execPath,
      args: [PROGRAM, dir, database.url],
      cwd: PROJECT,
    })

  let url = ''
  let node: SpawnedServer = startNode()
  url = await node.ready()
  const exits: Promise<Exit>[] = []
  const replace = async (signal: NodeJS.Signals) => {
    const old = node
    exits.push(old.exited())
    old.signal(signal, 'process')
    node = startNode()
    url = await node.ready()
  }
  const replacing: Promise<void>[] = []
  const proxy = await startProxy(() => url, {
    marks: [
      { bytes: 40 * MIB },
      { bytes: 50 * MIB, act: () => void replacing.push(replace('SIGKILL')) },
      { bytes: 40 * MIB, act: () => void replacing.push(replace('SIGTERM')) },
    ],
  })
  cleanUps.push(() => proxy.close())

  const bytes = randomBytes(200 * MIB)
  const { attachmentId, requests } = await uploadByTus(bytes, {
    endpoint: new URL('/uploads', proxy.url).href,
    // In pieces, so that what is asked to stop comes to an end.
    chunkSize: 64 * MIB,
    retryDelays: [0, 100, 200, 400, 800, 1600, 3200, 3200, 3200],
  })
  await Promise.all(replacing)
  expect(replacing).toHaveLength(2)
  expect(requests.filter((one) => one === 'PATCH -').length).toBeGreaterThanOrEqual(2)
  expect(await Promise.all(exits)).toEqual([
    { code: null, signal: 'SIGKILL' },
    { code: 0, signal: null },
  ])
  const storage = await openDiskFileStorage({ dir })
  const { stream, sizeBytes } = await storage.read(`${decodeGlobalId(attachmentId).id}/original`)
  const hash = createHash('sha256')
  for await (const chunk of stream) hash.update(chunk)
  expect(sizeBytes).toBe(bytes.length)
  expect(hash.digest('hex')).toBe(createHash('sha256').update(bytes).digest('hex'))
  expect(await readdir(join(dir, 'uploads'))).toEqual([])
})
