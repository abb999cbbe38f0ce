/** A GIF is a row of blocks: its frames, how long each is shown and how often all repeat are kept; comments and the rest go. */
import { CorruptImageError, type StrippedImage } from './stripped-image.ts'

const EXTENSION = 0x21
const IMAGE = 0x2c
const TRAILER = 0x3b
const GRAPHIC_CONTROL = 0xf9
const APPLICATION = 0xff
/** They hold nothing but how often an animation repeats. */
const LOOPING = new Set(['NETSCAPE2.0', 'ANIMEXTS1.0'])

export function stripGif(data: Buffer): StrippedImage {
  if (!/^GIF8[79]a$/.test(data.toString('latin1', 0, 6)) || data.length < 13) {
    throw new CorruptImageError('This is no GIF')
  }
  let at = 13 + colourTableBytes(data[10])
  const parts = [data.subarray(0, at)]
  let frames = 0
  for (;;) {
    const end = blockEnd(data, at)
    // The end of the file, the trailer, or a frame that was cut off.
    if (end === null) break
    if (data[at] === IMAGE) frames++
    if (isKept(data, at)) parts.push(data.subarray(at, end))
    at = end
  }
  if (frames === 0) {
    // Of a single frame that is cut off, its upper part is there.
    if (data[at] !== IMAGE) throw new CorruptImageError('The GIF has no picture in it')
    parts.push(data.subarray(at), Buffer.from([0]))
  }
  parts.push(Buffer.from([TRAILER]))
  return {
    parts,
    orientation: 1,
    isAnimated: frames > 1,
    isLossless: true,
    canvasPixels: data.readUInt16LE(6) * data.readUInt16LE(8),
  }
}

function colourTableBytes(flags = 0): number {
  return (flags & 0x80) === 0 ? 0 : 3 * 2 ** ((flags & 0x07) + 1)
}

function isKept(data: Buffer, at: number): boolean {
  if (data[at] === IMAGE) return true
  if (data[at + 1] === GRAPHIC_CONTROL) return true
  return data[at + 1] === APPLICATION && LOOPING.has(data.toString('latin1', at + 3, at + 14))
}

function blockEnd(data: Buffer, at: number): number | null {
  if (data[at] === EXTENSION) return subBlocksEnd(data, at + 2)
  // The descriptor, its colours, and the size of the first code.
  if (data[at] === IMAGE) return subBlocksEnd(data, at + 10 + colourTableBytes(data[at + 9]) + 1)
  return null
}

function subBlocksEnd(data: Buffer, from: number): number | null {
  for (let at = from; ; ) {
    const length = data[at]
    if (length === undefined) return null
    at += 1 + length
    if (length === 0) return at
  }
}
