import { spawn } from 'node:child_process'
import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { mkdtemp, readdir, rm, utimes } from 'node:fs/promises'
import os from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import {
  type FileStorage,
  MissingObjectError,
  ObjectTooLargeError,
  StorageUnavailableError,
} from '../../src/files/file-storage.ts'
import { type DiskFileStorage, openDiskFileStorage } from '../../src/files/file-storage-disk.ts'
import { S3FileStorage, type S3Options } from '../../src/files/file-storage-s3.ts'
import { eventually } from '../support/eventually.ts'
import { startTestS3, type TestS3 } from '../support/s3-server.ts'
import { startTcpGate } from '../support/tcp-gate.ts'

const MIB = 1024 * 1024
const cleanUps: (() => unknown)[] = []

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp()
})

interface Opened {
  storage: FileStorage
  /** What failed writes have left behind, where no reader looks. */
  leftovers(): Promise<number>
}

const newKey = () => `${randomUUID()}/original`
const anyLength = { maxBytes: 100 * MIB }
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

async function bytesOf(storage: FileStorage, key: string, range?: { start: number; end: number }): Promise<Buffer> {
  return buffer((await storage.read(key, { range })).stream)
}

/** Gives some bytes and then nothing more. */
function stalling(bytes: Buffer): Readable {
  let given = false
  return new Readable({
    read() {
      if (!given) this.push(bytes)
      given = true
    },
  })
}

/** Fails after some bytes. */
async function* failing(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes
  throw new Error('the sender broke off')
}

async function keysOf(storage: FileStorage, limit = 1000): Promise<string[]> {
  const keys: string[] = []
  let after: string | null = null
  do {
    const page: Awaited<ReturnType<FileStorage['list']>> = await storage.list({ after, limit })
    expect(page.objects.length).toBeLessThanOrEqual(limit)
    keys.push(...page.objects.map(({ key }) => key))
    after = page.next
  } while (after !== null)
  return keys
}

async function expectNothing({ storage, leftovers }: Opened, key: string): Promise<void> {
  await expect(storage.read(key)).rejects.toThrow(MissingObjectError)
  expect(await storage.stat(key)).toBe(null)
  expect(await keysOf(storage)).not.toContain(key)
  expect(await leftovers()).toBe(0)
}

