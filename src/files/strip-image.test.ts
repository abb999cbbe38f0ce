import sharp from 'sharp'
import { describe, expect, it } from 'vitest'
import { frames, photo, pixelsOf, pngChunk, SECRET, withMetadata } from '../../test/support/image-samples.ts'
import { stripGif } from './strip-gif.ts'
import { stripHeif } from './strip-heif.ts'
import { stripJpeg } from './strip-jpeg.ts'
import { stripPng } from './strip-png.ts'
import { stripWebp } from './strip-webp.ts'
import type { StrippedImage } from './stripped-image.ts'

const FORMATS = [
  ['jpeg', stripJpeg],
  ['png', stripPng],
  ['webp', stripWebp],
  ['avif', stripHeif],
] as const

const whole = ({ parts }: StrippedImage): Buffer => Buffer.concat([...parts])

/** A segment of a JPEG. */
function segment(marker: number, content: Buffer): Buffer {
  const header = Buffer.from([0xff, marker, 0, 0])
  header.writeUInt16BE(content.length + 2, 2)
  return Buffer.concat([header, content])
}

describe.each(FORMATS)('%s', (format, strip) => {
  const camera = () => withMetadata(photo(120, 80)).toFormat(format).toBuffer()

  it('loses its metadata and not a pixel', async () => {
    const file = await camera()
    const before = await sharp(file).metadata()
    expect(before).toMatchObject({ exif: expect.any(Buffer), xmp: expect.any(Buffer), icc: expect.any(Buffer) })
    expect(file.includes(SECRET)).toBe(true)

    const stripped = whole(strip(file))
    const after = await sharp(stripped).metadata()
    expect(after.icc).toEqual(before.icc)
    expect(after.exif).toBeUndefined()
    expect(stripped.includes(SECRET)).toBe(false)
    expect(stripped.includes('GPS')).toBe(false)
    expect(stripped.includes('xmpmeta')).toBe(false)
    expect((await pixelsOf(stripped)).equals(await pixelsOf(file))).toBe(true)
  })

  it('stays as it is where there is nothing to be taken out', async () => {
    const clean = whole(strip(await camera()))
    expect(whole(strip(clean)).equals(clean)).toBe(true)
  })

  it('is refused where it is nothing but its beginning, and never read past its end', async () => {
    const file = await camera()
    expect(() => strip(file.subarray(0, 12))).toThrow(/This is no|no picture|no index/)
    for (let length = 0; length < Math.min(file.length, 3000); length += 7) {
      try {
        strip(file.subarray(0, length))
      } catch (error) {
        expect(error).toMatchObject({ name: 'CorruptImageError' })
      }
    }
  })

  it('survives any broken byte', async () => {
    const file = await camera()
    for (let at = 0; at < Math.min(file.length, 2000); at++) {
      const broken = Buffer.from(file)
      broken[at] = (broken[at] ?? 0) ^ 0xff
      try {
        strip(broken)
      } catch (error) {
        expect(error).toMatchObject({ name: 'CorruptImageError' })
      }
    }
  })
})

describe.each([
  ['jpeg', stripJpeg],
  ['png', stripPng],
  ['webp', stripWebp],
] as const)('%s that is to be turned', (format, strip) => {
  it('says so, and nothing else of what it said', async () => {
    for (let orientation = 2; orientation <= 8; orientation++) {
      const file = await withMetadata(photo(60, 40), orientation).toFormat(format).toBuffer()
      const stripped = strip(file)
      expect(stripped.orientation).toBe(orientation)
      const after = await sharp(whole(stripped)).metadata()
      expect(after.orientation).toBe(orientation)
      expect(after.exif?.length).toBeLessThan(40)
      expect(whole(stripped).includes(SECRET)).toBe(false)
    }
  })
})

