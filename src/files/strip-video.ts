/**
 * An MP4 or MOV file says in boxes of its own where and by what it was filmed. They are renamed to free space and written
 * over with zeros: nothing moves, so no table of the film has to change, and a film of gigabytes is only read where its
 * index lies. What a camera keeps as a track beside picture and sound (the path of a drone, say) stays.
 */
import type { BytePatch } from './byte-patches.ts'
import { type Box, listBoxes, readBoxHeader } from './iso-boxes.ts'
import { type ObjectBytes, readBytes } from './object-bytes.ts'
import { findHeifMetadata } from './strip-heif.ts'
import { CorruptImageError } from './stripped-image.ts'

/** Indexes of films of many hours are smaller. */
const MAX_INDEX_BYTES = 64 * 1024 * 1024
/** Fragments of a film are boxes at the top as well. */
const MAX_TOP_BOXES = 200
const INDEXES = new Set(['moov', 'meta', 'udta', 'uuid'])
const FREE = Buffer.from('free', 'latin1')
/** The name of the box that holds XMP; other boxes of names like this may belong to the film. */
const XMP_UUID = Buffer.from('be7acfcb97a942e89c71999491e3afac', 'hex')

export interface IsoFacts {
  /** What takes the metadata out; none where there is none. */
  patches: BytePatch[]
  /** Of the film, as it is shown. */
  size: { width: number; height: number } | null
}

/** Where something was recorded, among what else its user may have noted of it. */
const PLACES = new Set(['©xyz', 'loci'])

/** Films: what MP4 and MOV carry beside the film. Pictures (HEIC): Exif and XMP. */
export async function inspectIsoFile(bytes: ObjectBytes, signal?: AbortSignal): Promise<IsoFacts> {
  const facts: IsoFacts = { patches: [], size: null }
  for (const box of await listTopBoxes(bytes, signal)) {
    if (!INDEXES.has(box.type) || box.end - box.start > MAX_INDEX_BYTES) continue
    const data = await readBytes(bytes, box.start, box.end - box.start, signal)
    if (box.type === 'moov') facts.size ??= filmSize(data)
    facts.patches.push(...metadataOf(box, data, bytes.sizeBytes))
  }
  return facts
}

/** Of a sound in such a file: what takes out where it was recorded. Its title, artist and cover stay. */
export async function findPlacesOfSound(bytes: ObjectBytes, signal?: AbortSignal): Promise<BytePatch[]> {
  const patches: BytePatch[] = []
  for (const box of await listTopBoxes(bytes, signal)) {
    if ((box.type !== 'moov' && box.type !== 'udta') || box.end - box.start > MAX_INDEX_BYTES) continue
    const data = await readBytes(bytes, box.start, box.end - box.start, signal)
    const notes = box.type === 'udta' ? listBoxes(data) : besideFilm(data).filter(({ type }) => type === 'udta')
    const places = notes.flatMap((note) => listBoxes(data, note.bodyStart, note.end)).filter(isPlace)
    patches.push(...freed(places, box.start))
  }
  return patches
}

const isPlace = ({ type }: Box): boolean => PLACES.has(type)

function metadataOf(box: Box, data: Buffer, fileBytes: number): BytePatch[] {
  if (box.type === 'moov') return filmMetadata(data, box.start)
  if (box.type === 'meta') return pictureMetadata(box, data, fileBytes)
  const isXmp = data
    .subarray(box.bodyStart - box.start)
    .subarray(0, XMP_UUID.length)
    .equals(XMP_UUID)
  return box.type === 'udta' || isXmp ? freed(listBoxes(data), box.start) : []
}

function pictureMetadata(box: Box, data: Buffer, fileBytes: number): BytePatch[] {
  try {
    return findHeifMetadata(data, box.start, fileBytes)
  } catch (error) {
    // Nobody can show such a picture either; it is a file like any other.
    if (error instanceof CorruptImageError) return []
    throw error
  }
}

async function listTopBoxes(bytes: ObjectBytes, signal: AbortSignal | undefined): Promise<Box[]> {
  const boxes: Box[] = []
  for (let start = 0; start + 8 <= bytes.sizeBytes && boxes.length < MAX_TOP_BOXES; ) {
    const head = await readBytes(bytes, start, Math.min(16, bytes.sizeBytes - start), signal)
    const header = readBoxHeader(head, bytes.sizeBytes - start)
    if (header === null) break
    const end = start + header.sizeBytes
    boxes.push({ type: header.type, start, bodyStart: start + header.headerBytes, end })
    start = end
  }
  return boxes
}

function filmMetadata(data: Buffer, at: number): BytePatch[] {
  return freed(
    besideFilm(data).filter(({ type }) => type === 'udta' || type === 'meta' || type === 'uuid'),
    at,
  )
}

/** The boxes of a film's index and of its tracks. */
function besideFilm(data: Buffer): Box[] {
  const [film] = listBoxes(data)
  if (film === undefined) return []
  const children = listBoxes(data, film.bodyStart, film.end)
  const tracks = children.filter(({ type }) => type === 'trak')
  return [...children, ...tracks.flatMap((track) => listBoxes(data, track.bodyStart, track.end))]
}

/** Of the first track that has one, by its header: its last 44 bytes are a matrix, of which phones turn, and the size. */
function filmSize(data: Buffer): { width: number; height: number } | null {
  const [film] = listBoxes(data)
  if (film === undefined) return null
  for (const track of listBoxes(data, film.bodyStart, film.end)) {
    const header = track.type === 'trak' ? listBoxes(data, track.bodyStart, track.end).find(isTrackHeader) : undefined
    if (header === undefined) continue
    const [width, height] = [data.readUInt16BE(header.end - 8), data.readUInt16BE(header.end - 4)]
    if (width === 0 || height === 0) continue
    const isTurned = data.readInt32BE(header.end - 44) === 0 && data.readInt32BE(header.end - 40) !== 0
    return isTurned ? { width: height, height: width } : { width, height }
  }
  return null
}

function isTrackHeader({ type, bodyStart, end }: Box): boolean {
  return type === 'tkhd' && end - bodyStart >= 84
}

function freed(boxes: readonly Box[], at: number): BytePatch[] {
  return boxes.flatMap(({ start, bodyStart, end }) => [
    { at: at + start + 4, bytes: FREE },
    { at: at + bodyStart, bytes: Buffer.alloc(end - bodyStart) },
  ])
}
