/** What resumable uploads ask of the files service: who may send what, and what becomes of it. */
import type { Viewer } from '../platform/viewer.ts'

/** What a client says of a file before it sends it. None of it is believed but the size, which is held to. */
export interface ClaimedFile {
  name: string
  /** Empty where the client says nothing. */
  contentType: string
  sizeBytes: number
}

/** An upload that belongs to the viewer. */
export interface ExpectedUpload {
  attachmentId: string
  /** The key that its bytes are to have in the storage; of this upload alone. */
  objectKey: string
}

export interface UploadGate {
  /** Takes note of it, and holds its size against the limits. Throws RefusedError: nothing was begun. */
  begin(viewer: Viewer, file: ClaimedFile): Promise<ExpectedUpload>
  /** Null where there is none by this key, or it is somebody else's. Also when it is finished. */
  find(viewer: Viewer, objectKey: string): Promise<ExpectedUpload | null>
  /** All of it stands in the storage under its key. Safe to repeat, also by two at once. Throws RefusedError. */
  finish(viewer: Viewer, objectKey: string): Promise<void>
  /** It will not come. Safe to repeat; never undoes `finish`. */
  abort(viewer: Viewer, objectKey: string): Promise<void>
}
