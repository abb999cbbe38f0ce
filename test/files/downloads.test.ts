import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import os from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { parse as parseDisposition } from 'content-disposition'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createDownloadRoute } from '../../src/files/download-route.ts'
import type { ServableFile } from '../../src/files/file-lookup.ts'
import type { FileStorage } from '../../src/files/file-storage.ts'
import { openDiskFileStorage } from '../../src/files/file-storage-disk.ts'
import { S3FileStorage } from '../../src/files/file-storage-s3.ts'
import { createUrlSigner, FILES_PATH } from '../../src/files/signed-url.ts'
import { newId } from '../../src/platform/ids.ts'
import { eventually } from '../support/eventually.ts'
import { authenticateByName, type FileHost, silentLogger, startFileHost } from '../support/file-host.ts'
import { KnownFiles } from '../support/known-files.ts'
import { startTestS3, type TestS3 } from '../support/s3-server.ts'
import { startTcpGate, type TcpGate } from '../support/tcp-gate.ts'

const TTL_MS = 3_600_000
const clock = { nowMs: Date.now(), now: () => clock.nowMs }
const signer = createUrlSigner({ secret: 'a secret of the tests, long enough', ttlMs: TTL_MS, clock })
const BYTES = randomBytes(100_000)

const files = new KnownFiles()

async function startDownloads(storage: FileStorage, stalledMs?: number): Promise<FileHost> {
  const route = createDownloadRoute({
    ...{ files, storage, signer, authenticate: authenticateByName, clock, logger: silentLogger },
    ...(stalledMs === undefined ? {} : { stalledMs }),
    corsOrigins: ['https://app.example.com'],
  })
  return startFileHost([{ prefix: FILES_PATH, route }])
}

let dir: string
let storage: FileStorage
let host: FileHost

beforeAll(async () => {
  dir = await mkdtemp(join(os.tmpdir(), 'sohbet-test-downloads-'))
  storage = await openDiskFileStorage({ dir })
  host = await startDownloads(storage)
})

afterAll(async () => {
  await host?.close()
  await rm(dir, { recursive: true, force: true })
})

async function stored(file: Partial<ServableFile> = {}, bytes = BYTES) {
  const known = files.add({ sizeBytes: bytes.length, ...file })
  await storage.write(known.file.objectKey, Readable.from([bytes]), { maxBytes: bytes.length })
  const path = signer.sign({ attachmentId: known.id, rendition: 'original', name: known.file.name })
  return { ...known, path, url: host.url + path }
}

const bodyOf = async (response: Response) => Buffer.from(await response.arrayBuffer())
const errorOf = async (response: Response) => {
  expect(response.headers.get('content-type')).toBe('application/json; charset=utf-8')
  expect(response.headers.get('cache-control')).toBe('no-store')
  return { status: response.status, code: (await response.json()).error.code }
}

describe('a signed url', () => {
  it('gives the file, to be kept by its reader alone until the url expires', async () => {
    const { url, file } = await stored()
    const response = await fetch(url)
    expect(response.status).toBe(200)
    expect(await bodyOf(response)).toEqual(BYTES)
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'content-type': 'image/png',
      'content-length': '100000',
      'content-disposition': 'inline; filename=cat.png',
      etag: file.etag,
      'accept-ranges': 'bytes',
      'x-content-type-options': 'nosniff',
      'content-security-policy': "sandbox; default-src 'none'; frame-ancestors 'none'",
      'cross-origin-resource-policy': 'cross-origin',
    })
    const [, maxAge] = /^private, max-age=(\d+), immutable$/.exec(response.headers.get('cache-control') ?? '') ?? []
    expect(Number(maxAge) * 1000).toBeGreaterThan(TTL_MS - 1000)
    expect(Number(maxAge) * 1000).toBeLessThanOrEqual(2 * TTL_MS)
  })

  it('answers HEAD with the same headers and nothing else', async () => {
    const { url } = await stored()
    const [get, head] = await Promise.all([fetch(url), fetch(url, { method: 'HEAD' })])
    await get.arrayBuffer()
    // fetch keeps no connection after HEAD.
    const ofConnection = { connection: '', date: '', 'keep-alive': '' }
    const headersOf = (response: Response) => ({ ...Object.fromEntries(response.headers), ...ofConnection })
    expect(headersOf(head)).toEqual(headersOf(get))
    expect((await bodyOf(head)).length).toBe(0)
  })

  it('is refused when it was changed, and when it has expired, whether there is such a file or not', async () => {
    const { url, id } = await stored()
    const changed = url.replace(/signature=./, 'signature=_')
    expect(await errorOf(await fetch(changed))).toEqual({ status: 403, code: 'URL_INVALID' })
    expect(await errorOf(await fetch(changed.replace(id, newId())))).toEqual({ status: 403, code: 'URL_INVALID' })
    expect(await errorOf(await fetch(url.replace(id, newId())))).toEqual({ status: 403, code: 'URL_INVALID' })
    expect(await errorOf(await fetch(url.replace('original', 'thumbnail')))).toEqual({
      status: 403,
      code: 'URL_INVALID',
    })
    const absent = host.url + signer.sign({ attachmentId: newId(), rendition: 'original', name: 'x' })
    expect(await errorOf(await fetch(absent))).toEqual({ status: 404, code: 'NOT_FOUND' })
    clock.nowMs += 2 * TTL_MS
    try {
      expect(await errorOf(await fetch(url))).toEqual({ status: 410, code: 'URL_EXPIRED' })
      expect(await errorOf(await fetch(absent))).toEqual({ status: 410, code: 'URL_EXPIRED' })
    } finally {
      clock.nowMs -= 2 * TTL_MS
    }
  })

  it('counts also beside a token that may see nothing', async () => {
    const { url } = await stored()
    expect((await fetch(url, { headers: { authorization: 'Bearer bob' } })).status).toBe(200)
  })

  it.each(['POST', 'PUT', 'DELETE', 'PATCH'])('is for reading: %s', async (method) => {
    const { url } = await stored()
    expect((await fetch(url, { method })).status).toBe(405)
  })

  it('is no way to other files of the machine', async () => {
    for (const path of [
      '/files/../../etc/passwd',
      '/files/%2e%2e/%2e%2e/etc/passwd',
      '/files/..%2f..%2fetc%2fpasswd/x',
    ]) {
      expect(await rawStatus(host.url, path)).toMatch(/ 40[134] /)
    }
  })
})

