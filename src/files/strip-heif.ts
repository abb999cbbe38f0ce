/**
 * A HEIF file (AVIF, HEIC) has an index of items and where their bytes lie. Those of Exif and XMP are written over with
 * zeros and their entries get a type that nobody reads: nothing moves, so the picture stays as it is. How it is to be
 * turned is a property of the picture here, and stays.
 */
import { type BytePatch, patched } from './byte-patches.ts'
import { type Box, listBoxes } from './iso-boxes.ts'
import { CorruptImageError, type StrippedImage } from './stripped-image.ts'

/** `uri ` items are metadata of makers. */
const METADATA_TYPES = new Set(['Exif', 'mime', 'uri '])
const NOBODYS_TYPE = 'skip'
const MAX_ITEMS = 10_000

interface Item {
  id: number
  /** Where the four letters of its type stand. */
  typeAt: number
}

interface Extent {
  itemId: number
  /** In the file, or in the index's own data box. */
  isInIndex: boolean
  start: number
  length: number
}

export function stripHeif(data: Buffer): StrippedImage {
  const index = listBoxes(data).find(({ type }) => type === 'meta')
  if (index === undefined) throw new CorruptImageError('The image has no index')
  const patches = findHeifMetadata(data.subarray(index.start, index.end), index.start, data.length)
  const parts = [patches.length === 0 ? data : patched(data, patches)]
  return { parts, orientation: 1, isAnimated: false, isLossless: false, canvasPixels: 0 }
}

/** `index` is the box `meta`, which lies in the file at `at`. */
export function findHeifMetadata(index: Buffer, at: number, fileBytes: number): BytePatch[] {
  try {
    const header = listBoxes(index)[0]
    if (header === undefined) return []
    const boxes = listBoxes(index, header.bodyStart + 4, header.end)
    const items = metadataItems(
      index,
      boxes.find(({ type }) => type === 'iinf'),
    )
    const ids = new Set(items.map(({ id }) => id))
    const dataBox = boxes.find(({ type }) => type === 'idat')
    const patches = items.map(({ typeAt }) => ({ at: at + typeAt, bytes: Buffer.from(NOBODYS_TYPE, 'latin1') }))
    for (const extent of itemExtents(
      index,
      boxes.find(({ type }) => type === 'iloc'),
    )) {
      if (!ids.has(extent.itemId)) continue
      const base = extent.isInIndex ? at + (dataBox?.bodyStart ?? Number.NaN) : 0
      const start = base + extent.start
      const length = extent.length === 0 ? 0 : Math.min(extent.length, fileBytes - start)
      if (length > 0) patches.push({ at: start, bytes: Buffer.alloc(length) })
    }
    return patches
  } catch (error) {
    // A read past the end of the index.
    if (error instanceof RangeError) throw new CorruptImageError('The index of the image is broken')
    throw error
  }
}

function metadataItems(index: Buffer, list: Box | undefined): Item[] {
  if (list === undefined) return []
  const isShort = index[list.bodyStart] === 0
  const entries = listBoxes(index, list.bodyStart + 4 + (isShort ? 2 : 4), list.end)
  if (entries.length > MAX_ITEMS) throw new CorruptImageError('The image has too many items')
  const items: Item[] = []
  for (const { type, bodyStart } of entries) {
    const version = index[bodyStart] ?? 0
    if (type !== 'infe' || version < 2) continue
    const idBytes = version === 2 ? 2 : 4
    const typeAt = bodyStart + 4 + idBytes + 2
    if (!METADATA_TYPES.has(index.toString('latin1', typeAt, typeAt + 4))) continue
    items.push({ id: index.readUIntBE(bodyStart + 4, idBytes), typeAt })
  }
  return items
}

function itemExtents(index: Buffer, list: Box | undefined): Extent[] {
  if (list === undefined) return []
  let at = list.bodyStart
  const take = (bytes: number): number => {
    at += bytes
    if (at > list.end) throw new RangeError('Past the end of the list')
    if (bytes === 0) return 0
    return bytes === 8 ? Number(index.readBigUInt64BE(at - 8)) : index.readUIntBE(at - bytes, bytes)
  }
  const version = take(1)
  take(3)
  const sizes = take(2)
  const [offsetBytes, lengthBytes, baseBytes] = [sizes >> 12, (sizes >> 8) & 15, (sizes >> 4) & 15]
  const indexBytes = version === 0 ? 0 : sizes & 15
  const extents: Extent[] = []
  const count = take(version < 2 ? 2 : 4)
  for (let left = Math.min(count, MAX_ITEMS); left > 0; left--) {
    const itemId = take(version < 2 ? 2 : 4)
    const isInIndex = version > 0 && (take(2) & 15) === 1
    take(2)
    const base = take(baseBytes)
    for (let more = take(2); more > 0; more--) {
      take(indexBytes)
      extents.push({ itemId, isInIndex, start: base + take(offsetBytes), length: take(lengthBytes) })
    }
  }
  return extents
}
