import type { ClaimedFile, ExpectedUpload, UploadGate } from '../../src/files/upload-gate.ts'
import { RefusedError } from '../../src/platform/errors.ts'
import { newId } from '../../src/platform/ids.ts'
import type { Viewer } from '../../src/platform/viewer.ts'

interface Known extends ExpectedUpload {
  userId: string
  file: ClaimedFile
  state: 'COMING' | 'FINISHED' | 'ABORTED'
}

/** What the files service does for uploads, without rows: all nodes of a test share one. */
export class MemoryGate implements UploadGate {
  readonly uploads = new Map<string, Known>()
  readonly #maxBytes: number
  /** How many of the next calls of `finish` fail, as when the database is away. */
  failures = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  async begin({ userId }: Viewer, file: ClaimedFile): Promise<ExpectedUpload> {
    if (file.sizeBytes > this.#maxBytes) throw new RefusedError('PAYLOAD_TOO_LARGE', 'The file is too large.')
    const attachmentId = newId()
    const upload = { attachmentId, objectKey: `${attachmentId}/original` }
    this.uploads.set(upload.objectKey, { ...upload, userId, file, state: 'COMING' })
    return upload
  }

  async find({ userId }: Viewer, objectKey: string): Promise<ExpectedUpload | null> {
    const known = this.uploads.get(objectKey)
    return known?.userId === userId && known.state !== 'ABORTED' ? known : null
  }

  async finish(viewer: Viewer, objectKey: string): Promise<void> {
    if (this.failures-- > 0) throw new Error('the database is away')
    const known = await this.#require(viewer, objectKey)
    known.state = 'FINISHED'
  }

  async abort(viewer: Viewer, objectKey: string): Promise<void> {
    const known = await this.#require(viewer, objectKey)
    if (known.state === 'COMING') known.state = 'ABORTED'
  }

  async #require({ userId }: Viewer, objectKey: string): Promise<Known> {
    const known = this.uploads.get(objectKey)
    if (known?.userId !== userId) throw new Error('the route asks for what is not theirs')
    return known
  }
}
