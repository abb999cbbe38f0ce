// A large file on its way to a node in production that is cut off, killed and replaced: the client knows nothing of it but
// its retries.

import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import os from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, inject, it } from 'vitest'
import { startProxy } from '../support/cuttable-proxy.ts'
import { eventually } from '../support/eventually.ts'
import { createTestDatabase } from '../support/postgres-server.ts'
import { NO_REDIS } from '../support/provided.ts'
import { person } from '../support/seed.ts'
import { type Exit, endAll, spawnServer } from '../support/spawn-server.ts'
import { TEST_SECRET } from '../support/start-nodes.ts'
import { uploadByTus } from '../support/tus-client.ts'
import { findAttachment } from '../support/uploads.ts'

const MIB = 1024 * 1024
const PROJECT = fileURLToPath(new URL('../..', import.meta.url))

const redisUrl = inject('redisUrl')
const cleanUps: (() => unknown)[] = []
afterEach(async () => {
  await endAll()
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp()
}, 60_000)

/** A node that takes the place of the one before when it is told to. */
async function startReplaceable() {
  const database = await createTestDatabase(inject('postgresUrl'))
  cleanUps.push(() => database.drop())
  const dir = await mkdtemp(join(os.tmpdir(), 'sohbet-test-large-'))
  cleanUps.push(() => rm(dir, { recursive: true, force: true }))
  const env = {
    ...{ DATABASE_URL: database.url, REDIS_URL: redisUrl ?? '', JWT_SECRET: TEST_SECRET, DRAIN_WINDOW_MS: '200' },
    ...{ FILES_DIR: join(dir, 'files'), FILES_TEMP_DIR: join(dir, 'pictures'), FILES_URL_SECRET: TEST_SECRET },
  }
  const start = () => spawnServer({ command: process.execPath, args: ['dist/main.js'], cwd: PROJECT, env })
  let node = start()
  let url = await node.ready()
  const exits: Promise<Exit>[] = []
  return {
    url: () => url,
    filesDir: env.FILES_DIR,
    exits,
    async replace(signal: NodeJS.Signals): Promise<void> {
      const old = node
      exits.push(old.exited())
      old.signal(signal, 'process')
      node = start()
      url = await node.ready()
    },
  }
}

describe.skipIf(redisUrl === null)(`a large upload ${redisUrl ? '' : NO_REDIS}`, { timeout: 120_000 }, () => {
  it('of 200 MB survives three interruptions, a kill and a restart among them', async () => {
    const service = await startReplaceable()
    const replacing: Promise<void>[] = []
    const replace = (signal: NodeJS.Signals) => () => void replacing.push(service.replace(signal))
    const proxy = await startProxy(service.url, {
      marks: [
        { bytes: 40 * MIB },
        { bytes: 50 * MIB, act: replace('SIGKILL') },
        { bytes: 40 * MIB, act: replace('SIGTERM') },
      ],
    })
    cleanUps.push(() => proxy.close())
    const ada = await person(proxy.url, 'Ada')

    const bytes = randomBytes(200 * MIB)
    const { attachmentId, requests } = await uploadByTus(bytes, {
      token: ada.token,
      endpoint: new URL('/uploads', proxy.url).href,
      // In pieces, so that what is asked to stop comes to an end.
      chunkSize: 64 * MIB,
      retryDelays: [0, 100, 200, 400, 800, 1600, 3200, 3200, 3200],
    })
    await Promise.all(replacing)
    expect(replacing).toHaveLength(2)
    expect(requests.filter((one) => one === 'PATCH -').length).toBeGreaterThanOrEqual(2)
    expect(await Promise.all(service.exits)).toEqual([
      { code: null, signal: 'SIGKILL' },
      { code: 0, signal: null },
    ])

    const attachment = await eventually(async () => {
      const found = await findAttachment(ada, attachmentId)
      expect(found?.status).toBe('READY')
      return found
    })
    await ada.send(await ada.createRoom(), 'a film', { attachmentIds: [attachmentId] })
    expect(attachment?.sizeBytes).toBe(bytes.length)
    const response = await fetch(new URL(attachment?.url ?? '', proxy.url), { signal: AbortSignal.timeout(60_000) })
    const hash = createHash('sha256')
    for await (const chunk of response.body ?? []) hash.update(chunk)
    expect(hash.digest('hex')).toBe(createHash('sha256').update(bytes).digest('hex'))
    expect(await readdir(join(service.filesDir, 'uploads'))).toEqual([])
  })
})
