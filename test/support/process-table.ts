// Which processes there are, and how a test sees that all of them have gone.

import { spawn } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { expect } from 'vitest'
import { startOfProcess } from '../../src/platform/process-identity.ts'
import { eventually } from './eventually.ts'

export interface ProcessRow {
  pid: number
  parent: number
  /** Of its process group, which a process keeps when its parent goes. */
  group: number
  args: string
}

/** Every process but zombies. */
export async function processTable(): Promise<ProcessRow[]> {
  if (process.platform !== 'linux') {
    const ps = spawn('ps', ['-axo', 'pid=,ppid=,pgid=,stat=,args='], { stdio: ['ignore', 'pipe', 'inherit'] })
    const lines = (await ps.stdout.toArray()).join('').split('\n')
    return lines.flatMap((line): ProcessRow[] => {
      const [, pid, parent, group, state, args] = /^\s*(\d+)\s+(\d+)\s+(\d+)\s+(\S+)\s+(.*)$/.exec(line) ?? []
      if (args === undefined || state?.startsWith('Z')) return []
      return [{ pid: Number(pid), parent: Number(parent), group: Number(group), args }]
    })
  }
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const rows = pids.map(async (pid): Promise<ProcessRow[]> => {
    const status = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
    const args = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
    const [state, parent, group] = status.slice(status.lastIndexOf(')') + 2).split(' ')
    if (status === '' || state === 'Z') return []
    return [{ pid: Number(pid), parent: Number(parent), group: Number(group), args: args.replaceAll('\0', ' ').trim() }]
  })
  return (await Promise.all(rows)).flat()
}

/** A process group, and all descendants of its members. */
export async function processesOf(group: number): Promise<ProcessRow[]> {
  const table = await processTable()
  const found = new Set(table.filter((row) => row.group === group))
  for (const { pid } of found) for (const row of table) if (row.parent === pid) found.add(row)
  return [...found]
}

/** Waits until none of them is left. */
export async function expectGone(rows: readonly ProcessRow[], { timeoutMs = 15_000 } = {}): Promise<void> {
  const left = async () => {
    const starts = await Promise.all(rows.map(({ pid }) => startOfProcess(pid)))
    return rows.filter((_, index) => starts[index] !== null)
  }
  await eventually(async () => expect(await left()).toEqual([]), { timeoutMs })
}
