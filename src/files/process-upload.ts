/**
 * From uploaded bytes to a file that others may see, or to the reason why they may not. In this order: what is it, is its
 * type allowed, is it infected; only then is it decoded. What does not fit is an outcome. A rejection is the service's
 * trouble (storage, scanner, image process): nothing is decided, and the job that called is to call again.
 *
 * An image that cannot be decoded, not even partly, is no error and no image: it becomes a FILE of unknown type, byte by
 * byte as it was, to be downloaded and never shown. One that crashes its decoder or keeps it busy is refused.
 */
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { isTypeAllowed } from './allowed-types.ts'
import { applyPatches, type BytePatch } from './byte-patches.ts'
import {
  type ContentType,
  describeType,
  type FileKind,
  SNIFFED_BYTES,
  sniffContentType,
  UNKNOWN_TYPE,
} from './content-type.ts'
import type { Rendition } from './image-job.ts'
import { inspectMedia } from './inspect-media.ts'
import { type ObjectBytes, readBytes } from './object-bytes.ts'
import type { ImageProcessor } from './process-image.ts'
import { findPlacesOfSound, inspectIsoFile } from './strip-video.ts'
import type { VirusScanner } from './virus-scanner.ts'

export interface Upload {
  bytes: ObjectBytes
  /** What the client says; null or empty where it says nothing. Only ever a reason to refuse. */
  claimedType: string | null
}

export interface UploadTools {
  images: ImageProcessor
  /** Null: nothing is scanned. */
  scanner: VirusScanner | null
  /** Patterns, see isTypeAllowed. */
  allowedTypes: readonly string[]
  /** Larger images are refused: they are held in memory, and on disk in `tempDir`. */
  maxImageBytes: number
  /** An existing folder, of this service alone. */
  tempDir: string
}

/** Bytes to be stored in the place of those that were uploaded. */
export interface CleanedOriginal {
  sizeBytes: number
  open(): Promise<Readable>
}

export interface ReadyUpload {
  status: 'READY'
  contentType: string
  kind: FileKind
  /** Whether a browser may show it in the page; otherwise it is a download. */
  isInlineSafe: boolean
  /** As it is seen, turned. */
  width: number | null
  height: number | null
  isAnimated: boolean
  durationMs: number | null
  /** A thumbhash in base64. */
  placeholder: string | null
  /** Null: what was uploaded is what is kept. */
  cleaned: CleanedOriginal | null
  /** Ascending by size; files in the temporary folder. */
  renditions: readonly Rendition[]
}

export type RefusalReason = 'TYPE_NOT_ALLOWED' | 'INFECTED' | 'TOO_LARGE_TO_SCAN' | 'IMAGE_TOO_LARGE' | 'IMAGE_CORRUPT'

export interface RefusedUpload {
  status: 'REFUSED'
  reason: RefusalReason
  message: string
}

const TEMP_PREFIX = 'upload-'
/** Formats whose metadata can be blanked where they lie. */
const ISO_TYPES = new Set(['video/mp4', 'video/quicktime', 'video/3gpp', 'video/3gpp2', 'image/heic', 'image/heif'])
/** Of containers that carry films and sounds alike, the name for those with nothing to be seen. */
const SOUND_ONLY: Readonly<Record<string, string>> = {
  'video/webm': 'audio/webm',
  'video/mp4': 'audio/mp4',
  'video/ogg': 'audio/ogg',
}

