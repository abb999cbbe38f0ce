/**
 * A lock file that names its owner: held by at most one live process, and free again when that process is gone,
 * however it went.
 */
import { randomUUID } from 'node:crypto'
import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { startOfProcess } from './process-identity.ts'

/** How long a lock file without content may be one that is just being written. */
const WRITING_MS = 1_000
const ATTEMPTS = 100

export interface ProcessLock {
  /** Gives the lock up. Safe to call twice. */
  release(): Promise<void>
}

/** The lock belongs to a live process. */
export class LockedError extends Error {
  readonly ownerPid: number

  constructor(path: string, ownerPid: number) {
    super(`${path} is held by process ${ownerPid}`)
    this.name = 'LockedError'
    this.ownerPid = ownerPid
  }
}

/** Takes the lock or throws LockedError at once; never waits for an owner. The file's folder must exist. */
export async function acquireProcessLock(path: string): Promise<ProcessLock> {
  const mine = JSON.stringify({ pid: process.pid, start: await startOfProcess(process.pid), id: randomUUID() })
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    if (await createFile(path, mine)) return { release: () => removeIfSame(path, mine) }
    const found = await readSettled(path)
    if (found === null) continue
    const ownerPid = await liveOwner(found)
    if (ownerPid !== null) throw new LockedError(path, ownerPid)
    await removeIfSame(path, found)
  }
  throw new Error(`Could not take the lock ${path}: it changes hands all the time`)
}

async function createFile(path: string, content: string): Promise<boolean> {
  try {
    await writeFile(path, content, { flag: 'wx' })
    return true
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    throw error
  }
}

/** The file's content, null when it is gone. */
async function readSettled(path: string): Promise<string | null> {
  const deadline = Date.now() + WRITING_MS
  for (;;) {
    const content = await readFile(path, 'utf8').catch(unlessMissing)
    if (content !== '' || Date.now() > deadline) return content
    await delay(20)
  }
}

async function liveOwner(content: string): Promise<number | null> {
  let owner: { pid?: unknown; start?: unknown }
  try {
    owner = Object(JSON.parse(content))
  } catch {
    return null // cut off by a crash
  }
  if (typeof owner.pid !== 'number') return null
  return (await startOfProcess(owner.pid)) === owner.start ? owner.pid : null
}

/** Removes the file unless another process has put its own in its place since. */
async function removeIfSame(path: string, content: string): Promise<void> {
  // Moved aside first: between a look and a removal another process could have replaced it.
  const aside = `${path}.${randomUUID()}`
  try {
    await rename(path, aside)
  } catch (error) {
    unlessMissing(error)
    return
  }
  if ((await readFile(aside, 'utf8')) === content) await rm(aside, { force: true })
  else await rename(aside, path)
}

function unlessMissing(error: unknown): null {
  if (codeOf(error) === 'ENOENT') return null
  throw error
}

const codeOf = (error: unknown): unknown => Object(error).code