function behavesAsAFileStorage(open: () => Promise<Opened>): void {
  it('gives back what was written: nothing at all, a little, and more than one part', async () => {
    const { storage } = await open()
    for (const size of [0, 1, 5 * MIB, 17 * MIB + 3]) {
      const [key, bytes, before] = [newKey(), randomBytes(size), Date.now()]
      expect(await storage.write(key, Readable.from([bytes]), anyLength)).toEqual({ sizeBytes: size })
      const found = await storage.read(key)
      expect(found.sizeBytes).toBe(size)
      expect(sha256(await buffer(found.stream))).toBe(sha256(bytes))
      const stat = await storage.stat(key)
      expect(stat?.sizeBytes).toBe(size)
      // S3 tells seconds.
      expect(stat?.modifiedAt.getTime()).toBeGreaterThan(before - 2000)
    }
  })

  it('gives ranges, to the byte', async () => {
    const { storage } = await open()
    const [key, bytes] = [newKey(), randomBytes(100_000)]
    await storage.write(key, Readable.from([bytes]), anyLength)
    for (const [start, end] of [
      [0, 1],
      [1, 99_999],
      [99_999, 99_999],
      [65_535, 65_537],
    ] as const) {
      const found = await storage.read(key, { range: { start, end } })
      expect(found.sizeBytes).toBe(100_000)
      expect(await buffer(found.stream)).toEqual(bytes.subarray(start, end + 1))
    }
    for (const range of [
      { start: 0, end: 100_000 },
      { start: 100_000, end: 100_001 },
      { start: 2, end: 1 },
      { start: -1, end: 1 },
    ]) {
      await expect(storage.read(key, { range })).rejects.toThrow(RangeError)
    }
  })

  it('says clearly that an object is not there', async () => {
    const { storage } = await open()
    await expect(storage.read(newKey())).rejects.toThrow(MissingObjectError)
    expect(await storage.stat(newKey())).toBe(null)
  })

  it('writes anew under a key; who reads the old object has it to its end', async () => {
    const { storage } = await open()
    const [key, first, second] = [newKey(), randomBytes(3 * MIB), randomBytes(2 * MIB)]
    await storage.write(key, Readable.from([first]), anyLength)
    const { stream } = await storage.read(key)
    await storage.write(key, Readable.from([second]), anyLength)
    expect(sha256(await buffer(stream))).toBe(sha256(first))
    expect(sha256(await bytesOf(storage, key))).toBe(sha256(second))
  })

  it.each([
    ['small', 1000],
    ['of several parts', 20 * MIB],
  ])('refuses what is too large and keeps nothing of it: %s', async (_, maxBytes) => {
    const opened = await open()
    const key = newKey()
    const chunks = [randomBytes(maxBytes), Buffer.from('x')]
    await expect(opened.storage.write(key, Readable.from(chunks), { maxBytes })).rejects.toThrow(ObjectTooLargeError)
    await expectNothing(opened, key)
    await opened.storage.write(key, Readable.from([randomBytes(maxBytes)]), { maxBytes })
  })

  it('keeps nothing of what breaks off, and says why', async () => {
    const opened = await open()
    for (const size of [10, 20 * MIB]) {
      const key = newKey()
      const source = Readable.from(failing(randomBytes(size)))
      await expect(opened.storage.write(key, source, anyLength)).rejects.toThrow('the sender broke off')
      await expectNothing(opened, key)
    }
  })

  it('ends a write that is given up, also while its source stalls, and keeps nothing', async () => {
    const opened = await open()
    for (const size of [10, 20 * MIB]) {
      const [key, source, giveUp] = [newKey(), stalling(randomBytes(size)), new AbortController()]
      const writing = opened.storage.write(key, source, { ...anyLength, signal: giveUp.signal })
      await eventually(() => expect(source.readableLength).toBe(0))
      giveUp.abort(new Error('enough'))
      await expect(writing).rejects.toThrow('enough')
      expect(source.destroyed).toBe(true)
      await expectNothing(opened, key)
    }
  })

  it('ends a read that is given up', async () => {
    const { storage } = await open()
    const [key, giveUp] = [newKey(), new AbortController()]
    await storage.write(key, Readable.from([randomBytes(10 * MIB)]), anyLength)
    const { stream } = await storage.read(key, { signal: giveUp.signal })
    const reading = buffer(stream)
    giveUp.abort(new Error('enough'))
    await expect(reading).rejects.toThrow()
    expect(stream.destroyed).toBe(true)
  })

  it('harms nobody by a read that is given up before anybody reads', async () => {
    const { storage } = await open()
    const key = newKey()
    await storage.write(key, Readable.from([randomBytes(1000)]), anyLength)
    for (const isBefore of [true, false]) {
      const giveUp = new AbortController()
      if (isBefore) giveUp.abort()
      const reading = storage.read(key, { signal: giveUp.signal })
      const found = await reading.catch(() => null)
      giveUp.abort()
      if (found === null) continue
      // Guards: the failure of a stream without a listener ends the process.
      await new Promise((resolve) => (found.stream.closed ? resolve(null) : found.stream.once('close', resolve)))
      await expect(buffer(found.stream)).rejects.toThrow()
    }
  })

  it('reads no further ahead than a little of what nobody takes', async () => {
    const { storage } = await open()
    const key = newKey()
    let given = 0
    const source = new Readable({
      read() {
        given += 64 * 1024
        this.push(given <= 60 * MIB ? Buffer.alloc(64 * 1024) : null)
      },
    })
    await storage.write(key, source, anyLength)
    const { stream } = await storage.read(key)
    stream.once('readable', () => {})
    await eventually(() => expect(stream.readableLength).toBeGreaterThan(0))
    expect(stream.readableLength).toBeLessThan(MIB)
    stream.destroy()
  })

  it('deletes many, and what is not there, as often as one likes', async () => {
    const { storage } = await open()
    const keys = Array.from({ length: 40 }, newKey)
    for (const key of keys) await storage.write(key, Readable.from([Buffer.from('x')]), anyLength)
    await storage.delete([])
    await storage.delete([...keys.slice(1), newKey()])
    await storage.delete(keys.slice(1))
    const left = await keysOf(storage)
    expect(keys.filter((key) => left.includes(key))).toEqual(keys.slice(0, 1))
  })

  it('lists every object once, page by page', async () => {
    const { storage } = await open()
    const keys = Array.from({ length: 25 }, newKey)
    for (const key of keys) await storage.write(key, Readable.from([Buffer.from('four')]), anyLength)
    const listed = (await keysOf(storage, 7)).filter((key) => keys.includes(key))
    expect(listed.sort()).toEqual(keys.sort())
    const { objects } = await storage.list({ after: null, limit: 1000 })
    const one = objects.find(({ key }) => key === keys[0])
    expect(one?.sizeBytes).toBe(4)
    expect(Math.abs(Date.now() - (one?.modifiedAt.getTime() ?? 0))).toBeLessThan(60_000)
  })

  it.each([
    '',
    '.',
    '..',
    '../outside',
    'a/../../outside',
    'a/..',
    '/etc/passwd',
    'a//b',
    'a/',
    'a\\..\\b',
    'a\0b',
    'a b',
    'Upper',
    '%2e%2e/x',
    '.hidden',
    'a/.hidden',
    'x.info',
    'x.part',
    'ş',
    'x'.repeat(201),
  ])('refuses a key that could leave its root: %j', async (key) => {
    const { storage } = await open()
    const source = Readable.from([Buffer.from('x')])
    await expect(storage.write(key, source, anyLength)).rejects.toThrow(TypeError)
    await expect(storage.read(key)).rejects.toThrow(TypeError)
    await expect((async () => storage.stat(key))()).rejects.toThrow(TypeError)
    await expect(storage.delete([newKey(), key])).rejects.toThrow(TypeError)
  })
}