/** Calls `use` with what has become of the upload. Its files exist until `use` settles. */
export async function processUpload<T>(
  upload: Upload,
  tools: UploadTools,
  use: (result: ReadyUpload | RefusedUpload) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  const folder = await mkdtemp(join(tools.tempDir, TEMP_PREFIX))
  try {
    return await use(await judge(upload, tools, folder, signal))
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Removes what processes that were killed have left. `olderThanMs` is longer than any upload takes to be processed. */
export async function sweepTempFolders(tempDir: string, olderThanMs: number, now = Date.now()): Promise<number> {
  let removed = 0
  for (const name of await readdir(tempDir)) {
    if (!name.startsWith(TEMP_PREFIX)) continue
    const path = join(tempDir, name)
    // Another node on this machine may have been quicker.
    const found = await stat(path).catch(() => null)
    if (found === null || now - found.mtimeMs < olderThanMs) continue
    await rm(path, { recursive: true, force: true })
    removed++
  }
  return removed
}

async function judge(
  upload: Upload,
  tools: UploadTools,
  folder: string,
  signal: AbortSignal | undefined,
): Promise<ReadyUpload | RefusedUpload> {
  const { bytes } = upload
  const head = await readBytes(bytes, 0, Math.min(SNIFFED_BYTES, bytes.sizeBytes), signal)
  const plain = await describe(bytes, await sniffContentType(head, bytes.sizeBytes), signal)
  const refusal = refuseType(plain.contentType, upload, tools) ?? (await refuseInfected(bytes, tools.scanner, signal))
  if (refusal !== null) return refusal
  if (plain.kind === 'IMAGE') return processImage(upload, plain, tools, folder, signal)
  if (plain.contentType === 'audio/mp4') {
    const places = await findPlacesOfSound(bytes, signal)
    return places.length === 0 ? plain : { ...plain, cleaned: patchedOriginal(bytes, places) }
  }
  return ISO_TYPES.has(plain.contentType) ? withoutPlace(bytes, plain, signal) : plain
}

/** All that can be told of a file without decoding it. */
async function describe(bytes: ObjectBytes, type: ContentType, signal: AbortSignal | undefined): Promise<ReadyUpload> {
  const unknown = { width: null, height: null, isAnimated: false, durationMs: null }
  const plain: ReadyUpload = { status: 'READY', ...type, ...unknown, placeholder: null, cleaned: null, renditions: [] }
  if (type.kind !== 'VIDEO' && type.kind !== 'AUDIO') return plain
  const { durationMs, width, height, hasPicture } = await inspectMedia(bytes, type.contentType, signal)
  const soundType = hasPicture === false ? SOUND_ONLY[type.contentType] : undefined
  if (soundType !== undefined) return { ...plain, ...describeType(soundType), durationMs }
  return type.kind === 'AUDIO' ? { ...plain, durationMs } : { ...plain, durationMs, width, height }
}

function refuseType(contentType: string, upload: Upload, tools: UploadTools): RefusedUpload | null {
  if (isTypeAllowed(tools.allowedTypes, contentType, upload.claimedType)) return null
  return refused('TYPE_NOT_ALLOWED', `Files of the type ${contentType} are not taken here`)
}

async function refuseInfected(
  bytes: ObjectBytes,
  scanner: VirusScanner | null,
  signal: AbortSignal | undefined,
): Promise<RefusedUpload | null> {
  if (scanner === null) return null
  const found = await scanner.scan(await bytes.open(), bytes.sizeBytes, signal)
  if (found.verdict === 'CLEAN') return null
  if (found.verdict === 'INFECTED') return refused('INFECTED', `The virus scanner found ${found.name}`)
  return refused('TOO_LARGE_TO_SCAN', `A file of ${bytes.sizeBytes} bytes is too large for the virus scanner`)
}

async function processImage(
  upload: Upload,
  plain: ReadyUpload,
  tools: UploadTools,
  folder: string,
  signal: AbortSignal | undefined,
): Promise<ReadyUpload | RefusedUpload> {
  const { bytes } = upload
  if (bytes.sizeBytes > tools.maxImageBytes) {
    return refused('IMAGE_TOO_LARGE', `Images of at most ${tools.maxImageBytes} bytes are taken`)
  }
  const inputPath = join(folder, 'input')
  await pipeline(await bytes.open(), createWriteStream(inputPath, { flags: 'wx' }), { signal })
  const { contentType } = plain
  const outcome = await tools.images.process({ inputPath, contentType, outputDir: folder }, signal)
  if (outcome.status === 'TOO_LARGE') return refused('IMAGE_TOO_LARGE', outcome.message)
  if (outcome.status === 'HOSTILE') return refused('IMAGE_CORRUPT', outcome.message)
  // It may be that images are allowed here, and files of any kind are not.
  if (outcome.status === 'CORRUPT') {
    return refuseType(UNKNOWN_TYPE.contentType, upload, tools) ?? { ...plain, ...UNKNOWN_TYPE }
  }
  const { width, height, isAnimated, placeholder, cleaned, renditions } = outcome
  const kept = cleaned && { sizeBytes: cleaned.sizeBytes, open: async () => createReadStream(cleaned.path) }
  return { ...plain, width, height, isAnimated, placeholder, cleaned: kept, renditions }
}

async function withoutPlace(
  bytes: ObjectBytes,
  plain: ReadyUpload,
  signal: AbortSignal | undefined,
): Promise<ReadyUpload> {
  const { patches, size } = await inspectIsoFile(bytes, signal)
  const shown = plain.kind === 'VIDEO' && size !== null ? size : null
  return { ...plain, ...shown, cleaned: patches.length === 0 ? null : patchedOriginal(bytes, patches) }
}

function patchedOriginal(bytes: ObjectBytes, patches: readonly BytePatch[]): CleanedOriginal {
  return {
    sizeBytes: bytes.sizeBytes,
    async open() {
      const source = await bytes.open()
      const cleaned = applyPatches(patches)
      // Either one's failure ends the other; whoever reads sees it.
      pipeline(source, cleaned).catch(() => {})
      return cleaned
    },
  }
}

function refused(reason: RefusalReason, message: string): RefusedUpload {
  return { status: 'REFUSED', reason, message }
}
