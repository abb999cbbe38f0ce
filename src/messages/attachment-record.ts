import type { AttachmentKind, AttachmentStatus } from '../generated/prisma/enums.ts'

/**
 * What everybody who may see an attachment may know of it, as it travels with its message. One that is READY does not
 * change any more.
 */
export interface AttachmentRecord {
  id: string
  uploaderId: string
  /** As its uploader named it, any Unicode; no path. */
  name: string
  /** As found in the content. */
  contentType: string
  kind: AttachmentKind
  status: AttachmentStatus
  /** Why it was refused, as a code; null where it was not. */
  refusal: string | null
  sizeBytes: number
  /** In pixels, as it is shown; null where it has none or nobody knows. */
  width: number | null
  height: number | null
  durationMs: number | null
  /** A ThumbHash, base64: some bytes that show roughly what the picture will be. */
  placeholder: string | null
  /** Smaller pictures, smallest first. */
  renditions: AttachmentRendition[]
  /** ISO 8601, in UTC. */
  createdAt: string
}

export interface AttachmentRendition {
  /** Unique within the attachment; a part of its url. */
  name: string
  objectKey: string
  contentType: string
  width: number
  height: number
  sizeBytes: number
}
