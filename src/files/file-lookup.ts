/** What a download needs to know of a file; the files service answers. */
import type { Viewer } from '../platform/viewer.ts'

export interface ServableFile {
  objectKey: string
  /** As its uploader called it: any text. */
  name: string
  /** By its content, never by what its uploader claimed. */
  contentType: string
  sizeBytes: number
  /** A strong one, with its quotes. It changes with the bytes. */
  etag: string
  /** Whether a browser that shows it runs nothing. */
  isInlineSafe: boolean
}

export interface FileLookup {
  /** For whoever holds a signed url. Null where there is none, or none that anyone may see. */
  findServable(attachmentId: string, rendition: string): Promise<ServableFile | null>
  /** Null as well where the viewer may not see it. */
  findServableFor(viewer: Viewer, attachmentId: string, rendition: string): Promise<ServableFile | null>
}
