import sharp from 'sharp'
import { describe, expect, it } from 'vitest'
import { photo, pixelsOf, SECRET, withMetadata } from '../../test/support/image-samples.ts'
import { box, mp4 } from '../../test/support/media-samples.ts'
import { bytesInMemory } from '../../test/support/object-bytes.ts'
import { applyPatches, patched } from './byte-patches.ts'
import { inspectMedia } from './inspect-media.ts'
import { inspectIsoFile } from './strip-video.ts'

const PLACE = '+41.0256+028.9741/'

async function strip(file: Buffer): Promise<Buffer> {
  return patched(file, (await inspectIsoFile(bytesInMemory(file))).patches)
}

describe('inspectIsoFile', () => {
  it('takes out where a film was made, and moves nothing', async () => {
    const film = mp4({ seconds: 4, place: PLACE })
    expect(film.includes(PLACE)).toBe(true)
    const stripped = await strip(film)
    expect(stripped.includes(PLACE)).toBe(false)
    expect(stripped.includes('udta')).toBe(false)
    expect(stripped.length).toBe(film.length)
    // Everything before what was taken out, picture and tables, is as it was.
    const end = film.indexOf('udta')
    expect(stripped.subarray(0, end).equals(film.subarray(0, end))).toBe(true)
    expect(await inspectMedia(bytesInMemory(stripped), 'video/mp4')).toMatchObject({ durationMs: 4000 })
  })

  it('takes out XMP and what cameras write into the film and its tracks', async () => {
    const xmp = box('uuid', Buffer.from('be7acfcb97a942e89c71999491e3afac', 'hex'), Buffer.from(SECRET))
    const other = box('uuid', Buffer.alloc(16, 9), Buffer.from('part of the film'))
    const film = Buffer.concat([mp4(), xmp, other, box('udta', Buffer.from(SECRET))])
    const stripped = await strip(film)
    expect(stripped.includes(SECRET)).toBe(false)
    expect(stripped.includes('part of the film')).toBe(true)
    const index = film.lastIndexOf('moov') - 4
    const camera = box('meta', Buffer.from(SECRET))
    const moov = box('moov', film.subarray(index + 8, index + film.readUInt32BE(index)), camera, box('trak', camera))
    expect((await strip(Buffer.concat([film.subarray(0, index), moov]))).includes(SECRET)).toBe(false)
  })

  it('has nothing to do for a film that says nothing', async () => {
    expect((await inspectIsoFile(bytesInMemory(mp4()))).patches).toEqual([])
  })

  it('tells the size as it is shown', async () => {
    const upright = mp4({ width: 1920, height: 1080, isTurned: true, hasSound: true })
    expect((await inspectIsoFile(bytesInMemory(upright))).size).toEqual({ width: 1080, height: 1920 })
    expect((await inspectIsoFile(bytesInMemory(mp4()))).size).toEqual({ width: 640, height: 360 })
    expect((await inspectIsoFile(bytesInMemory(mp4({ hasPicture: false, hasSound: true })))).size).toBeNull()
  })

  it('reads only the index of a large film', async () => {
    const film = bytesInMemory(mp4({ place: PLACE, dataBytes: 30_000_000 }), { chunkBytes: 4096 })
    expect((await inspectIsoFile(film)).patches).not.toEqual([])
    expect(film.bytesRead).toBeLessThan(100_000)
  })

  it('takes Exif and XMP out of a picture of this family', async () => {
    const file = await withMetadata(photo(120, 80)).avif().toBuffer()
    expect(file.includes(SECRET)).toBe(true)
    const stripped = await strip(file)
    expect(stripped.includes(SECRET)).toBe(false)
    expect(stripped.length).toBe(file.length)
    expect((await sharp(stripped).metadata()).exif).toBeUndefined()
    expect((await pixelsOf(stripped)).equals(await pixelsOf(file))).toBe(true)
  })

  it('survives any broken byte and any end', async () => {
    const film = mp4({ place: PLACE, dataBytes: 10 })
    for (let at = 0; at < film.length; at++) {
      const broken = Buffer.from(film)
      broken[at] = (broken[at] ?? 0) ^ 0xff
      await inspectIsoFile(bytesInMemory(broken))
      await inspectIsoFile(bytesInMemory(film.subarray(0, at)))
    }
  })
})

describe('applyPatches', () => {
  it('does as to the whole file, however it is cut', async () => {
    const file = Buffer.from('abcdefghijklmnopqrstuvwxyz')
    const patches = [
      { at: 20, bytes: Buffer.from('UVWXYZ') },
      { at: 0, bytes: Buffer.from('A') },
      { at: 5, bytes: Buffer.from('FGHIJKL') },
      { at: 12, bytes: Buffer.from('M') },
    ]
    const expected = patched(file, patches).toString()
    expect(expected).toBe('AbcdeFGHIJKLMnopqrstUVWXYZ')
    for (let chunkBytes = 1; chunkBytes <= file.length; chunkBytes++) {
      const source = await bytesInMemory(file, { chunkBytes }).open()
      const chunks = await source.pipe(applyPatches(patches)).toArray()
      expect(Buffer.concat(chunks).toString()).toBe(expected)
    }
    expect(file.toString()).toBe('abcdefghijklmnopqrstuvwxyz')
  })
})
