/**
 * Where the embedded default keeps its data. Settled before anything is written: a folder that Postgres could not
 * reach would fail later and less clearly.
 */
import { createHash } from 'node:crypto'
import { chmod, mkdir, realpath } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { canReach, exists, postgresAccount, runsAsRoot } from './system-account.ts'

export interface DataDirOptions {
  log?: (line: string) => void
  /** Where root's data goes when the project is out of Postgres' reach. Default /var/lib/sohbet. */
  fallbackRoot?: string
}

/**
 * The data folder, created where missing, as an absolute path: the configured one, else `.sohbet` in the project.
 * Started as root, Postgres runs as another user; when that user cannot enter the project (below a closed home
 * folder), `/var/lib/sohbet/<hash of the project's path>` takes its place, and `log` says so.
 * Throws when a configured folder cannot be reached, or the folder cannot be made.
 */
export async function resolveDataDir(
  configured: string | null,
  projectDir: string,
  { log = () => {}, fallbackRoot = '/var/lib/sohbet' }: DataDirOptions = {},
): Promise<string> {
  const wanted = configured === null ? join(resolve(projectDir), '.sohbet') : resolve(configured)
  const account = await postgresAccount(join(wanted, 'postgres'))
  if (await canReach(account, wanted)) return makeDataDir(wanted)
  if (configured !== null) {
    const who = runsAsRoot() ? `the user that Postgres runs as (uid ${account?.uid})` : 'this user'
    throw new Error(`DATA_DIR ${wanted} cannot be used: ${who} may not enter it or a folder above it`)
  }
  if (!runsAsRoot()) throw new Error(`${wanted} cannot be used: a folder above it is closed to this user. Set DATA_DIR`)
  const hash = createHash('sha256').update(resolve(projectDir)).digest('hex').slice(0, 12)
  const fallback = await makeDataDir(join(fallbackRoot, hash))
  log(`The data is kept in ${fallback}: the user that Postgres runs as cannot enter ${resolve(projectDir)}`)
  return fallback
}

/** Makes the folder and its missing parents, open for entering whatever the umask is. Returns its real path. */
export async function makeDataDir(path: string): Promise<string> {
  const made: string[] = []
  for (let missing = path; !(await exists(missing)); missing = dirname(missing)) made.push(missing)
  try {
    await mkdir(path, { recursive: true })
    for (const folder of made) await chmod(folder, 0o755)
    return await realpath(path)
  } catch (error) {
    throw new Error(`The data folder ${path} cannot be made: ${String(error)}`, { cause: error })
  }
}
