// Pictures that are made by the tests: with everything a camera adds, turned in every way, and bombs.

import { crc32, createDeflate } from 'node:zlib'
import sharp, { type Sharp } from 'sharp'

/** Stands in every kind of metadata that the samples carry. */
export const SECRET = 'Galata-Kulesi-41.0256-28.9741'

const COLOURS = { red: [255, 0, 0], green: [0, 255, 0], blue: [0, 0, 255], white: [255, 255, 255] } as const
export type Colour = keyof typeof COLOURS

/** Red above left, green above right, blue below left, white below right. */
export function quadrants(width = 64, height = 32): Sharp {
  const data = Buffer.alloc(width * height * 3)
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const [left, right] = y < height / 2 ? (['red', 'green'] as const) : (['blue', 'white'] as const)
      data.set(COLOURS[x < width / 2 ? left : right], (y * width + x) * 3)
    }
  }
  return sharp(data, { raw: { width, height, channels: 3 } })
}

/** The corners' colours, by their nearest name: above left, above right, below left, below right. */
export async function cornersOf(file: string | Buffer): Promise<Colour[]> {
  const image = sharp(file, { autoOrient: false }).toColourspace('srgb').removeAlpha().raw()
  const { data, info } = await image.toBuffer({ resolveWithObject: true })
  const inset = 2
  const at = (x: number, y: number) => [...data.subarray((y * info.width + x) * 3, (y * info.width + x) * 3 + 3)]
  const [right, below] = [info.width - 1 - inset, info.height - 1 - inset]
  return [at(inset, inset), at(right, inset), at(inset, below), at(right, below)].map(nearestColour)
}

function nearestColour(pixel: readonly number[]): Colour {
  const distance = (colour: readonly number[]) =>
    colour.reduce((sum, value, index) => sum + (value - (pixel[index] ?? 0)) ** 2, 0)
  const names = Object.keys(COLOURS) as Colour[] // the keys of a constant
  return names.reduce((best, name) => (distance(COLOURS[name]) < distance(COLOURS[best]) ? name : best))
}

/** Smooth with some grain, as photos are; always the same. */
export function photo(width: number, height: number): Sharp {
  const data = Buffer.alloc(width * height * 3)
  let seed = 1
  for (let index = 0; index < data.length; index++) {
    seed = (seed * 1_103_515_245 + 12_345) & 0x7fffffff
    const x = Math.floor(index / 3) % width
    const y = Math.floor(index / 3 / width)
    data[index] = 128 + 80 * Math.sin(x / 40 + (index % 3)) * Math.cos(y / 30) + ((seed >> 16) % 13)
  }
  return sharp(data, { raw: { width, height, channels: 3 } })
}

/** With what a phone adds: Exif with the place, XMP, a profile. */
export function withMetadata(image: Sharp, orientation = 1): Sharp {
  return image
    .withExif({
      IFD0: { Make: 'Telefon', ImageDescription: SECRET, Copyright: SECRET },
      IFD3: { GPSLatitudeRef: 'N', GPSLatitude: '41/1 1/1 32/1', GPSLongitudeRef: 'E', GPSLongitude: '28/1 58/1 26/1' },
    })
    .withXmp(`<x:xmpmeta xmlns:x="adobe:ns:meta/"><place>${SECRET}</place></x:xmpmeta>`)
    .withIccProfile('p3')
    .withMetadata({ orientation })
}

/** An animation of so many frames, each of one colour, as raw pages for sharp. */
export function frames(count: number, width = 40, height = 20): Sharp {
  const data = Buffer.alloc(width * height * count * 3)
  for (let frame = 0; frame < count; frame++) {
    const colour = [(frame * 50) % 256, 255 - ((frame * 30) % 256), 90]
    for (let pixel = 0; pixel < width * height; pixel++) data.set(colour, (frame * width * height + pixel) * 3)
  }
  return sharp(data, { raw: { width, height: height * count, channels: 3, pageHeight: height } })
}

/** A PNG of black pixels, one bit each: a few hundred kilobytes for billions of them. */
export async function pngBomb(width: number, height: number): Promise<Buffer> {
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  header.set([1, 0, 0, 0, 0], 8)
  const rowBytes = 1 + Math.ceil(width / 8)
  const deflate = createDeflate({ level: 9 })
  const compressed = deflate.toArray()
  const rows = Buffer.alloc(rowBytes * 100)
  for (let left = rowBytes * height; left > 0; left -= rows.length) {
    if (!deflate.write(rows.subarray(0, Math.min(left, rows.length)))) {
      await new Promise<void>((resolve) => deflate.once('drain', resolve))
    }
  }
  deflate.end()
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    pngChunk('IHDR', header),
    pngChunk('IDAT', Buffer.concat(await compressed)),
    pngChunk('IEND', Buffer.alloc(0)),
  ])
}

export function pngChunk(type: string, data: Buffer): Buffer {
  const typed = Buffer.concat([Buffer.from(type, 'latin1'), data])
  const [length, checksum] = [Buffer.alloc(4), Buffer.alloc(4)]
  length.writeUInt32BE(data.length)
  checksum.writeUInt32BE(crc32(typed))
  return Buffer.concat([length, typed, checksum])
}

/** All pixels of the first frame. */
export function pixelsOf(file: string | Buffer): Promise<Buffer> {
  return sharp(file).raw().toBuffer()
}
