// Which processors do what, and what stands beside the results: the machine and the versions.

import { spawnSync } from 'node:child_process'
import { availableParallelism, cpus } from 'node:os'

/** Taken before this process is pinned, after which it would see less. */
const PROCESSORS = availableParallelism()

/** The measured server has this one for itself, where there is more than one. */
export const SERVER_CPU = PROCESSORS > 1 ? 0 : undefined
/** The light client. With two processors everything else runs here as well. */
export const CLIENT_CPU = PROCESSORS > 1 ? 1 : undefined

/** Takes this process, and what it starts from now on, off the measured server's processor. */
export function leaveServerCpu(): void {
  if (PROCESSORS < 2) return
  const { status, stderr } = spawnSync('taskset', ['-a', '-p', '-c', `1-${PROCESSORS - 1}`, String(process.pid)])
  if (status !== 0) throw new Error(`taskset failed: ${String(stderr)}`)
}

export interface Environment {
  node: string
  cpu: string
  processors: number
  commit: string
}

export function describeEnvironment(): Environment {
  const git = spawnSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' })
  return {
    node: process.versions.node,
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    processors: PROCESSORS,
    commit: git.status === 0 ? git.stdout.trim() : 'unknown',
  }
}

/** Rows under their heads, numbers to the right. */
export function printTable(heads: readonly string[], rows: readonly (readonly (string | number)[])[]): void {
  const texts = [heads, ...rows].map((row) => row.map((cell) => String(cell)))
  const widths = heads.map((_, column) => Math.max(...texts.map((row) => row[column]?.length ?? 0)))
  for (const row of texts) {
    const cells = row.map((cell, column) =>
      column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
    )
    process.stdout.write(`${cells.join('   ')}\n`)
  }
}
