// What Linux says of a process: the memory it holds, the files it may open, the CPU time of a server with its children.

import { readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { cpuMicroseconds } from './processes.ts'

const KIB = 1024
/** After the load: the last garbage of opening goes, the first keep-alive passes. */
const SETTLE_MS = 5_000
const SAMPLES = 12
const SAMPLE_EVERY_MS = 250

/** Resident memory of a process that nobody asks anything: the least of some seconds. Nobody's collector is forced. */
export async function quietRssBytes(pid: number): Promise<number> {
  await delay(SETTLE_MS)
  const samples: number[] = []
  for (let i = 0; i < SAMPLES; i++) {
    samples.push(await rssBytes(pid))
    await delay(SAMPLE_EVERY_MS)
  }
  return Math.min(...samples)
}

async function rssBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? Number.NaN) * KIB
}

/** How many files and sockets a process started from here may have open. Node raises its own limit up to this one. */
export async function maxOpenFiles(): Promise<number> {
  const limits = await readFile('/proc/self/limits', 'utf8')
  const [, hard = ''] = /^Max open files\s+\S+\s+(\S+)/m.exec(limits) ?? []
  return hard === 'unlimited' ? Number.POSITIVE_INFINITY : Number(hard)
}

/** CPU time of a server and its children, which all live on: a Postgres with its pooled connections. */
export async function familyCpuMicroseconds(pid: number): Promise<number> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')
  const pids = [pid, ...children.split(' ').filter(Boolean).map(Number)]
  // One that goes in between takes its time along.
  const times = await Promise.all(pids.map((each) => cpuMicroseconds(each).catch(() => 0)))
  return times.reduce((sum, time) => sum + time, 0)
}
