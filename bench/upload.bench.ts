// A gigabyte by tus, with the unmodified tus-js-client: how much the server's memory grows meanwhile, seen from outside, and
// how fast it is, beside a plain server that pipes the body into a file.

import { createReadStream } from 'node:fs'
import { mkdtemp, open, readFile, rm } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { Upload } from 'tus-js-client'
import { describeEnvironment, leaveServerCpu, printTable, SERVER_CPU } from './support/machine.ts'
import { BenchProcess, cpuMicroseconds } from './support/processes.ts'
import { startSohbet } from './support/sohbet.ts'
import { medianOf, roundRatio } from './support/statistics.ts'

const MIB = 1024 * 1024
const SAMPLE_EVERY_MS = 20
/** A first one, that nobody counts, fills the server's buffers and warms its code. */
const WARM_UP_BYTES = 64 * MIB

interface Plan {
  bytes: number
  rounds: number
}

interface Run {
  seconds: number
  cpuSeconds: number
  rssGrowthMiB: number
}

/** Sends the file and resolves when the server has all of it. */
type Send = (file: string, bytes: number) => Promise<void>

export async function run({ quick }: { quick: boolean }): Promise<void> {
  const environment = describeEnvironment()
  leaveServerCpu()
  const plan: Plan = quick ? { bytes: 128 * MIB, rounds: 1 } : { bytes: 1024 * MIB, rounds: 3 }
  const dir = await mkdtemp(join(tmpdir(), 'sohbet-bench-upload-'))
  const runs: Record<'sohbet, tus' | 'plain', Run[]> = { 'sohbet, tus': [], plain: [] }
  try {
    const file = join(dir, 'file')
    await makeFile(file, plan.bytes)
    for (let round = 0; round < plan.rounds; round++) {
      runs['sohbet, tus'].push(await uploadToSohbet(plan, file))
      runs.plain.push(await uploadToPlainServer(plan, file, dir))
    }
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
  report(plan, runs, environment)
}

/** Not of zeros, which a file system may leave out. */
async function makeFile(path: string, bytes: number): Promise<void> {
  const block = Buffer.alloc(MIB, 'sohbet')
  const file = await open(path, 'w')
  for (let written = 0; written < bytes; written += block.length) await file.write(block)
  await file.sync()
  await file.close()
}

async function uploadToSohbet(plan: Plan, file: string): Promise<Run> {
  const server = await startSohbet({ cpu: SERVER_CPU, settings: { MAX_FILE_BYTES: String(plan.bytes) } })
  try {
    const headers = { authorization: `Bearer ${await server.tokenOf('Ada')}` }
    const endpoint = `http://${server.host}:${server.port}/uploads`
    const send: Send = (path, bytes) =>
      new Promise((resolve, reject) => {
        const source = createReadStream(path, { end: bytes - 1 })
        const metadata = { filename: 'film.bin', filetype: 'application/octet-stream' }
        new Upload(source as never, {
          // Its types know no stream of Node.
          ...{ endpoint, headers, metadata, uploadSize: bytes, retryDelays: null },
          onError: reject,
          onSuccess: () => resolve(),
        }).start()
      })
    return await measure(plan, file, { pid: server.pid, send })
  } finally {
    await server.stop()
  }
}

async function uploadToPlainServer(plan: Plan, file: string, dir: string): Promise<Run> {
  const server = new BenchProcess('servers/plain-upload.ts', [dir], { cpu: SERVER_CPU })
  try {
    const port = Number(await server.line())
    const send: Send = async (path, bytes) => {
      const sending = request({ port, method: 'PUT', headers: { 'content-length': bytes } })
      const answered = new Promise((resolve, reject) => sending.once('response', resolve).once('error', reject))
      await pipeline(createReadStream(path, { end: bytes - 1 }), sending)
      await answered
    }
    return await measure(plan, file, { pid: server.pid, send })
  } finally {
    await server.stop()
  }
}

async function measure(plan: Plan, file: string, { pid, send }: { pid: number; send: Send }): Promise<Run> {
  await send(file, Math.min(WARM_UP_BYTES, plan.bytes))
  const [rssBefore, cpuBefore, startedAt] = [await rssBytes(pid), await cpuMicroseconds(pid), performance.now()]
  const sampling = new AbortController()
  const highest = sampleRss(pid, sampling.signal)
  await send(file, plan.bytes)
  const seconds = (performance.now() - startedAt) / 1000
  const cpuSeconds = ((await cpuMicroseconds(pid)) - cpuBefore) / 1_000_000
  sampling.abort()
  return { seconds, cpuSeconds, rssGrowthMiB: ((await highest) - rssBefore) / MIB }
}

async function sampleRss(pid: number, signal: AbortSignal): Promise<number> {
  let highest = 0
  while (!signal.aborted) {
    highest = Math.max(highest, await rssBytes(pid))
    await delay(SAMPLE_EVERY_MS)
  }
  return highest
}

async function rssBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) * 1024
}

function report(
  { bytes }: Plan,
  runs: Record<string, Run[]>,
  environment: ReturnType<typeof describeEnvironment>,
): void {
  const of = (name: string, pick: (run: Run) => number) => medianOf((runs[name] ?? []).map(pick))
  const mibPerSecond = (name: string) => bytes / MIB / of(name, ({ seconds }) => seconds)
  printTable(
    ['', 'MiB/s', 'CPU s', 'RSS growth, MiB'],
    Object.keys(runs).map((name) => [
      name,
      mibPerSecond(name).toFixed(0),
      of(name, ({ cpuSeconds }) => cpuSeconds).toFixed(2),
      of(name, ({ rssGrowthMiB }) => rssGrowthMiB).toFixed(1),
    ]),
  )
  const highest = Math.max(...(runs['sohbet, tus'] ?? []).map(({ rssGrowthMiB }) => rssGrowthMiB))
  const result = {
    bench: 'upload',
    ratios: { 'sohbet/plain throughput': roundRatio(mibPerSecond('sohbet, tus') / mibPerSecond('plain')) },
    rssGrowthMiB: roundRatio(highest),
    mibPerSecond: roundRatio(mibPerSecond('sohbet, tus')),
    bytes,
    environment,
  }
  process.stdout.write(`RESULT ${JSON.stringify(result)}\n`)
}
