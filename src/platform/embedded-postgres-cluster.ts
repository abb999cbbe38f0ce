/**
 * Makes the embedded server's cluster (its files on disk). A cluster is there whole, with its password, or not at all:
 * it is made aside and renamed, so a kill during initdb leaves nothing that a later start could take for a database.
 */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chown, mkdtemp, open, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { type Account, exists } from './system-account.ts'

const INITDB_TIMEOUT_MS = 120_000
const HALF_MADE = 'postgres-half-made-'
const PASSWORD_FILE = 'sohbet-password'

/** Letters of every script count as letters where the system knows C.UTF-8; the order is the same everywhere. */
const LOCALES = [
  ['--locale-provider=builtin', '--builtin-locale=C.UTF-8', '--locale=C.UTF-8'],
  ['--locale-provider=builtin', '--builtin-locale=C.UTF-8', '--locale=C'],
]

/** What the server's own processes may see of the environment: none of the service's secrets. */
export const POSTGRES_ENVIRONMENT = { PATH: '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' }

/**
 * Makes the cluster unless it is there, and returns the password of its superuser `postgres`.
 * Every local user could connect to the port, so there is a random password, in a file (0600) inside the cluster.
 * The caller holds the data folder's lock.
 */
export async function ensureCluster(clusterDir: string, initdb: string, account: Account): Promise<string> {
  const passwordFile = join(clusterDir, PASSWORD_FILE)
  if (!(await exists(clusterDir))) await makeCluster(clusterDir, initdb, account)
  return readFile(passwordFile, 'utf8').catch((error: unknown) => {
    throw new Error(`The embedded database's password cannot be read: ${String(error)}`, { cause: error })
  })
}

const WHOLE = { recursive: true, force: true } as const

async function makeCluster(clusterDir: string, initdb: string, account: Account): Promise<void> {
  const parent = dirname(clusterDir)
  for (const name of await readdir(parent)) {
    // An initdb whose owner was killed may still be writing there: it ends when its folders are gone.
    if (name.startsWith(HALF_MADE)) await rm(join(parent, name), { ...WHOLE, maxRetries: 50, retryDelay: 20 })
  }
  const workshop = await mkdtemp(join(parent, HALF_MADE))
  try {
    const [made, passwordFile] = [join(workshop, 'cluster'), join(workshop, PASSWORD_FILE)]
    await writeFile(passwordFile, randomBytes(24).toString('hex'), { mode: 0o600, flush: true })
    if (account !== null) {
      await chown(passwordFile, account.uid, account.gid)
      await chown(workshop, account.uid, account.gid)
    }
    await runInitdb(initdb, made, passwordFile, account)
    await rename(passwordFile, join(made, PASSWORD_FILE))
    await syncFolder(made)
    await rename(made, clusterDir)
    await syncFolder(parent)
  } finally {
    await rm(workshop, WHOLE)
  }
}

async function runInitdb(initdb: string, dir: string, passwordFile: string, account: Account): Promise<void> {
  const flags = ['--username=postgres', '--auth=scram-sha-256', `--pwfile=${passwordFile}`, `--pgdata=${dir}`]
  const options = { ...account, cwd: '/', env: POSTGRES_ENVIRONMENT, timeout: INITDB_TIMEOUT_MS }
  let reason = ''
  for (const locale of LOCALES) {
    try {
      await promisify(execFile)(initdb, [...flags, '--encoding=UTF8', '--no-instructions', ...locale], options)
      return
    } catch (error) {
      const { stderr = '' }: { stderr?: string } = Object(error)
      reason = stderr.trim() || String(error)
    }
    if (!reason.includes('invalid locale')) break
  }
  throw new Error(`The embedded database could not be made: ${explain(reason)}`)
}

/** Adds what to do about a known failure to a message of Postgres. */
export function explain(message: string): string {
  if (!message.includes('shared libraries')) return message
  return `${message} (npm rebuild makes the links that an install without scripts leaves out)`
}

/** So that what was renamed into the folder is still there after a power cut. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