describe('a token', () => {
  const as = (user: string) => ({ headers: { authorization: `Bearer ${user}` } })

  it('gives the file to who may see it, and says nothing of it to others', async () => {
    const { url } = await stored()
    const plain = url.replace(/\?.*/, '')
    const response = await fetch(plain, as('ada'))
    expect(response.status).toBe(200)
    expect(response.headers.get('cache-control')).toBe('private, no-cache')
    expect(await bodyOf(response)).toEqual(BYTES)
    const absent = `${host.url}/files/${newId()}/original/x`
    for (const path of [plain, absent]) {
      expect(await errorOf(await fetch(path, as('bob')))).toEqual({ status: 404, code: 'NOT_FOUND' })
      expect(await errorOf(await fetch(path))).toEqual({ status: 401, code: 'UNAUTHENTICATED' })
      expect(await errorOf(await fetch(path, as('expired')))).toEqual({ status: 401, code: 'TOKEN_EXPIRED' })
    }
  })
})

describe('what a browser makes of a file', () => {
  it.each([
    ['image/png', true, 'inline', 'image/png'],
    ['image/webp', true, 'inline', 'image/webp'],
    ['video/mp4', true, 'inline', 'video/mp4'],
    ['audio/mpeg', true, 'inline', 'audio/mpeg'],
    // An image that could not be decoded is none.
    ['image/png', false, 'attachment', 'image/png'],
    ['application/pdf', true, 'attachment', 'application/pdf'],
    ['application/zip', false, 'attachment', 'application/zip'],
    // All that follows would run, or might be taken for what runs, whatever the lookup says of it.
    ['image/svg+xml', true, 'attachment', 'application/octet-stream'],
    ['text/html', true, 'attachment', 'application/octet-stream'],
    ['text/html; charset=utf-8', true, 'attachment', 'application/octet-stream'],
    ['application/xhtml+xml', true, 'attachment', 'application/octet-stream'],
    ['text/xml', true, 'attachment', 'application/octet-stream'],
    ['text/javascript', true, 'attachment', 'application/octet-stream'],
    ['text/plain', true, 'attachment', 'application/octet-stream'],
    ['text/css', true, 'attachment', 'application/octet-stream'],
    ['application/x-shockwave-flash', true, 'attachment', 'application/octet-stream'],
    ['application/vnd.mozilla.xul+xml', true, 'attachment', 'application/octet-stream'],
    ['IMAGE/SVG+XML', true, 'attachment', 'application/octet-stream'],
    ['image/png\r\nx-evil: 1', true, 'attachment', 'application/octet-stream'],
    ['', true, 'attachment', 'application/octet-stream'],
  ])('%s (safe: %s) is shown as %s, %s', async (contentType, isInlineSafe, disposition, sent) => {
    const { url } = await stored({ contentType, isInlineSafe })
    const { headers, status } = await fetch(url)
    expect(status).toBe(200)
    expect(headers.get('content-type')).toBe(sent)
    expect(parseDisposition(headers.get('content-disposition') ?? '').type).toBe(disposition)
    expect(headers.get('x-content-type-options')).toBe('nosniff')
    expect(headers.get('content-security-policy')).toMatch(/^sandbox; default-src 'none'/)
    expect(headers.get('x-evil')).toBe(null)
  })

  it.each([
    ['a cat.png', 'a cat.png'],
    ['şöyle böyle, "güzel".png', 'şöyle böyle, "güzel".png'],
    ['写真 👩‍👩‍👧.jpg', '写真 👩‍👩‍👧.jpg'],
    ["it's 100%; done.txt", "it's 100%; done.txt"],
    ['a\r\nset-cookie: x=1.png', 'a__set-cookie: x=1.png'],
    ['../../etc/passwd', '.._.._etc_passwd'],
    ['C:\\Windows\\x.exe', 'C:_Windows_x.exe'],
    // Shown from right to left it would end in .png.
    ['x\u202egnp.exe', 'x_gnp.exe'],
    ['\ud800.png', '\ufffd.png'],
    ['', 'file'],
  ])('keeps the name, whatever it is: %j', async (name, kept) => {
    const { url } = await stored({ name })
    const { headers, status } = await fetch(url)
    expect(status).toBe(200)
    expect(parseDisposition(headers.get('content-disposition') ?? '').parameters.filename).toBe(kept)
    expect(headers.get('set-cookie')).toBe(null)
  })
})