describe('files in a folder', () => {
  const open = async (): Promise<Opened & { storage: DiskFileStorage; dir: string }> => {
    const dir = await mkdtemp(join(os.tmpdir(), 'sohbet-test-files-'))
    cleanUps.push(() => rm(dir, { recursive: true, force: true }))
    const storage = await openDiskFileStorage({ dir })
    return { dir, storage, leftovers: async () => (await readdir(join(dir, 'tmp'))).length }
  }

  behavesAsAFileStorage(open)

  it('shows nothing of a write whose process was killed, and sweeps what it left once that is old', async () => {
    const { dir, storage, leftovers } = await open()
    const writer = fileURLToPath(new URL('../support/endless-writer.ts', import.meta.url))
    const child = spawn(process.execPath, [writer, dir, newKey()], { stdio: ['ignore', 'pipe', 'inherit'] })
    cleanUps.push(() => child.kill('SIGKILL'))
    // It says so when a megabyte of it has been taken.
    await new Promise((resolve) => child.stdout.once('data', resolve))
    const killed = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGKILL')
    await killed
    expect(await leftovers()).toBe(1)
    expect(await keysOf(storage)).toEqual([])
    expect(await storage.removeStale(new Date(Date.now() - 60_000))).toBe(0)
    const [name = ''] = await readdir(join(dir, 'tmp'))
    const yesterday = new Date(Date.now() - 86_400_000)
    await utimes(join(dir, 'tmp', name), yesterday, yesterday)
    expect(await storage.removeStale(new Date(Date.now() - 60_000))).toBe(1)
    expect(await leftovers()).toBe(0)
  })

  it('has no urls of its own', async () => {
    const { storage } = await open()
    const options = { expiresAt: new Date(), contentType: 'image/png', contentDisposition: 'inline', cacheControl: '' }
    expect(await storage.presignDownload(newKey(), options)).toBe(null)
  })
})

