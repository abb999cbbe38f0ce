// The project as a fresh clone has it after `npm ci`, in another folder.

import { execFile } from 'node:child_process'
import { cp, readFile, rm } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const PROJECT = fileURLToPath(new URL('../..', import.meta.url))
const COPY_TIMEOUT_MS = 240_000

interface Owner {
  uid: number
  gid: number
}

/** All but what git leaves out, and node_modules. `to` must not exist. */
export async function copyProject(to: string): Promise<void> {
  const ignored = await readIgnored()
  await cp(PROJECT, to, { recursive: true, filter: (path) => !ignored(relative(PROJECT, path)) })
  await copyNodeModules(PROJECT, to)
}

/** A copy of a copy, with what was built in it and without its data; it belongs to `owner` where that is given. */
export async function copyBuiltProject(from: string, to: string, owner?: Owner): Promise<void> {
  const left = new Set(['node_modules', '.sohbet'])
  const filter = (path: string) => !left.has(relative(from, path))
  // With the files' times, or the next build would have to read them all.
  await cp(from, to, { recursive: true, preserveTimestamps: true, filter })
  if (owner) await run('chown', '-R', `${owner.uid}:${owner.gid}`, to)
  await copyNodeModules(from, to)
}

/** Hard links where the file system is the same: nothing in node_modules is written to. */
async function copyNodeModules(from: string, to: string): Promise<void> {
  const paths = [join(from, 'node_modules'), join(to, 'node_modules')] as const // two
  await run('cp', '-al', ...paths).catch(async () => {
    await rm(paths[1], { recursive: true, force: true })
    await run('cp', '-a', ...paths)
  })
}

const run = (program: string, ...args: string[]) => promisify(execFile)(program, args, { timeout: COPY_TIMEOUT_MS })

/** Knows the patterns that .gitignore has: paths, and endings of names. */
async function readIgnored(): Promise<(path: string) => boolean> {
  const patterns = (await readFile(join(PROJECT, '.gitignore'), 'utf8')).split('\n').filter((line) => line !== '')
  const endings = patterns.filter((pattern) => pattern.startsWith('*')).map((pattern) => pattern.slice(1))
  const paths = new Set(['.git', ...patterns.map((pattern) => pattern.replace(/\/$/, ''))])
  return (path) => paths.has(path) || endings.some((ending) => path.endsWith(ending))
}
