/** A PNG is a row of chunks with a checksum each: those that make the picture, or its animation, are kept as they are. */
import { crc32 } from 'node:zlib'
import { orientationBlock, readOrientation } from './exif-orientation.ts'
import { CorruptImageError, type StrippedImage } from './stripped-image.ts'

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])
/** Length and type before the data, checksum behind. */
const FRAME_BYTES = 12

const KEPT = new Set([
  ...['IHDR', 'PLTE', 'tRNS', 'IDAT', 'acTL', 'fcTL', 'fdAT'],
  // How the colours are meant, and how wide a pixel is.
  ...['cHRM', 'cICP', 'cLLI', 'gAMA', 'iCCP', 'mDCV', 'sBIT', 'sRGB', 'bKGD', 'pHYs'],
])

export function stripPng(data: Buffer): StrippedImage {
  if (!data.subarray(0, SIGNATURE.length).equals(SIGNATURE)) throw new CorruptImageError('This is no PNG')
  const parts: Buffer[] = [SIGNATURE]
  let orientation = 1
  let isAnimated = false
  let hasPicture = false
  for (let at = SIGNATURE.length; at + FRAME_BYTES <= data.length; ) {
    const length = data.readUInt32BE(at)
    const type = data.toString('latin1', at + 4, at + 8)
    if (type === 'IEND') break
    // The last chunk may be cut off: what there is of the picture is shown.
    const end = Math.min(at + FRAME_BYTES + length, data.length)
    if (type === 'eXIf' && orientation === 1) orientation = readOrientation(data.subarray(at + 8, end - 4))
    if (KEPT.has(type)) parts.push(data.subarray(at, end))
    isAnimated ||= type === 'acTL'
    hasPicture ||= type === 'IDAT'
    at = end
  }
  if (!hasPicture) throw new CorruptImageError('The PNG has no picture in it')
  // Behind IHDR, before the picture.
  if (orientation !== 1) parts.splice(2, 0, chunk('eXIf', orientationBlock(orientation)))
  parts.push(chunk('IEND', Buffer.alloc(0)))
  return { parts, orientation, isAnimated, isLossless: true, canvasPixels: 0 }
}

function chunk(type: string, data: Buffer): Buffer {
  const typed = Buffer.concat([Buffer.from(type, 'latin1'), data])
  const framed = Buffer.alloc(4 + typed.length + 4)
  framed.writeUInt32BE(data.length, 0)
  typed.copy(framed, 4)
  framed.writeUInt32BE(crc32(typed), 4 + typed.length)
  return framed
}
