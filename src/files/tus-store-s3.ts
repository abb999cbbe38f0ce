/**
 * Uploads as multipart uploads of S3, by @tus/s3-store. See TusStore. What came last and is too small for a part stands
 * beside the object as `<id>.part`, what was announced as `<id>.info`; no object has such a key.
 */
import { S3Store } from '@tus/s3-store'
import { ERRORS, Upload } from '@tus/server'
import { MissingObjectError, requireObjectKey } from './file-storage.ts'
import type { S3FileStorage } from './file-storage-s3.ts'
import { TUS_EXTENSIONS, type TusStore } from './tus-store.ts'

export class S3TusStore extends S3Store implements TusStore {
  readonly #storage: S3FileStorage

  constructor({ storage, bucket, expirationMs }: { storage: S3FileStorage; bucket: string; expirationMs: number }) {
    super({
      s3ClientConfig: { ...storage.clientConfig, bucket },
      expirationPeriodInMilliseconds: expirationMs,
      useTags: false,
      // Another node may have ended the upload: what was announced is read anew each time.
      cache: { get: async () => undefined, set: async () => {}, delete: async () => {} },
    })
    this.extensions = TUS_EXTENSIONS
    this.#storage = storage
  }

  override async getUpload(id: string): Promise<Upload> {
    requireObjectKey(id)
    try {
      return await super.getUpload(id)
    } catch (error) {
      if (error !== ERRORS.FILE_NOT_FOUND) throw error
      const object = await this.#storage.stat(id)
      if (object === null) throw error
      const { sizeBytes: size, modifiedAt } = object
      return new Upload({ id, size, offset: size, creation_date: modifiedAt.toISOString() })
    }
  }

  async finish(id: string): Promise<void> {
    if ((await this.#storage.stat(id)) === null) throw new MissingObjectError(id)
    await this.#forget(id)
  }

  async discard(id: string): Promise<void> {
    requireObjectKey(id)
    await super.remove(id).catch((error: unknown) => {
      if (error !== ERRORS.FILE_NOT_FOUND) throw error
    })
    await this.#forget(id)
  }

  override remove(id: string): Promise<void> {
    return this.discard(id)
  }

  async #forget(id: string): Promise<void> {
    const Objects = [this.infoKey(id), this.partKey(id, true)].map((Key) => ({ Key }))
    await this.client.deleteObjects({ Bucket: this.bucket, Delete: { Objects, Quiet: true } })
  }
}