describe('a part of a file', () => {
  it.each([
    ['bytes=0-0', 0, 0],
    ['bytes=10-19', 10, 19],
    ['bytes=99990-', 99_990, 99_999],
    ['bytes=-10', 99_990, 99_999],
    ['bytes=99990-200000', 99_990, 99_999],
  ])('%s', async (range, start, end) => {
    const { url } = await stored()
    const response = await fetch(url, { headers: { range } })
    expect(response.status).toBe(206)
    expect(response.headers.get('content-range')).toBe(`bytes ${start}-${end}/100000`)
    expect(response.headers.get('content-length')).toBe(String(end - start + 1))
    expect(await bodyOf(response)).toEqual(BYTES.subarray(start, end + 1))
  })

  it.each(['bytes=0-1,5-6', 'bytes=x', 'rows=1-2', 'bytes', ''])('is the whole: %j', async (range) => {
    const { url } = await stored()
    const response = await fetch(url, { headers: { range } })
    expect([response.status, (await bodyOf(response)).length]).toEqual([200, 100_000])
  })

  it('beyond the end is refused, with the length', async () => {
    const { url } = await stored()
    const response = await fetch(url, { headers: { range: 'bytes=100000-' } })
    expect(response.headers.get('content-range')).toBe('bytes */100000')
    expect(await errorOf(response)).toEqual({ status: 416, code: 'RANGE_NOT_SATISFIABLE' })
  })

  it('is given only of the file that its reader has the rest of', async () => {
    const { url, file } = await stored()
    const statusFor = async (ifRange: string) =>
      (await fetch(url, { headers: { range: 'bytes=0-1', 'if-range': ifRange } })).status
    expect(await statusFor(file.etag)).toBe(206)
    for (const other of ['"other"', `W/${file.etag}`, new Date().toUTCString()])
      expect(await statusFor(other)).toBe(200)
  })
})

describe('a file that its reader has already', () => {
  it('is not sent again', async () => {
    const { url, file } = await stored()
    for (const match of [file.etag, `W/${file.etag}`, `"other", ${file.etag}`, '*']) {
      const response = await fetch(url, { headers: { 'if-none-match': match } })
      expect([response.status, (await bodyOf(response)).length]).toEqual([304, 0])
      expect(response.headers.get('etag')).toBe(file.etag)
    }
    expect((await fetch(url, { headers: { 'if-none-match': '"other"' } })).status).toBe(200)
  })
})

describe('pages of other origins', () => {
  it('may read files where they are allowed, with a token and in parts', async () => {
    const { url } = await stored()
    const origin = 'https://app.example.com'
    const preflight = await fetch(url, { method: 'OPTIONS', headers: { origin } })
    expect(preflight.status).toBe(204)
    expect(preflight.headers.get('access-control-allow-origin')).toBe(origin)
    expect(preflight.headers.get('access-control-allow-headers')).toContain('authorization')
    expect(preflight.headers.get('access-control-allow-headers')).toContain('range')
    const allowed = await fetch(url, { headers: { origin } })
    expect(allowed.headers.get('access-control-allow-origin')).toBe(origin)
    expect(allowed.headers.get('access-control-expose-headers')).toContain('content-range')
    expect(allowed.headers.get('vary')).toBe('Origin')
    const other = await fetch(url, { headers: { origin: 'https://evil.example.com' } })
    expect(other.headers.get('access-control-allow-origin')).toBe(null)
  })
})

