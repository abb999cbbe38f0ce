/**
 * Files in a folder, also one that several nodes share. See FileStorage. An object is written to `tmp/`, flushed, and
 * renamed into place, so that its name and its bytes appear together, also after a crash of the machine.
 *
 * `objects/<shard>/<key>`: the shard is the first byte of the key's hash, so that no folder holds all objects; a `/` of the
 * key is written as `+`, which no key has, so that no key is another's folder. `uploads/` holds what is still coming.
 */
import { createHash, randomUUID } from 'node:crypto'
import type { Dirent } from 'node:fs'
import { mkdir, open, readdir, rename, rm, stat, unlink } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import {
  ByteMeter,
  type FileStorage,
  heard,
  MissingObjectError,
  type ObjectPage,
  type ObjectStat,
  requireObjectKey,
  requireRange,
  type WriteOptions,
} from './file-storage.ts'
import { writeFrom } from './write-file.ts'

const SHARDS = 256
/** How many files are looked at or removed at once. */
const BATCH = 32

export interface DiskFileStorage extends FileStorage {
  /** The folder for what is still coming, on the same file system as the objects. */
  readonly uploadsDir: string
  /** Makes a finished file the object of the key: flushed and renamed, never copied. Safe to repeat. */
  adopt(path: string, key: string): Promise<void>
}

/** Makes the folder where there is none. */
export async function openDiskFileStorage({ dir }: { dir: string }): Promise<DiskFileStorage> {
  const root = resolve(dir)
  const [objects, temporary, uploads] = ['objects', 'tmp', 'uploads'].map((name) => join(root, name)) as [
    string,
    string,
    string,
  ] // three in, three out
  for (const folder of [objects, temporary, uploads]) await mkdir(folder, { recursive: true, mode: 0o750 })

  const pathOf = (key: string): string => {
    requireObjectKey(key)
    return join(objects, shardOf(key), key.replaceAll('/', '+'))
  }
  const moveIntoPlace = async (from: string, key: string): Promise<void> => {
    const path = pathOf(key)
    const folder = dirname(path)
    const made = await mkdir(folder, { recursive: true, mode: 0o750 })
    await rename(from, path)
    await flushFolder(folder)
    if (made !== undefined) await flushFolder(objects)
  }

  return {
    uploadsDir: uploads,

    async write(key, source, { maxBytes, signal }) {
      pathOf(key)
      const partial = join(temporary, randomUUID())
      try {
        const sizeBytes = await writeFlushed(partial, source, { maxBytes, signal })
        await moveIntoPlace(partial, key)
        return { sizeBytes }
      } catch (error) {
        source.destroy()
        await rm(partial, { force: true })
        throw signal?.aborted ? signal.reason : error
      }
    },

    async read(key, { range, signal } = {}) {
      const file = await openOrNull(pathOf(key))
      if (file === null) throw new MissingObjectError(key)
      try {
        const { size } = await file.stat()
        if (range) requireRange(range, size)
        if (size === 0) {
          await file.close()
          return { stream: Readable.from([]), sizeBytes: 0 }
        }
        // With an end, a file that has become shorter would end the stream early; no object ever does.
        return { stream: heard(file.createReadStream({ ...range, signal })), sizeBytes: size }
      } catch (error) {
        await file.close()
        throw error
      }
    },

    stat: (key) => statOrNull(pathOf(key)),

    async delete(keys) {
      const paths = keys.map(pathOf)
      for (let at = 0; at < paths.length; at += BATCH) {
        await Promise.all(paths.slice(at, at + BATCH).map((path) => rm(path, { force: true })))
      }
    },

    list: ({ after, limit }) => listObjects(objects, after, limit),

    presignDownload: async () => null,

    async adopt(path, key) {
      try {
        await flush(path, 'r+')
        await moveIntoPlace(path, key)
      } catch (error) {
        if (!isAbsent(error)) throw error
        // Somebody may have moved it before, or just now.
        if ((await statOrNull(pathOf(key))) === null) throw new MissingObjectError(key, { cause: error })
      }
    },

    async removeStale(untouchedSince) {
      const counts = await Promise.all([temporary, uploads].map((folder) => removeOlder(folder, untouchedSince)))
      return counts.reduce((sum, count) => sum + count, 0)
    },

    close: async () => {},
  }
}

function shardOf(key: string): string {
  return createHash('sha256').update(key).digest('hex').slice(0, 2)
}

async function writeFlushed(path: string, source: Readable, { maxBytes, signal }: WriteOptions): Promise<number> {
  const file = await open(path, 'wx', 0o640)
  try {
    let sizeBytes = 0
    const take = async (bytes: AsyncIterable<Uint8Array>) => {
      sizeBytes = await writeFrom(file, bytes, 0)
    }
    await pipeline(source, new ByteMeter(maxBytes), take, { signal })
    await file.sync()
    return sizeBytes
  } finally {
    await file.close()
  }
}

async function flush(path: string, flags: 'r' | 'r+'): Promise<void> {
  const file = await open(path, flags)
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}

/** A rename is on disk only when its folder is. */
const flushFolder = (path: string) => flush(path, 'r')

function isAbsent(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}

function nullIfAbsent(error: unknown): null {
  if (isAbsent(error)) return null
  throw error
}

const openOrNull = (path: string) => open(path, 'r').catch(nullIfAbsent)

async function statOrNull(path: string): Promise<ObjectStat | null> {
  const found = await stat(path).catch(nullIfAbsent)
  return found && { sizeBytes: found.size, modifiedAt: found.mtime }
}

/** The cursor is `shard/name` of the last one listed. One shard's names are read at once: a 256th of all. */
async function listObjects(objects: string, after: string | null, limit: number): Promise<ObjectPage> {
  const [afterShard = '', afterName = ''] = after?.split('/') ?? []
  const page: ObjectPage = { objects: [], next: null }
  for (let number = 0; number < SHARDS; number++) {
    const shard = number.toString(16).padStart(2, '0')
    if (shard < afterShard) continue
    const names = await readNames(join(objects, shard))
    for (const name of shard === afterShard ? names.filter((one) => one > afterName) : names) {
      if (page.objects.length === limit) return page
      const found = await statOrNull(join(objects, shard, name))
      if (found === null) continue
      page.objects.push({ key: name.replaceAll('+', '/'), ...found })
      page.next = `${shard}/${name}`
    }
  }
  return { ...page, next: null }
}

async function readNames(folder: string): Promise<string[]> {
  const names = (await readdir(folder).catch(nullIfAbsent)) ?? []
  return names.sort()
}

async function removeOlder(folder: string, than: Date): Promise<number> {
  const entries: Dirent[] = await readdir(folder, { withFileTypes: true })
  let removed = 0
  for (const entry of entries.filter((one) => one.isFile())) {
    const path = join(folder, entry.name)
    const found = await statOrNull(path)
    if (found === null || found.modifiedAt >= than) continue
    await unlink(path).catch(nullIfAbsent)
    removed++
  }
  return removed
}
