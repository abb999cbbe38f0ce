import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { request as httpRequest } from 'node:http'
import os from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest'
import type { FileStorage } from '../../src/files/file-storage.ts'
import { openDiskFileStorage } from '../../src/files/file-storage-disk.ts'
import { S3FileStorage } from '../../src/files/file-storage-s3.ts'
import { createTusRoute, type TusRoute } from '../../src/files/tus-route.ts'
import type { TusStore } from '../../src/files/tus-store.ts'
import { DiskTusStore } from '../../src/files/tus-store-disk.ts'
import { S3TusStore } from '../../src/files/tus-store-s3.ts'
import { UploadLeases } from '../../src/files/upload-leases.ts'
import { decodeGlobalId } from '../../src/graphql/global-id.ts'
import { createDb, type Db } from '../../src/platform/db.ts'
import { newId } from '../../src/platform/ids.ts'
import { startProxy } from '../support/cuttable-proxy.ts'
import { eventually } from '../support/eventually.ts'
import { authenticateByName, type FileHost, silentLogger, startFileHost } from '../support/file-host.ts'
import { MemoryGate } from '../support/memory-gate.ts'
import { createTestDatabase, type TestDatabase } from '../support/postgres-server.ts'
import { startTestS3, type TestS3 } from '../support/s3-server.ts'
import { StoppedError, uploadByTus } from '../support/tus-client.ts'

const MIB = 1024 * 1024
const MAX_BYTES = 100 * MIB
const ORIGIN = 'https://app.example.com'

let database: TestDatabase
let db: Db
const cleanUps: (() => unknown)[] = []

beforeAll(async () => {
  database = await createTestDatabase(inject('postgresUrl'))
  db = createDb({ url: database.url, poolSize: 5 })
})

afterAll(async () => {
  await db.$disconnect()
  await database.drop()
})

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp()
})

interface Bytes {
  storage: FileStorage
  store: TusStore
}

interface Place {
  /** As each node opens it for itself. */
  open(options?: { expirationMs?: number }): Promise<Bytes>
  /** How many things there are beside finished objects. */
  leftovers(): Promise<number>
}

interface Node extends Bytes {
  url: string
  host: FileHost
  route: TusRoute
  stop(): Promise<void>
}

const tus = (headers: Record<string, string> = {}, user = 'ada') => ({
  authorization: `Bearer ${user}`,
  'tus-resumable': '1.0.0',
  ...headers,
})

