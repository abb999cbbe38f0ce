// The product as it ships: its built server with its embedded Postgres, signed in by JWT.

import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SignJWT } from 'jose'
import { BenchProcess } from './processes.ts'

const SECRET = 'a secret of the benches, long enough for HS256'

export interface Sohbet {
  host: string
  port: number
  pid: number
  tokenOf(name: string): Promise<string>
  /** A query or mutation that must succeed. */
  request<T>(token: string, query: string, variables?: object): Promise<T>
  stop(): Promise<void>
}

export async function startSohbet(cpu: number): Promise<Sohbet> {
  const dataDir = await mkdtemp(join(tmpdir(), 'sohbet-bench-'))
  await chmod(dataDir, 0o755)
  const server = new BenchProcess('../dist/main.js', [], {
    cpu,
    env: { PORT: '0', JWT_SECRET: SECRET, DATA_DIR: dataDir, LOG_LEVEL: 'warn' },
  })
  const ready = /http:\/\/([\d.]+):(\d+)/.exec(await server.line())
  if (!ready) throw new Error('the server did not say where it listens')
  const [, host = '', port = ''] = ready
  return {
    host,
    port: Number(port),
    pid: server.pid,
    tokenOf: (name) =>
      new SignJWT({ name })
        .setProtectedHeader({ alg: 'HS256' })
        .setSubject(name)
        .setExpirationTime('2h')
        .sign(Buffer.from(SECRET)),
    async request(token, query, variables = {}) {
      const response = await fetch(`http://${host}:${port}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
        body: JSON.stringify({ query, variables }),
      })
      const { data, errors } = await response.json()
      if (errors) throw new Error(JSON.stringify(errors))
      return data
    },
    async stop() {
      await server.stop()
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}
