/**
 * A JPEG is a row of segments: the tables and scans that make the picture, and application segments with everything
 * that cameras and editors add. Only of the latter is something dropped, so the picture stays bit by bit the same.
 */
import { orientationBlock, readOrientation } from './exif-orientation.ts'
import { CorruptImageError, type StrippedImage } from './stripped-image.ts'

const SOI = 0xd8
const EOI = 0xd9
const SOS = 0xda
const APP0 = 0xe0
const APP1 = 0xe1
const APP2 = 0xe2
const APP14 = 0xee
const APP15 = 0xef
const COM = 0xfe
/** JFIF's header up to the size of its thumbnail, marker and length included. */
const JFIF_BYTES = 18

interface Segment {
  marker: number
  bytes: Buffer
}

export function stripJpeg(data: Buffer): StrippedImage {
  if (data[0] !== 0xff || data[1] !== SOI) throw new CorruptImageError('This is no JPEG')
  const segments = listSegments(data)
  if (!segments.some(({ marker }) => marker === SOS)) throw new CorruptImageError('The JPEG has no picture in it')
  const exif = segments.find(({ marker, bytes }) => marker === APP1 && hasTag(bytes, 'Exif\0'))
  const orientation = exif === undefined ? 1 : readOrientation(exif.bytes.subarray(4))
  // With an end also where it was cut off: what there is of the picture is shown.
  const parts = [data.subarray(0, 2), ...segments.flatMap(kept), Buffer.from([0xff, EOI])]
  // Behind the segment of JFIF, which must come first.
  if (orientation !== 1) parts.splice(isJfif(parts[1]) ? 2 : 1, 0, exifSegment(orientation))
  return { parts, orientation, isAnimated: false, isLossless: false, canvasPixels: 0 }
}

/** Up to the end of the picture, or to where it is cut off. */
function listSegments(data: Buffer): Segment[] {
  const segments: Segment[] = []
  for (let at = 2; ; ) {
    const start = skipFill(data, at)
    const marker = data[start + 1]
    if (marker === undefined || marker === EOI) return segments
    const end = segmentEnd(data, start, marker)
    if (end === null) return segments
    segments.push({ marker, bytes: data.subarray(start, end) })
    at = end
  }
}

/** A marker may be preceded by any number of 0xff. Junk between segments is dropped, as decoders do. */
function skipFill(data: Buffer, at: number): number {
  let next = data.indexOf(0xff, at)
  if (next === -1) return data.length
  while (data[next + 1] === 0xff || data[next + 1] === 0) {
    next = data.indexOf(0xff, next + 1)
    if (next === -1) return data.length
  }
  return next
}

/** Null where the segment is cut off before any picture. A scan lasts up to the next marker. */
function segmentEnd(data: Buffer, at: number, marker: number): number | null {
  if (isStandalone(marker)) return at + 2
  if (at + 4 > data.length) return null
  const length = data.readUInt16BE(at + 2)
  if (length < 2) throw new CorruptImageError('A segment of the JPEG is shorter than its own header')
  const end = at + 2 + length
  if (marker === SOS) return scanEnd(data, Math.min(end, data.length))
  return end > data.length ? null : end
}

function isStandalone(marker: number): boolean {
  return marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8)
}

function scanEnd(data: Buffer, from: number): number {
  for (let at = data.indexOf(0xff, from); at !== -1; at = data.indexOf(0xff, at + 1)) {
    const next = data[at + 1]
    if (next === undefined) break
    const isWithinScan = next === 0 || next === 0xff || (next >= 0xd0 && next <= 0xd7)
    if (!isWithinScan) return at
  }
  return data.length
}

function kept({ marker, bytes: segment }: Segment): Buffer[] {
  if (marker === APP0) return isJfif(segment) ? [withoutThumbnail(segment)] : []
  if (marker === APP2) return hasTag(segment, 'ICC_PROFILE\0') ? [segment] : []
  // Adobe's segment says how the colours are to be read.
  if (marker === APP14) return hasTag(segment, 'Adobe') ? [segment.subarray(0, 16)] : []
  const isMetadata = (marker >= APP0 && marker <= APP15) || marker === COM || marker === SOI || marker === 0x01
  return isMetadata ? [] : [segment]
}

function isJfif(segment: Buffer | undefined): boolean {
  return segment !== undefined && segment[1] === APP0 && segment.length >= JFIF_BYTES && hasTag(segment, 'JFIF\0')
}

function withoutThumbnail(segment: Buffer): Buffer {
  if (segment.length === JFIF_BYTES && segment[16] === 0 && segment[17] === 0) return segment
  const header = Buffer.from(segment.subarray(0, JFIF_BYTES))
  header.writeUInt16BE(JFIF_BYTES - 2, 2)
  header.writeUInt16BE(0, 16)
  return header
}

function exifSegment(orientation: number): Buffer {
  const block = Buffer.concat([Buffer.from('Exif\0\0', 'latin1'), orientationBlock(orientation)])
  const segment = Buffer.alloc(4)
  segment.writeUInt16BE(0xff00 | APP1, 0)
  segment.writeUInt16BE(2 + block.length, 2)
  return Buffer.concat([segment, block])
}

function hasTag(segment: Buffer, tag: string): boolean {
  return segment.subarray(4, 4 + tag.length).toString('latin1') === tag
}
