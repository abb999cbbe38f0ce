// Tells whether a build step's result still stands: its stamp holds a fingerprint of every file that went in and came
// out. A file whose time and size are unchanged is taken for unchanged; only the others are read and hashed.
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

interface Print {
  mtimeMs: number
  size: number
  hash: string
}

export type Fingerprint = Record<string, Print>

export interface Stamp {
  command: string[]
  inputs: Fingerprint
  outputs: Fingerprint
}

/** The stamp at this path; null when there is none that can be read. */
export function readStamp(path: string): Stamp | null {
  try {
    const stamp: Stamp = JSON.parse(readFileSync(path, 'utf8'))
    return stamp.inputs && stamp.outputs && stamp.command ? stamp : null
  } catch {
    return null
  }
}

export function writeStamp(path: string, stamp: Stamp): void {
  const half = `${path}.${process.pid}`
  writeFileSync(half, JSON.stringify(stamp))
  renameSync(half, path)
}

export function removeStamp(path: string): void {
  rmSync(path, { force: true })
}

/** All files below the path, or the path itself when it is a file; none when it is missing. In a settled order. */
export function filesAt(path: string): string[] {
  try {
    if (statSync(path).isFile()) return [path]
  } catch {
    return []
  }
  const entries = readdirSync(path, { withFileTypes: true })
  return entries.flatMap((entry) => filesAt(join(path, entry.name))).sort()
}

/** Where `known` has a file with the same time and size, its hash is taken from there. */
export function fingerprint(files: string[], known: Fingerprint = {}): Fingerprint {
  return Object.fromEntries(
    files.map((file): [string, Print] => {
      const { mtimeMs, size } = statSync(file)
      const before = known[file]
      if (before && before.mtimeMs === mtimeMs && before.size === size) return [file, before]
      return [file, { mtimeMs, size, hash: createHash('sha256').update(readFileSync(file)).digest('hex') }]
    }),
  )
}

export function sameContent(a: Fingerprint, b: Fingerprint): boolean {
  const files = Object.keys(a)
  return files.length === Object.keys(b).length && files.every((file) => a[file]?.hash === b[file]?.hash)
}