function takesUploads(newPlace: () => Promise<Place>): void {
  const setUp = async (options: { expirationMs?: number } = {}) => {
    const place = await newPlace()
    const gate = new MemoryGate(MAX_BYTES)
    const startNode = async (): Promise<Node> => {
      const bytes = await place.open(options)
      const route = createTusRoute({
        ...{ store: bytes.store, gate, authenticate: authenticateByName, corsOrigins: [ORIGIN], maxBytes: MAX_BYTES },
        leases: new UploadLeases({ db, renewMs: 50 }),
        logger: silentLogger,
      })
      const host = await startFileHost([route])
      const stop = async () => {
        await host.close()
        await route.settled()
        await bytes.storage.close()
      }
      cleanUps.push(stop)
      return { ...bytes, host, route, url: `${host.url}/uploads`, stop }
    }
    const node = await startNode()
    const expectStored = async (attachmentId: string, bytes: Buffer, by = node) => {
      const { typename, id } = decodeGlobalId(attachmentId)
      expect(typename).toBe('Attachment')
      const key = `${id}/original`
      const stored = await buffer((await by.storage.read(key)).stream)
      expect(createHash('sha256').update(stored).digest('hex')).toBe(createHash('sha256').update(bytes).digest('hex'))
      expect(gate.uploads.get(key)?.state).toBe('FINISHED')
      expect(await place.leftovers()).toBe(0)
      return gate.uploads.get(key)
    }
    /** An upload of which nothing has come. */
    const create = async (sizeBytes: number, user = 'ada') => {
      const response = await fetch(node.url, {
        method: 'POST',
        headers: tus({ 'upload-length': String(sizeBytes) }, user),
      })
      expect(response.status).toBe(201)
      return new URL(response.headers.get('location') ?? '', node.url).href
    }
    return { place, gate, node, startNode, expectStored, create }
  }

  it('takes a file whole, and tells its attachment', async () => {
    const { node, expectStored } = await setUp()
    const bytes = randomBytes(11 * MIB)
    const { attachmentId, requests } = await uploadByTus(bytes, { endpoint: node.url })
    const known = await expectStored(attachmentId, bytes)
    expect(known?.file).toEqual({ name: 'kedi şarkısı.bin', contentType: 'application/x-test', sizeBytes: 11 * MIB })
    expect(requests).toEqual(['POST 201', 'PATCH 204'])
  })

  it('takes it in small pieces, and with the first of them in the creation', async () => {
    const { node, expectStored } = await setUp()
    const bytes = randomBytes(3 * MIB + 5)
    const { attachmentId } = await uploadByTus(bytes, { endpoint: node.url, chunkSize: MIB })
    await expectStored(attachmentId, bytes)
    const options = { endpoint: node.url, uploadDataDuringCreation: true }
    const first = await uploadByTus(bytes, { ...options, chunkSize: MIB })
    await expectStored(first.attachmentId, bytes)
    const whole = await uploadByTus(bytes, options)
    await expectStored(whole.attachmentId, bytes)
    expect(whole.requests).toEqual(['POST 201'])
  })

  it('goes on where a client stopped, on another node and after a restart', async () => {
    const { node, startNode, expectStored, gate } = await setUp()
    const bytes = randomBytes(20 * MIB)
    const stopped = await uploadByTus(bytes, {
      endpoint: node.url,
      chunkSize: 3 * MIB,
      stopAt: (sent) => sent >= 12 * MIB,
    }).catch((error: unknown) => error)
    if (!(stopped instanceof StoppedError)) throw stopped
    expect([...gate.uploads.values()].map(({ state }) => state)).toEqual(['COMING'])
    await node.stop()
    const second = await startNode()
    const uploadUrl = `${second.url}/${stopped.url.split('/').at(-1)}`
    const head = await fetch(uploadUrl, { method: 'HEAD', headers: tus() })
    const offset = Number(head.headers.get('upload-offset'))
    expect(offset).toBeGreaterThanOrEqual(9 * MIB)
    expect(offset).toBeLessThan(20 * MIB)
    const { attachmentId, requests } = await uploadByTus(bytes, { uploadUrl })
    expect(requests).toEqual(['HEAD 200', 'PATCH 204'])
    await expectStored(attachmentId, bytes, second)
  })

  it('survives cut connections', async () => {
    const { node, expectStored } = await setUp()
    const proxy = await startProxy(node.url, { marks: [7, 9, 8].map((mib) => ({ bytes: mib * MIB })) })
    cleanUps.push(() => proxy.close())
    const bytes = randomBytes(30 * MIB)
    const { attachmentId, requests } = await uploadByTus(bytes, { endpoint: proxy.url })
    expect(requests.filter((one) => one === 'PATCH -')).toHaveLength(3)
    expect(requests.at(-1)).toBe('PATCH 204')
    await expectStored(attachmentId, bytes)
  })

  it('finishes what was complete when its last request failed', async () => {
    const { node, gate, expectStored, startNode } = await setUp()
    gate.failures = 2
    // Once for the last bytes, and once for the question after them.
    const other = await startNode()
    const bytes = randomBytes(MIB)
    const { attachmentId, requests, url } = await uploadByTus(bytes, { endpoint: node.url })
    expect(requests).toEqual(['POST 201', 'PATCH 500', 'HEAD 423', 'HEAD 200'])
    await expectStored(attachmentId, bytes)
    // Who asks later is told the same, anywhere.
    const again = await fetch(`${other.url}/${url.split('/').at(-1)}`, { method: 'HEAD', headers: tus() })
    expect([again.status, again.headers.get('upload-offset'), again.headers.get('upload-length')]).toEqual([
      ...[200, String(MIB), String(MIB)],
    ])
    expect(again.headers.get('sohbet-attachment-id')).toBe(attachmentId)
  })

  it('is taken over by a client that comes back, from a connection that hangs, also on another node', async () => {
    const { node, startNode, expectStored, create } = await setUp()
    const bytes = randomBytes(12 * MIB)
    const uploadUrl = await create(bytes.length)
    const hanging = httpRequest(uploadUrl, {
      method: 'PATCH',
      headers: tus({ 'upload-offset': '0', 'content-type': 'application/offset+octet-stream' }),
    })
    const ended = new Promise((resolve) => {
      hanging.once('response', resolve)
      hanging.once('error', resolve)
    })
    hanging.write(bytes.subarray(0, 2 * MIB))
    await eventually(async () => expect((await db.uploadLease.findMany()).length).toBe(1))
    const second = await startNode()
    const { attachmentId } = await uploadByTus(bytes, { uploadUrl: `${second.url}/${uploadUrl.split('/').at(-1)}` })
    await expectStored(attachmentId, bytes)
    await ended
    hanging.destroy()
    await node.stop()
    expect(await db.uploadLease.count()).toBe(0)
  })

  it('belongs to its creator: to others it is not there', async () => {
    const { node, create, gate } = await setUp()
    const url = await create(1000)
    const absent = `${node.url}/${Buffer.from(`${newId()}/original`).toString('base64url')}`
    const requests: [string, Record<string, string>][] = [
      ['HEAD', {}],
      ['PATCH', { 'upload-offset': '0', 'content-type': 'application/offset+octet-stream' }],
      ['DELETE', {}],
      ['GET', {}],
    ]
    for (const [method, headers] of requests) {
      for (const target of [url, absent]) {
        const ask = (user: string | null) => {
          const { authorization, ...rest } = tus(headers, user ?? '')
          return fetch(target, { method, headers: user === null ? rest : { authorization, ...rest } })
        }
        expect((await ask('bob')).status).toBe(404)
        expect((await ask(null)).status).toBe(401)
        expect((await ask('expired')).status).toBe(401)
      }
    }
    expect((await fetch(url, { headers: tus() })).status).toBe(404) // nor is it there to be read
    expect([...gate.uploads.values()].map(({ state }) => state)).toEqual(['COMING'])
    expect((await fetch(url, { method: 'HEAD', headers: tus() })).headers.get('upload-offset')).toBe('0')
    const anonymous = await fetch(node.url, {
      method: 'POST',
      headers: { 'tus-resumable': '1.0.0', 'upload-length': '1' },
    })
    expect(anonymous.status).toBe(401)
  })

  it.each(['../../etc/passwd', '..', '/etc/passwd', 'a\0b', 'x'.repeat(500), 'UPPER', 'x.json', ''])(
    'has no upload by a name that is none: %j',
    async (key) => {
      const { node } = await setUp()
      // fetch itself would resolve two dots.
      for (const id of [Buffer.from(key).toString('base64url'), encodeURIComponent(`${key}x`)]) {
        const response = await fetch(`${node.url}/${id}`, { method: 'HEAD', headers: tus() })
        expect([404, 405]).toContain(response.status)
      }
    },
  )

  it('refuses what is too large, empty, or does not say its length, before a byte is sent', async () => {
    const { node, gate, place } = await setUp()
    const create = async (headers: Record<string, string>) => {
      const response = await fetch(node.url, { method: 'POST', headers: tus(headers) })
      return [response.status, await response.text()]
    }
    expect(await create({ 'upload-length': String(MAX_BYTES + 1) })).toEqual([
      413,
      JSON.stringify({ error: { code: 'PAYLOAD_TOO_LARGE', message: 'The file is too large.' } }),
    ])
    expect(await create({ 'upload-length': '0' })).toEqual([400, expect.stringContaining('VALIDATION_FAILED')])
    expect(await create({})).toEqual([400, expect.stringContaining('Upload-Length')])
    expect((await create({ 'upload-defer-length': '1' }))[0]).toBe(501)
    expect((await create({ 'upload-length': '-1' }))[0]).toBe(400)
    expect((await create({ 'upload-length': '1', 'upload-metadata': 'not base64 !' }))[0]).toBe(400)
    expect(gate.uploads.size).toBe(0)
    expect(await place.leftovers()).toBe(0)
  })

  it('takes no more than was announced', async () => {
    const { create, node, place } = await setUp()
    const url = await create(10)
    const patch = (offset: number, body: Buffer) =>
      fetch(url, {
        method: 'PATCH',
        headers: tus({ 'upload-offset': String(offset), 'content-type': 'application/offset+octet-stream' }),
        body: new Uint8Array(body),
      })
    expect((await patch(0, randomBytes(11))).status).toBe(413)
    expect((await patch(5, randomBytes(5))).status).toBe(409)
    expect((await patch(0, randomBytes(10))).status).toBe(204)
    expect((await patch(10, randomBytes(1))).status).toBe(413)
    expect(await place.leftovers()).toBe(0)
    expect((await node.storage.list({ after: null, limit: 1000 })).objects.map(({ sizeBytes }) => sizeBytes)).toContain(
      10,
    )
  })

  it('ends an upload that its creator gives up, but none that is finished', async () => {
    const { node, create, gate, place } = await setUp()
    const url = await create(1000)
    expect((await fetch(url, { method: 'DELETE', headers: tus() })).status).toBe(204)
    expect([...gate.uploads.values()].map(({ state }) => state)).toEqual(['ABORTED'])
    expect((await fetch(url, { method: 'HEAD', headers: tus() })).status).toBe(404)
    expect(await place.leftovers()).toBe(0)
    const finished = await uploadByTus(randomBytes(1000), { endpoint: node.url })
    expect((await fetch(finished.url, { method: 'DELETE', headers: tus() })).status).toBe(400)
    expect((await fetch(finished.url, { method: 'HEAD', headers: tus() })).headers.get('upload-offset')).toBe('1000')
  })

  it('says when an upload ends by itself, and that it has', async () => {
    const { node } = await setUp({ expirationMs: 1 })
    const created = await fetch(node.url, { method: 'POST', headers: tus({ 'upload-length': '10' }) })
    expect(Date.parse(created.headers.get('upload-expires') ?? '')).toBeLessThanOrEqual(Date.now() + 1000)
    const url = new URL(created.headers.get('location') ?? '', node.url).href
    await eventually(async () => expect((await fetch(url, { method: 'HEAD', headers: tus() })).status).toBe(410))
  })

  it('is discarded by who cleans up, as often as they like', async () => {
    const { node, create, place, gate } = await setUp()
    const url = await create(1000)
    const [objectKey = ''] = gate.uploads.keys()
    expect(await place.leftovers()).toBeGreaterThan(0)
    await node.store.discard(objectKey)
    await node.store.discard(objectKey)
    expect(await place.leftovers()).toBe(0)
    expect((await fetch(url, { method: 'HEAD', headers: tus() })).status).toBe(404)
  })

  it('answers pages of the allowed origins, and no others', async () => {
    const { node } = await setUp()
    const preflight = (origin: string) => fetch(node.url, { method: 'OPTIONS', headers: { origin } })
    const { status, headers } = await preflight(ORIGIN)
    expect(status).toBe(204)
    expect(headers.get('access-control-allow-origin')).toBe(ORIGIN)
    expect(headers.get('access-control-allow-methods')).toContain('PATCH')
    for (const name of ['Authorization', 'Upload-Offset', 'Upload-Metadata', 'Tus-Resumable']) {
      expect(headers.get('access-control-allow-headers')).toContain(name)
    }
    expect(headers.get('access-control-expose-headers')).toContain('Sohbet-Attachment-Id')
    expect(headers.get('tus-max-size')).toBe(String(MAX_BYTES))
    expect(headers.get('tus-extension')?.split(',')).toEqual(
      expect.arrayContaining(['creation', 'creation-with-upload', 'expiration', 'termination']),
    )
    expect((await preflight('https://evil.example.com')).headers.get('access-control-allow-origin')).toBe(null)
    const refused = await fetch(node.url, { method: 'POST', headers: { origin: ORIGIN } })
    expect([refused.status, refused.headers.get('access-control-allow-origin')]).toEqual([401, ORIGIN])
  })
}

describe('resumable uploads into a folder', () => {
  takesUploads(async () => {
    const dir = await mkdtemp(join(os.tmpdir(), 'sohbet-test-uploads-'))
    cleanUps.push(() => rm(dir, { recursive: true, force: true }))
    return {
      async open({ expirationMs = 86_400_000 } = {}) {
        const storage = await openDiskFileStorage({ dir })
        return { storage, store: new DiskTusStore({ storage, expirationMs }) }
      },
      async leftovers() {
        const names = await Promise.all(['uploads', 'tmp'].map((folder) => readdir(join(dir, folder))))
        return names.flat().length
      },
    }
  })
})

describe('resumable uploads into S3', () => {
  let s3: TestS3
  beforeAll(async () => {
    s3 = await startTestS3()
  })
  afterAll(() => s3.stop())

  takesUploads(async () => {
    const before = await s3.leftovers()
    return {
      async open({ expirationMs = 86_400_000 } = {}) {
        const storage = new S3FileStorage(s3.options)
        return { storage, store: new S3TusStore({ storage, bucket: s3.options.bucket, expirationMs }) }
      },
      leftovers: async () => (await s3.leftovers()) - before,
    }
  })
})
