import { mkdir, mkdtemp, readdir, readFile, rm, utimes } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { photo, pngBomb, SECRET, withMetadata } from '../../test/support/image-samples.ts'
import { mp4, wav } from '../../test/support/media-samples.ts'
import { bytesInMemory } from '../../test/support/object-bytes.ts'
import { createImageProcessor } from './process-image.ts'
import {
  processUpload,
  type ReadyUpload,
  type RefusedUpload,
  sweepTempFolders,
  type UploadTools,
} from './process-upload.ts'
import type { VirusScanner } from './virus-scanner.ts'

const images = createImageProcessor({
  limits: { maxPixels: 50_000_000, maxAnimationPixels: 50_000_000, maxFrames: 50 },
  renditionSizes: [160, 640],
  maxConcurrent: 2,
  timeoutMs: 60_000,
})

let tempDir: string

beforeEach(async () => {
  tempDir = await mkdtemp(join(tmpdir(), 'sohbet-upload-'))
})

afterEach(async () => {
  // Whatever became of the upload.
  expect(await readdir(tempDir)).toEqual([])
  await rm(tempDir, { recursive: true })
})

function tools(overrides: Partial<UploadTools> = {}): UploadTools {
  return { images, scanner: null, allowedTypes: ['*/*'], maxImageBytes: 1_000_000, tempDir, ...overrides }
}

interface Seen {
  result: ReadyUpload | RefusedUpload
  /** What would be kept. */
  kept: Buffer
}

function see(file: Buffer, claimedType: string | null = null, overrides: Partial<UploadTools> = {}): Promise<Seen> {
  const upload = { bytes: bytesInMemory(file), claimedType }
  return processUpload(upload, tools(overrides), async (result) => {
    const cleaned = result.status === 'READY' ? await result.cleaned?.open() : undefined
    const kept = cleaned === undefined ? file : Buffer.concat(await cleaned.toArray())
    if (result.status === 'READY' && result.cleaned) expect(kept.length).toBe(result.cleaned.sizeBytes)
    return { result, kept }
  })
}