describe('files in S3', () => {
  let s3: TestS3
  beforeAll(async () => {
    s3 = await startTestS3()
  })
  afterAll(() => s3.stop())

  const openWith = async (options: Partial<S3Options> = {}): Promise<Opened & { storage: S3FileStorage }> => {
    const storage = new S3FileStorage({ ...s3.options, ...options })
    cleanUps.push(() => storage.close())
    const before = await s3.openUploads()
    return { storage, leftovers: async () => (await s3.openUploads()) - before }
  }

  behavesAsAFileStorage(openWith)

  it('presigns downloads with what the answer is to say, at the address that clients know', async () => {
    const { storage } = await openWith({ publicEndpoint: s3.endpoint.replace('127.0.0.1', 'localhost') })
    const [key, bytes] = [newKey(), randomBytes(1000)]
    await storage.write(key, Readable.from([bytes]), anyLength)
    const options = {
      expiresAt: new Date(Date.now() + 600_000),
      contentType: 'image/png',
      contentDisposition: `attachment; filename*=UTF-8''g%C3%BCne%C5%9F.png`,
      cacheControl: 'private, max-age=60',
    }
    const url = (await storage.presignDownload(key, options)) ?? ''
    expect(new URL(url).hostname).toBe('localhost')
    expect(await storage.presignDownload(key, options)).toBe(url)
    const response = await fetch(url.replace('localhost', '127.0.0.1'), { headers: { host: new URL(url).host } })
    expect(response.status).toBe(403) // the host is signed too, and fetch sends its own
    const answer = await fetch(url)
    expect(answer.status).toBe(200)
    expect(Object.fromEntries(answer.headers)).toMatchObject({
      'content-type': 'image/png',
      'content-disposition': options.contentDisposition,
      'cache-control': options.cacheControl,
    })
    expect(Buffer.from(await answer.arrayBuffer())).toEqual(bytes)
    expect((await fetch(url.replace(/(X-Amz-Signature=)./, '$1_'))).status).toBe(403)
    expect((await fetch(url.replace(encodeURIComponent(options.cacheControl), 'public'))).status).toBe(403)
  })

  it('gives up the parts of writers that are gone', async () => {
    const { storage, leftovers } = await openWith()
    const key = newKey()
    const giveUp = new AbortController()
    cleanUps.push(() => giveUp.abort())
    const writing = storage.write(key, stalling(randomBytes(20 * MIB)), { ...anyLength, signal: giveUp.signal })
    writing.catch(() => {})
    await eventually(async () => expect(await leftovers()).toBe(1))
    expect(await storage.removeStale(new Date(Date.now() - 60_000))).toBe(0)
    expect(await storage.removeStale(new Date(Date.now() + 60_000))).toBe(1)
    expect(await leftovers()).toBe(0)
    expect(await keysOf(storage)).not.toContain(key)
  })

  describe('that fails', () => {
    const openBehindGate = async () => {
      const gate = await startTcpGate(s3.endpoint)
      cleanUps.push(() => gate.close())
      const endpoint = gate.url.replace(/\/$/, '')
      return { gate, ...(await openWith({ endpoint, timeoutMs: 300 })) }
    }

    it.each([10, 20 * MIB])('ends a write of %i bytes with an error, and nothing of it is there', async (size) => {
      for (const fault of ['shut', 'silence'] as const) {
        const { gate, storage } = await openBehindGate()
        const key = newKey()
        await gate[fault]()
        await expect(storage.write(key, Readable.from([randomBytes(size)]), anyLength)).rejects.toThrow(
          StorageUnavailableError,
        )
        await gate.open()
        await expect(storage.read(key)).rejects.toThrow(MissingObjectError)
      }
    })

    it('ends a write whose server falls silent between its parts', async () => {
      const { gate, storage, leftovers } = await openBehindGate()
      const key = newKey()
      const [parts, rest] = [randomBytes(8 * MIB), randomBytes(12 * MIB)]
      async function* source() {
        yield parts
        yield Buffer.alloc(1) // the first part is complete with it
        await eventually(async () => expect(await leftovers()).toBe(1))
        gate.silence()
        yield rest
      }
      await expect(storage.write(key, Readable.from(source()), anyLength)).rejects.toThrow(StorageUnavailableError)
      await gate.open()
      await expect(storage.read(key)).rejects.toThrow(MissingObjectError)
      // Nobody could tell it to give them up: the sweep does.
      await storage.removeStale(new Date(Date.now() + 60_000))
      expect(await leftovers()).toBe(0)
    })

    it('ends a read whose server falls silent, or breaks off, in the middle', async () => {
      for (const fault of ['shut', 'silence'] as const) {
        const { gate, storage } = await openBehindGate()
        const key = newKey()
        await storage.write(key, Readable.from([randomBytes(30 * MIB)]), anyLength)
        const { stream } = await storage.read(key)
        const chunks = stream[Symbol.asyncIterator]()
        await chunks.next()
        await gate[fault]()
        const readOn = async () => {
          while (!(await chunks.next()).done);
        }
        await expect(readOn()).rejects.toThrow(StorageUnavailableError)
      }
    })

    it('ends what only asks, too', async () => {
      const { gate, storage } = await openBehindGate()
      gate.silence()
      const key = newKey()
      for (const ask of [
        () => storage.stat(key),
        () => storage.read(key),
        () => storage.delete([key]),
        () => storage.list({ after: null, limit: 1 }),
        () => storage.removeStale(new Date()),
      ]) {
        await expect(ask()).rejects.toThrow(StorageUnavailableError)
      }
    })

    it('does not take a missing bucket, or a key that counts no more, for a missing object', async () => {
      const elsewhere = (await openWith({ bucket: 'another-bucket' })).storage
      await expect(elsewhere.read(newKey())).rejects.toThrow(StorageUnavailableError)
      const credentials = { accessKeyId: 'S3RVER', secretAccessKey: 'wrong' }
      const stranger = (await openWith({ credentials })).storage
      await expect(stranger.read(newKey())).rejects.toThrow(StorageUnavailableError)
      await expect(stranger.stat(newKey())).rejects.toThrow(StorageUnavailableError)
    })
  })
})
