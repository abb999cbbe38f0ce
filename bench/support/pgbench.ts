// pgbench, PostgreSQL's own load generator: how fast the database takes a statement when nothing but C asks for it.

import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

export interface PgbenchRun {
  url: string
  /** One transaction, in pgbench's language. */
  script: string
  clients: number
  seconds: number
}

/** Transactions per second, connecting apart, every client with prepared statements. */
export async function pgbench({ url, script, clients, seconds }: PgbenchRun): Promise<number> {
  const dir = await mkdtemp(join(tmpdir(), 'sohbet-bench-'))
  try {
    const file = join(dir, 'script.sql')
    await writeFile(file, script)
    const { stdout } = await run(
      'pgbench',
      ['--no-vacuum', '-M', 'prepared', '-f', file, '-c', `${clients}`, '-j', '2', '-T', `${seconds}`, url],
      // Its messages in English, whatever the machine speaks.
      { env: { PATH: process.env.PATH, LC_ALL: 'C' } },
    )
    const found = /tps = ([\d.]+) \(without initial connection time\)/.exec(stdout)
    if (!found) throw new Error(`pgbench said no rate:\n${stdout}`)
    return Number(found[1])
  } catch (error) {
    // Node says ENOENT where the program is missing.
    if (Object(error).code !== 'ENOENT') throw error
    throw new Error('pgbench is not installed: npm run test:setup brings it (Debian: postgresql-contrib)')
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}