describe('processUpload', () => {
  it('makes a photo ready: without its place, with renditions', async () => {
    const file = await withMetadata(photo(400, 300), 6).jpeg().toBuffer()
    const upload = { bytes: bytesInMemory(file), claimedType: 'image/jpeg' }
    await processUpload(upload, tools(), async (result) => {
      expect(result).toMatchObject({
        ...{ status: 'READY', contentType: 'image/jpeg', kind: 'IMAGE', isInlineSafe: true, width: 300, height: 400 },
        ...{ isAnimated: false, durationMs: null, placeholder: expect.any(String) },
      })
      if (result.status !== 'READY') return
      expect(result.renditions.map(({ name }) => name)).toEqual(['160', '640'])
      for (const { path, width } of result.renditions) {
        expect(await sharp(await readFile(path)).metadata()).toMatchObject({ format: 'webp', width })
      }
    })
    expect((await see(file)).kept.includes(SECRET)).toBe(false)
  })

  it('makes a sound ready, without its place and with its title', async () => {
    const sound = mp4({ hasPicture: false, hasSound: true, place: SECRET, title: 'Garden song' })
    const { result, kept } = await see(sound, 'audio/mp4')
    expect(result).toMatchObject({ status: 'READY', kind: 'AUDIO', contentType: 'audio/mp4' })
    expect(kept.includes(SECRET)).toBe(false)
    expect(kept.includes('Garden song')).toBe(true)
    expect(kept.length).toBe(sound.length)
  })

  it('makes a film ready, without its place', async () => {
    const film = mp4({ seconds: 4, width: 1280, height: 720, isTurned: true, place: SECRET })
    const { result, kept } = await see(film, 'video/mp4')
    expect(result).toMatchObject({
      ...{ status: 'READY', contentType: 'video/mp4', kind: 'VIDEO', isInlineSafe: true },
      ...{ durationMs: 4000, width: 720, height: 1280, renditions: [] },
    })
    expect(kept.includes(SECRET)).toBe(false)
    expect(kept.length).toBe(film.length)
  })

  it('makes sounds ready, also those in the clothes of a film', async () => {
    const sound = { status: 'READY', kind: 'AUDIO', isInlineSafe: true, width: null, cleaned: null }
    expect((await see(wav(2))).result).toMatchObject({ ...sound, contentType: 'audio/wav', durationMs: 2000 })
    const note = await see(mp4({ hasPicture: false, hasSound: true }), 'audio/mp4', { allowedTypes: ['audio/*'] })
    expect(note.result).toMatchObject({ ...sound, contentType: 'audio/mp4', durationMs: 3000 })
  })

  it.each([
    [
      'a script called a photo',
      '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
      'image/png',
      'image/svg+xml',
    ],
    ['a page called text', '<html><script>alert(1)</script></html>', 'text/plain', 'text/html'],
    ['a page in UTF-16', Buffer.from('\ufeff<html>', 'utf16le'), 'text/plain', 'text/html'],
    ['a script that begins like a GIF', 'GIF89a=1;alert(1)//', 'image/gif', 'text/plain'],
  ])('never lets be shown what a browser would run: %s', async (_case, content, claim, contentType) => {
    const { result } = await see(Buffer.from(content), claim)
    expect(result).toMatchObject({ status: 'READY', kind: 'FILE', contentType, width: null, renditions: [] })
    expect(result).toMatchObject(contentType === 'text/plain' ? { isInlineSafe: true } : { isInlineSafe: false })
    expect((await see(Buffer.from(content), claim, { allowedTypes: ['image/png', 'image/gif'] })).result).toMatchObject(
      {
        status: 'REFUSED',
        reason: 'TYPE_NOT_ALLOWED',
      },
    )
  })

  it('lets a broken image be downloaded, as what it is: bytes', async () => {
    const broken = await photo(50, 50).png().toBuffer()
    broken.fill(0xaa, 60, broken.length - 12)
    const { result, kept } = await see(broken, 'image/png')
    expect(result).toMatchObject({
      ...{ status: 'READY', kind: 'FILE', contentType: 'application/octet-stream', isInlineSafe: false },
      ...{ width: null, cleaned: null, placeholder: null, renditions: [] },
    })
    expect(kept.equals(broken)).toBe(true)
    expect((await see(broken, 'image/png', { allowedTypes: ['image/*'] })).result).toMatchObject({ status: 'REFUSED' })
  })

  it('refuses bombs, and images that are larger than it takes', async () => {
    const tooLarge = { status: 'REFUSED', reason: 'IMAGE_TOO_LARGE' }
    expect((await see(await pngBomb(50_000, 50_000))).result).toMatchObject(tooLarge)
    const file = await photo(300, 300).png().toBuffer()
    expect((await see(file, null, { maxImageBytes: file.length - 1 })).result).toMatchObject(tooLarge)
    expect((await see(file, null, { maxImageBytes: file.length })).result).toMatchObject({ status: 'READY' })
  })

  it('refuses an image that harms its decoder', async () => {
    const slow = createImageProcessor({
      limits: { maxPixels: 50_000_000, maxAnimationPixels: 50_000_000, maxFrames: 50 },
      ...{ renditionSizes: [160], maxConcurrent: 1, timeoutMs: 1 },
    })
    const { result } = await see(await photo(300, 300).png().toBuffer(), null, { images: slow })
    expect(result).toMatchObject({ status: 'REFUSED', reason: 'IMAGE_CORRUPT' })
  })

  it('takes any other file as it is', async () => {
    const file = Buffer.from([1, 2, 3, 4])
    const { result, kept } = await see(file, 'application/x-own')
    expect(result).toMatchObject({
      status: 'READY',
      kind: 'FILE',
      contentType: 'application/octet-stream',
      cleaned: null,
    })
    expect(kept.equals(file)).toBe(true)
    expect((await see(Buffer.alloc(0))).result).toMatchObject({ status: 'READY', kind: 'FILE' })
  })

  describe('with a scanner', () => {
    function scanner(answer: VirusScanner['scan']): { scanner: VirusScanner; scanned: Buffer[] } {
      const scanned: Buffer[] = []
      return {
        scanned,
        scanner: {
          async scan(bytes, sizeBytes, signal) {
            scanned.push(Buffer.concat(await bytes.toArray()))
            return await answer(bytes, sizeBytes, signal)
          },
        },
      }
    }

    it('has every byte scanned, before anything is decoded', async () => {
      const file = await photo(300, 300).png().toBuffer()
      const noImages = { process: () => Promise.reject(new Error('It was decoded')) }
      const infected = scanner(async () => ({ verdict: 'INFECTED', name: 'Mirai' }))
      const { result } = await see(file, null, { ...infected, images: noImages })
      expect(result).toEqual({ status: 'REFUSED', reason: 'INFECTED', message: 'The virus scanner found Mirai' })
      expect(infected.scanned).toEqual([file])
    })

    it('lets nothing pass that is not said to be clean', async () => {
      const file = await photo(30, 30).png().toBuffer()
      const large = scanner(async () => ({ verdict: 'TOO_LARGE' }))
      expect((await see(file, null, large)).result).toMatchObject({ status: 'REFUSED', reason: 'TOO_LARGE_TO_SCAN' })
      const away = scanner(() => Promise.reject(new Error('the scanner is away')))
      await expect(see(file, null, away)).rejects.toThrow('the scanner is away')
      const clean = scanner(async () => ({ verdict: 'CLEAN' }))
      expect((await see(file, null, clean)).result).toMatchObject({ status: 'READY', kind: 'IMAGE' })
    })

    it('has nothing scanned whose type is refused', async () => {
      const unused = scanner(async () => ({ verdict: 'CLEAN' }))
      await see(Buffer.from('text'), null, { ...unused, allowedTypes: ['image/*'] })
      expect(unused.scanned).toEqual([])
    })
  })

  it('passes on what fails: storage, the caller, an abort', async () => {
    const gone = { sizeBytes: 10, open: () => Promise.reject(new Error('no such object')) }
    await expect(processUpload({ bytes: gone, claimedType: null }, tools(), async () => {})).rejects.toThrow(
      'no such object',
    )
    const short = { ...bytesInMemory(Buffer.from('1234')), sizeBytes: 10 }
    await expect(processUpload({ bytes: short, claimedType: null }, tools(), async () => {})).rejects.toThrow('early')
    const upload = { bytes: bytesInMemory(await photo(30, 30).png().toBuffer()), claimedType: null }
    await expect(processUpload(upload, tools(), () => Promise.reject(new Error('full')))).rejects.toThrow('full')
    const stopped = AbortSignal.abort(new Error('stop'))
    await expect(processUpload(upload, tools(), async () => {}, stopped)).rejects.toThrow('stop')
  })
})

describe('sweepTempFolders', () => {
  it('removes what was left long ago, and nothing else', async () => {
    const [old, recent, other] = ['upload-old', 'upload-recent', 'other'].map((name) => join(tempDir, name))
    for (const path of [old, recent, other]) await mkdir(path ?? '')
    for (const path of [old, other]) await utimes(path ?? '', new Date(0), new Date(0))
    expect(await sweepTempFolders(tempDir, 3_600_000)).toBe(1)
    expect((await readdir(tempDir)).sort()).toEqual(['other', 'upload-recent'])
    for (const path of [recent, other]) await rm(path ?? '', { recursive: true })
  })
})