describe('a storage that fails', () => {
  it('is no missing file, and a missing object no failure', async () => {
    const { id, file } = files.add({ sizeBytes: BYTES.length })
    const url = host.url + signer.sign({ attachmentId: id, rendition: 'original', name: file.name })
    expect(await errorOf(await fetch(url))).toEqual({ status: 404, code: 'NOT_FOUND' })
  })
})

describe('with S3', () => {
  let s3: TestS3
  let gate: TcpGate
  beforeAll(async () => {
    s3 = await startTestS3()
    gate = await startTcpGate(s3.endpoint)
  })
  afterAll(async () => {
    await gate?.close()
    await s3?.stop()
  })

  async function onS3(publicEndpoint: string | null) {
    const bucket = new S3FileStorage({
      ...s3.options,
      publicEndpoint,
      endpoint: gate.url.replace(/\/$/, ''),
      timeoutMs: 300,
    })
    const s3Host = await startDownloads(bucket)
    const known = files.add({ name: 'şekil.png', sizeBytes: BYTES.length })
    await bucket.write(known.file.objectKey, Readable.from([BYTES]), { maxBytes: BYTES.length })
    const path = signer.sign({ attachmentId: known.id, rendition: 'original', name: known.file.name })
    const close = async () => {
      await s3Host.close()
      await bucket.close()
    }
    return { ...known, url: s3Host.url + path, close }
  }

  it('sends readers to the bucket, which says the same of the file', async () => {
    const { url, close } = await onS3(s3.endpoint)
    try {
      const redirect = await fetch(url, { redirect: 'manual' })
      expect(redirect.status).toBe(302)
      expect(redirect.headers.get('location')).toMatch(new RegExp(`^${s3.endpoint}/sohbet-files/`))
      const response = await fetch(url, { headers: { range: 'bytes=5-9' } })
      expect(response.status).toBe(206)
      expect(await bodyOf(response)).toEqual(BYTES.subarray(5, 10))
      expect(response.headers.get('content-type')).toBe('image/png')
      const { type, parameters } = parseDisposition(response.headers.get('content-disposition') ?? '')
      expect([type, parameters.filename]).toEqual(['inline', 'şekil.png'])
      expect(response.headers.get('cache-control')).toMatch(/^private, max-age=\d+, immutable$/)
      // A url that is signed for GET is none for HEAD.
      const head = await fetch(url, { method: 'HEAD' })
      expect([head.status, head.redirected, head.headers.get('content-length')]).toEqual([200, false, '100000'])
    } finally {
      await close()
    }
  })

  it('gives the file itself where readers do not reach the bucket, and says when it is away', async () => {
    const { url, close } = await onS3(null)
    try {
      const response = await fetch(url, { headers: { range: 'bytes=-5' }, redirect: 'error' })
      expect(response.status).toBe(206)
      expect(await bodyOf(response)).toEqual(BYTES.subarray(-5))
      gate.silence()
      const failed = await fetch(url)
      expect(failed.headers.get('etag')).toBe(null)
      expect(await errorOf(failed)).toEqual({ status: 503, code: 'UNAVAILABLE' })
    } finally {
      await gate.open()
      await close()
    }
  })
})

/** The status line for a path that fetch would tidy up first. */
function rawStatus(url: string, path: string): Promise<string> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => {
      socket.write(`GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`)
    })
    socket.once('data', (data) => {
      resolve(String(data).split('\r\n')[0] ?? '')
      socket.destroy()
    })
    socket.once('error', reject)
  })
}

describe('a reader who does not read', () => {
  it('keeps no file open for ever: the connection is cut, and one who reads gets all of it', async () => {
    const opened: Readable[] = []
    const watched: FileStorage = {
      ...storage,
      async read(key, options) {
        const found = await storage.read(key, options)
        opened.push(found.stream)
        return found
      },
    }
    const impatient = await startDownloads(watched, 300)
    // More than the connection's own buffers hold.
    const bytes = randomBytes(30_000_000)
    const { path } = await stored({}, bytes)
    const { hostname, port } = new URL(impatient.url)
    const socket = connect(Number(port), hostname)
    try {
      const isCut = once(socket, 'close')
      socket.pause()
      socket.write(`GET ${path} HTTP/1.1\r\nHost: ${hostname}\r\n\r\n`)
      await eventually(() => expect(opened[0]?.destroyed).toBe(true))
      // Only who reads hears of the end.
      socket.on('error', () => {}).resume()
      await isCut
      expect((await bodyOf(await fetch(impatient.url + path))).equals(bytes)).toBe(true)
    } finally {
      socket.destroy()
      await impatient.close()
    }
  })
})
