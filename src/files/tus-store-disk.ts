/**
 * Uploads in the folder of the disk storage. See TusStore. `<id>` has the bytes that came, `<id>.json` what was announced;
 * both may be on a folder that nodes share. Why not @tus/file-store: docs/decisions/0013-storage-and-uploads.md.
 */
import { randomUUID } from 'node:crypto'
import { open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { DataStore, ERRORS, Upload } from '@tus/server'
import { requireObjectKey } from './file-storage.ts'
import type { DiskFileStorage } from './file-storage-disk.ts'
import { TUS_EXTENSIONS, type TusStore } from './tus-store.ts'
import { writeFrom } from './write-file.ts'

interface Announced {
  size: number
  metadata: Record<string, string | null>
  creationDate: string
}

export class DiskTusStore extends DataStore implements TusStore {
  override extensions = TUS_EXTENSIONS
  readonly #storage: DiskFileStorage
  readonly #expirationMs: number

  constructor({ storage, expirationMs }: { storage: DiskFileStorage; expirationMs: number }) {
    super()
    this.#storage = storage
    this.#expirationMs = expirationMs
  }

  override async create(upload: Upload): Promise<Upload> {
    const { bytes, announcement } = this.#pathsOf(upload.id)
    const announced = { size: upload.size, metadata: upload.metadata ?? {}, creationDate: upload.creation_date }
    await writeFile(bytes, '', { flag: 'wx', mode: 0o640 })
    // With its announcement, whole, the upload exists.
    const partial = `${announcement}.${randomUUID()}`
    await writeFile(partial, JSON.stringify(announced), { mode: 0o640, flush: true })
    await rename(partial, announcement)
    return upload
  }

  override async write(source: Readable, id: string, offset: number): Promise<number> {
    const file = await open(this.#pathsOf(id).bytes, 'r+').catch(throwNotFound)
    try {
      const end = await writeFrom(file, source, offset)
      await file.sync()
      return end
    } finally {
      await file.close()
    }
  }

  override async getUpload(id: string): Promise<Upload> {
    const { bytes, announcement } = this.#pathsOf(id)
    try {
      const [{ size, metadata, creationDate }, { size: offset }] = await Promise.all([
        readJson(announcement),
        stat(bytes),
      ])
      return new Upload({ id, size, offset, metadata, creation_date: creationDate })
    } catch (error) {
      if (!isAbsent(error)) throw error
      const object = await this.#storage.stat(id)
      if (object === null) throw ERRORS.FILE_NOT_FOUND
      const { sizeBytes: size, modifiedAt } = object
      return new Upload({ id, size, offset: size, creation_date: modifiedAt.toISOString() })
    }
  }

  async finish(id: string): Promise<void> {
    const { bytes, announcement } = this.#pathsOf(id)
    await this.#storage.adopt(bytes, id)
    await rm(announcement, { force: true })
  }

  async discard(id: string): Promise<void> {
    const { bytes, announcement } = this.#pathsOf(id)
    for (const path of [announcement, bytes]) await rm(path, { force: true })
  }

  override remove(id: string): Promise<void> {
    return this.discard(id)
  }

  override getExpiration(): number {
    return this.#expirationMs
  }

  #pathsOf(id: string): { bytes: string; announcement: string } {
    requireObjectKey(id)
    const bytes = join(this.#storage.uploadsDir, id.replaceAll('/', '+'))
    return { bytes, announcement: `${bytes}.json` }
  }
}

async function readJson(path: string): Promise<Announced> {
  return JSON.parse(await readFile(path, 'utf8'))
}

function isAbsent(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}

function throwNotFound(error: unknown): never {
  throw isAbsent(error) ? ERRORS.FILE_NOT_FOUND : error
}