describe('jpeg', () => {
  it('loses comments, IPTC, embedded thumbnails, and what stands behind its end', async () => {
    const file = await photo(60, 40).jpeg().toBuffer()
    const jfif = Buffer.concat([
      Buffer.from('JFIF\0\x01\x02\0\0\x01\0\x01\x02\x01', 'latin1'),
      Buffer.from(SECRET.slice(0, 6)),
    ])
    const extended = Buffer.concat([
      file.subarray(0, 2),
      segment(0xe0, jfif),
      segment(0xe0, Buffer.from(`JFXX\0${SECRET}`)),
      segment(0xe2, Buffer.from(`MPF\0${SECRET}`)),
      segment(0xed, Buffer.from(`Photoshop 3.0\0${SECRET}`)),
      segment(0xfe, Buffer.from(SECRET)),
      file.subarray(2),
      Buffer.from(`<script>${SECRET}</script>`),
    ])
    const stripped = whole(stripJpeg(extended))
    expect(stripped.includes(SECRET)).toBe(false)
    expect(stripped.includes('Galata')).toBe(false)
    expect((await pixelsOf(stripped)).equals(await pixelsOf(file))).toBe(true)
  })

  it('keeps all scans of a progressive one, and what there is of one that was cut off', async () => {
    const file = await photo(200, 200).jpeg({ progressive: true }).toBuffer()
    expect((await pixelsOf(whole(stripJpeg(file)))).equals(await pixelsOf(file))).toBe(true)
    const half = file.subarray(0, file.length / 2)
    const lenient = (bytes: Buffer) => sharp(bytes, { failOn: 'none' }).raw().toBuffer()
    expect((await lenient(whole(stripJpeg(half)))).equals(await lenient(half))).toBe(true)
  })
})

describe('png', () => {
  it('loses text and what stands behind its end, and keeps an animation', async () => {
    const file = await photo(60, 40).png().toBuffer()
    const end = file.length - 12
    const animation = pngChunk('acTL', Buffer.from([0, 0, 0, 1, 0, 0, 0, 0]))
    const extended = Buffer.concat([
      file.subarray(0, 33),
      animation,
      pngChunk('tEXt', Buffer.from(`Comment\0${SECRET}`)),
      pngChunk('iTXt', Buffer.from(`XML:com.adobe.xmp\0\0\0\0\0${SECRET}`)),
      pngChunk('tIME', Buffer.from([7, 230, 1, 1, 1, 1, 1])),
      pngChunk('prVt', Buffer.from(SECRET)),
      file.subarray(33, end),
      file.subarray(end),
      Buffer.from(SECRET),
    ])
    const stripped = stripPng(extended)
    expect(whole(stripped).includes(SECRET)).toBe(false)
    expect(whole(stripped).includes('tIME')).toBe(false)
    expect(whole(stripped).includes(animation)).toBe(true)
    expect(stripped.isAnimated).toBe(true)
    expect((await pixelsOf(whole(stripped))).equals(await pixelsOf(file))).toBe(true)
  })
})

describe('gif', () => {
  it('loses comments, XMP and what stands behind its end, and keeps its animation', async () => {
    const file = await frames(4)
      .gif({ delay: [120, 120, 120, 120], loop: 3 })
      .toBuffer()
    const xmp = Buffer.concat([Buffer.from([0x21, 0xff, 11]), Buffer.from('XMP DataXMP'), Buffer.from([SECRET.length])])
    const extended = Buffer.concat([
      file.subarray(0, -1),
      Buffer.from([0x21, 0xfe, SECRET.length]),
      Buffer.from(SECRET),
      Buffer.from([0]),
      xmp,
      Buffer.from(SECRET),
      Buffer.from([0, 0x3b]),
      Buffer.from(`*/alert("${SECRET}")`),
    ])
    const stripped = stripGif(extended)
    expect(stripped.isAnimated).toBe(true)
    expect(whole(stripped).equals(file)).toBe(true)
    expect(await sharp(whole(stripped)).metadata()).toMatchObject({ pages: 4, loop: 3, delay: [120, 120, 120, 120] })
  })

  it('survives any broken byte and any end', async () => {
    const file = await frames(2).gif().toBuffer()
    for (let at = 0; at < file.length; at++) {
      const broken = Buffer.from(file)
      broken[at] = (broken[at] ?? 0) ^ 0xff
      for (const data of [broken, file.subarray(0, at)]) {
        try {
          stripGif(data)
        } catch (error) {
          expect(error).toMatchObject({ name: 'CorruptImageError' })
        }
      }
    }
  })
})

describe('animated webp', () => {
  it('keeps its frames', async () => {
    const file = await frames(4)
      .webp({ delay: [90, 90, 90, 90], loop: 2 })
      .withExif({ IFD0: { Copyright: SECRET } })
      .toBuffer()
    const stripped = stripWebp(file)
    expect(stripped.isAnimated).toBe(true)
    expect(whole(stripped).includes(SECRET)).toBe(false)
    const animated = (bytes: Buffer) => sharp(bytes, { animated: true }).raw().toBuffer()
    expect((await animated(whole(stripped))).equals(await animated(file))).toBe(true)
    expect(await sharp(whole(stripped)).metadata()).toMatchObject({ pages: 4, loop: 2, delay: [90, 90, 90, 90] })
  })
})
