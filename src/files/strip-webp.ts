/** A WebP is a RIFF file: a row of named chunks, of which those of the picture and its animation are kept as they are. */
import { orientationBlock, readOrientation } from './exif-orientation.ts'
import { CorruptImageError, type StrippedImage } from './stripped-image.ts'

const KEPT = new Set(['VP8X', 'ICCP', 'ANIM', 'ANMF', 'ALPH', 'VP8 ', 'VP8L'])
const KEPT_IN_FRAME = new Set(['ALPH', 'VP8 ', 'VP8L'])
/** Where a frame lies and how long it is shown, before its own chunks. */
const FRAME_HEADER_BYTES = 16
const FLAG_EXIF = 0x08
const FLAG_XMP = 0x04

interface Chunk {
  name: string
  payload: Buffer
}

export function stripWebp(data: Buffer): StrippedImage {
  if (data.toString('latin1', 0, 4) !== 'RIFF' || data.toString('latin1', 8, 12) !== 'WEBP') {
    throw new CorruptImageError('This is no WebP')
  }
  const chunks = chunksOf(data.subarray(12, Math.min(data.length, 8 + data.readUInt32LE(4))))
  const exif = chunks.find(({ name }) => name === 'EXIF')
  const isAnimated = chunks.some(({ name }) => name === 'ANMF')
  // A picture with Exif has a VP8X chunk; where it has not, nobody reads its Exif.
  const isExtended = chunks.some(({ name, payload }) => name === 'VP8X' && payload.length >= 10)
  const orientation = exif === undefined || !isExtended ? 1 : readOrientation(exif.payload)
  const body = chunks.filter(({ name }) => KEPT.has(name)).flatMap((each) => encode(stripped(each, orientation !== 1)))
  if (body.length === 0) throw new CorruptImageError('The WebP has no picture in it')
  if (orientation !== 1) body.push(...encode({ name: 'EXIF', payload: orientationBlock(orientation) }))
  const header = Buffer.from('RIFF\0\0\0\0WEBP', 'latin1')
  header.writeUInt32LE(4 + body.reduce((sum, part) => sum + part.length, 0), 4)
  const isLossless = chunks.some(({ name }) => name === 'VP8L')
  return { parts: [header, ...body], orientation, isAnimated, isLossless, canvasPixels: 0 }
}

/** The last one may be cut off. */
function chunksOf(data: Buffer): Chunk[] {
  const chunks: Chunk[] = []
  for (let at = 0; at + 8 <= data.length; ) {
    const length = data.readUInt32LE(at + 4)
    const payload = data.subarray(at + 8, Math.min(at + 8 + length, data.length))
    chunks.push({ name: data.toString('latin1', at, at + 4), payload })
    at += 8 + length + (length & 1)
  }
  return chunks
}

function encode({ name, payload }: Chunk): Buffer[] {
  const header = Buffer.alloc(8)
  header.write(name, 0, 'latin1')
  header.writeUInt32LE(payload.length, 4)
  return (payload.length & 1) === 1 ? [header, payload, Buffer.from([0])] : [header, payload]
}

function stripped({ name, payload }: Chunk, hasExif: boolean): Chunk {
  if (name === 'VP8X') {
    const flags = Buffer.from(payload)
    flags[0] = ((flags[0] ?? 0) & ~(FLAG_EXIF | FLAG_XMP)) | (hasExif ? FLAG_EXIF : 0)
    return { name, payload: flags }
  }
  if (name !== 'ANMF') return { name, payload }
  const inner = chunksOf(payload.subarray(FRAME_HEADER_BYTES)).filter((each) => KEPT_IN_FRAME.has(each.name))
  return { name, payload: Buffer.concat([payload.subarray(0, FRAME_HEADER_BYTES), ...inner.flatMap(encode)]) }
}
