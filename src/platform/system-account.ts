/**
 * The account that Postgres runs as. Postgres refuses to run as root, so root starts it as another user,
 * who has to be able to reach its files.
 */
import { execFile } from 'node:child_process'
import { stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { promisify } from 'node:util'

const COMMAND_TIMEOUT_MS = 5_000
const run = promisify(execFile)

/** Ids to start a program with; null is this process's own user. */
export type Account = { readonly uid: number; readonly gid: number } | null

export const runsAsRoot = (): boolean => process.getuid?.() === 0

/**
 * An ordinary user starts Postgres as themselves; root as the owner of the existing cluster, else as `postgres`,
 * else as `nobody`, one of which every system has.
 */
export async function postgresAccount(clusterDir?: string): Promise<Account> {
  if (!runsAsRoot()) return null
  const owner = clusterDir === undefined ? null : await stat(clusterDir).catch(() => null)
  if (owner !== null && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid }
  const account = (await accountNamed('postgres')) ?? (await accountNamed('nobody'))
  if (account !== null) return account
  throw new Error('Postgres does not run as root, and there is neither a user postgres nor nobody: set DATABASE_URL')
}

async function accountNamed(name: string): Promise<Account> {
  const id = async (flag: string) => Number((await run('id', [flag, name], { timeout: COMMAND_TIMEOUT_MS })).stdout)
  try {
    return { uid: await id('-u'), gid: await id('-g') }
  } catch {
    return null // no such user
  }
}

/** Whether the account may enter the folder, or run the file, at this path or at its nearest parent that exists. */
export async function canReach(account: Account, path: string): Promise<boolean> {
  for (let existing = path; ; existing = dirname(existing)) {
    if (existing !== dirname(existing) && !(await exists(existing))) continue
    const options = { ...account, cwd: '/', timeout: COMMAND_TIMEOUT_MS }
    return run('/bin/sh', ['-c', 'test -x "$0"', existing], options).then(
      () => true,
      () => false,
    )
  }
}

export async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}
