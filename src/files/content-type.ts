/**
 * What a file is, by its bytes; what the client calls it plays no part. A type is inline-safe if a browser that opens it
 * shows or plays it and runs nothing. Everything that is not known to be so is a download.
 */
import { FileTypeParser } from 'file-type'
import { normaliseType } from './allowed-types.ts'
import { findTextType } from './text-type.ts'

export type FileKind = 'IMAGE' | 'VIDEO' | 'AUDIO' | 'FILE'

export interface ContentType {
  /** Without parameters. Text is UTF-8 where it is inline-safe. */
  contentType: string
  /** An IMAGE is one that this service can decode, and so strip and show; any other picture is a FILE. */
  kind: FileKind
  isInlineSafe: boolean
}

/** The beginning of a file that is enough to tell its type. */
export const SNIFFED_BYTES = 64 * 1024

const SNIFFING_TIMEOUT_MS = 5000
const MAX_SNIFFING_BUFFER_BYTES = 1024 * 1024

export const UNKNOWN_TYPE: ContentType = {
  contentType: 'application/octet-stream',
  kind: 'FILE',
  isInlineSafe: false,
}

/** The allow-list: what may be shown or played in the page. */
const INLINE_KINDS: Readonly<Record<string, FileKind>> = {
  'image/jpeg': 'IMAGE',
  'image/png': 'IMAGE',
  'image/gif': 'IMAGE',
  'image/webp': 'IMAGE',
  'image/avif': 'IMAGE',
  'video/mp4': 'VIDEO',
  'video/webm': 'VIDEO',
  'video/quicktime': 'VIDEO',
  'video/ogg': 'VIDEO',
  'audio/mpeg': 'AUDIO',
  'audio/mp4': 'AUDIO',
  'audio/aac': 'AUDIO',
  'audio/ogg': 'AUDIO',
  'audio/wav': 'AUDIO',
  'audio/webm': 'AUDIO',
  'audio/flac': 'AUDIO',
}

/** Formats whose signature is text, so that a file of nothing but text may truly be one. */
const TEXTUAL_SIGNATURES = new Set([
  'application/pdf',
  'application/rtf',
  'application/postscript',
  'application/eps',
  'application/pgp-encrypted',
  'text/calendar',
  'text/vcard',
  'text/vtt',
])

/** `head` is the beginning of the file, SNIFFED_BYTES of it or all. */
export async function sniffContentType(head: Buffer, totalBytes: number): Promise<ContentType> {
  if (totalBytes === 0) return UNKNOWN_TYPE
  const text = findTextType(head, head.length >= totalBytes)
  const signature = await findSignature(head)
  // A picture, a sound and a program have bytes that text has not. So a script which begins like a GIF is text here.
  if (text !== null && (signature === null || !TEXTUAL_SIGNATURES.has(signature))) return { ...text, kind: 'FILE' }
  return signature === null ? UNKNOWN_TYPE : describeType(signature)
}

export function describeType(contentType: string): ContentType {
  const kind = INLINE_KINDS[contentType]
  if (kind !== undefined) return { contentType, kind, isInlineSafe: true }
  return { contentType, kind: kindOfOther(contentType), isInlineSafe: false }
}

function kindOfOther(contentType: string): FileKind {
  if (contentType.startsWith('video/')) return 'VIDEO'
  return contentType.startsWith('audio/') && contentType !== 'audio/midi' ? 'AUDIO' : 'FILE'
}

async function findSignature(head: Buffer): Promise<string | null> {
  const parser = new FileTypeParser({
    maxBufferSize: MAX_SNIFFING_BUFFER_BYTES,
    signal: AbortSignal.timeout(SNIFFING_TIMEOUT_MS),
  })
  try {
    const found = await parser.fromBuffer(head)
    return found === undefined ? null : normaliseType(found.mime)
  } catch {
    // What its own parser stumbles over is of no known type.
    return null
  }
}
