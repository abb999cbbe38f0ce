// The servers of bench/comparators: packages of their own, installed when a bench first needs them. Apart from the product's,
// so that the product does not carry them, and so that no process holds two copies of graphql.

import { spawnSync } from 'node:child_process'
import { readFile, stat } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { BenchProcess } from './processes.ts'

const DIRECTORY = fileURLToPath(new URL('../comparators/', import.meta.url))

export type ComparatorName = 'apollo' | 'mercurius' | 'socketio' | 'yoga'

export interface Comparator {
  name: ComparatorName
  pid: number
  port: number
  stop(): Promise<void>
}

export interface ComparatorOptions {
  redisUrl: string
  /** Of the channels that it listens to: a room's is this and the room's id. */
  channelPrefix: string
  cpu?: number
}

export async function startComparator(
  name: ComparatorName,
  { redisUrl, channelPrefix, cpu }: ComparatorOptions,
): Promise<Comparator> {
  await ensureInstalled()
  const server = new BenchProcess(`comparators/${name}.ts`, [], {
    cpu,
    env: { NODE_ENV: 'production', REDIS_URL: redisUrl, CHANNEL_PREFIX: channelPrefix },
  })
  return { name, pid: server.pid, port: Number(await server.line()), stop: () => server.stop() }
}

/** What is compared with, by package. */
export async function comparatorVersions(): Promise<Record<string, string>> {
  const { dependencies } = JSON.parse(await readFile(`${DIRECTORY}package.json`, 'utf8'))
  return dependencies
}

async function ensureInstalled(): Promise<void> {
  const [wanted, installed] = await Promise.all([
    modifiedMs(`${DIRECTORY}package-lock.json`),
    modifiedMs(`${DIRECTORY}node_modules/.package-lock.json`),
  ])
  if (installed >= wanted) return
  process.stdout.write('Installing what is compared with, once: npm ci --prefix bench/comparators\n')
  const { status } = spawnSync('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error', '--prefix', DIRECTORY], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  if (status !== 0) throw new Error('npm ci --prefix bench/comparators failed')
}

/** 0 of a file that is not there. */
async function modifiedMs(file: string): Promise<number> {
  const found = await stat(file).catch(() => null)
  return found?.mtimeMs ?? 0
}
