// A throwaway Redis: the redis-server of this machine on a free port of 127.0.0.1, without persistence.

import { once } from 'node:events'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { Redis } from 'ioredis'
import { findProgram } from '../../test/support/find-program.ts'
import { BenchProcess } from './processes.ts'

const START_TIMEOUT_MS = 10_000

export interface BenchRedis {
  url: string
  pid: number
  stop(): Promise<void>
}

export async function startRedis({ cpu }: { cpu?: number } = {}): Promise<BenchRedis> {
  const program = findProgram('redis-server')
  if (program === null) throw new Error('there is no redis-server on this machine: "npm run test:setup" installs it')
  const port = await findFreePort()
  const settings = { port, bind: '127.0.0.1', dir: tmpdir(), save: '', appendonly: 'no', loglevel: 'warning' }
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)])
  const server = new BenchProcess('', args, { cpu, command: [program] })
  const url = `redis://127.0.0.1:${port}`
  try {
    await untilReady(url)
  } catch (error) {
    await server.stop()
    throw error
  }
  return { url, pid: server.pid, stop: () => server.stop() }
}

async function untilReady(url: string): Promise<void> {
  const redis = new Redis(url, { retryStrategy: () => 20, maxRetriesPerRequest: null })
  // Refused until it listens.
  redis.on('error', () => {})
  const timer = setTimeout(() => redis.disconnect(), START_TIMEOUT_MS)
  try {
    await redis.ping()
  } finally {
    clearTimeout(timer)
    redis.disconnect()
  }
}

/** Redis cannot choose one itself. */
async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  if (address === null || typeof address === 'string') throw new Error('no free port')
  return address.port
}
