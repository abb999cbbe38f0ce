import { existsSync, readFileSync } from 'node:fs'
import { chown, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { basename, delimiter, join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { temporaryFolder } from '../support/postgres-server.ts'
import { expectGone, type ProcessRow, processesOf } from '../support/process-table.ts'
import { endAll, personsPath, runToEnd, type SpawnedServer, spawnServer, urlIn } from '../support/spawn-server.ts'
import { copyBuiltProject, copyProject } from './project-copy.ts'
import { Writer } from './writer.ts'

// One copy of the project, as a fresh clone has it; the tests start it one after the other, on the same data.
let folder: string
let project: string
let writer: Writer

const npmStart = (cwd = project): SpawnedServer => spawnServer({ command: 'npm', args: ['start'], cwd })

/** The processes of a server that `npm start` runs, by what they are. */
async function processesByName(server: SpawnedServer): Promise<Record<string, ProcessRow>> {
  const rows = await processesOf(server.pid)
  const pidFile = await readFile(join(project, '.sohbet/postgres/postmaster.pid'), 'utf8')
  const postmaster = rows.find(({ pid }) => pid === Number(pidFile.split('\n')[0]))
  const find = (fits: (row: ProcessRow) => boolean) =>
    rows.find(fits) ?? expect.fail(`a process is missing in\n${rows.map(({ args }) => args).join('\n')}`)
  return {
    npm: find(({ pid }) => pid === server.pid),
    'the server': find(({ args }) => args.includes('dist/main.js')),
    "Postgres' supervisor": find(({ pid }) => pid === postmaster?.parent),
    'the postmaster': find(({ pid }) => pid === postmaster?.pid),
    'a backend': find(({ parent, args }) => parent === postmaster?.pid && args.startsWith('postgres: postgres sohbet')),
  }
}

/** Starts again and expects every message that was ever acknowledged, once. */
async function expectKept(): Promise<void> {
  const server = npmStart()
  await expectAcknowledged(await server.ready())
  server.signal('SIGINT', 'group')
  expect(await server.exited()).toEqual({ code: 0, signal: null })
}

async function expectAcknowledged(url: string): Promise<void> {
  const kept = await writer.read(url)
  expect(new Set(kept).size).toBe(kept.length)
  const lost = new Set(writer.acknowledged)
  for (const text of kept) lost.delete(text)
  expect([...lost]).toEqual([])
}

async function startWriting(server: SpawnedServer): Promise<void> {
  const before = writer.acknowledged.length
  writer.start(await server.ready())
  await eventually(() => expect(writer.acknowledged.length).toBeGreaterThan(before + 30))
}

beforeAll(async () => {
  folder = await temporaryFolder('npm-start')
  project = join(folder, 'project')
  await copyProject(project)
}, 120_000)

afterEach(async () => {
  await writer?.stop()
  await endAll()
}, 60_000)

afterAll(() => rm(folder, { recursive: true, force: true }))

describe('npm start', { timeout: 90_000 }, () => {
  it('builds, says where GraphiQL is and how to sign in, answers, and ends at Ctrl-C with no process left', async () => {
    const server = npmStart()
    const url = await server.ready()
    await eventually(() => expect(server.output()).toContain('Ctrl-C'))
    expect(server.output()).toMatch(/^build: compiling the server$/m)
    const graphiql = /^ *GraphiQL +(\S+)/m.exec(server.output())?.[1] ?? ''
    const page = await fetch(graphiql, { headers: { accept: 'text/html' }, signal: AbortSignal.timeout(20_000) })
    expect(page.headers.get('content-type')).toContain('text/html')
    expect(server.output()).toContain(`POST {"name":"Ada"} to ${url}/sign-in`)
    writer = await Writer.signIn(url)
    await writer.write(url)
    const processes = await processesOf(server.pid)
    server.signal('SIGINT', 'group')
    expect(await server.exited()).toEqual({ code: 0, signal: null })
    await expectGone(processes)
  })

  it('builds nothing the second time and finds the data of the first', async () => {
    const startedMs = performance.now()
    const server = npmStart()
    const url = await server.ready()
    console.info(`npm start, from built code: ready after ${Math.round(performance.now() - startedMs)} ms`)
    expect(server.output()).not.toContain('build:')
    await expectAcknowledged(url)
    expect(writer.acknowledged).toHaveLength(1)
  })

  it.each(['npm', 'the server', "Postgres' supervisor", 'the postmaster'])(
    'leaves no process and loses nothing that was acknowledged when %s is killed',
    async (name) => {
      const server = npmStart()
      await startWriting(server)
      const processes = await processesOf(server.pid)
      process.kill((await processesByName(server))[name]?.pid ?? 0, 'SIGKILL')
      await expectGone(processes)
      await writer.stop()
      await expectKept()
    },
  )

  it('goes on by itself and loses nothing that was acknowledged when a backend is killed', async () => {
    const server = npmStart()
    await startWriting(server)
    const { 'a backend': backend, 'the server': node } = await processesByName(server)
    process.kill(backend?.pid ?? 0, 'SIGKILL')
    await expectGone(backend ? [backend] : [])
    const before = writer.acknowledged.length
    await eventually(() => expect(writer.acknowledged.length).toBeGreaterThan(before + 30), { timeoutMs: 20_000 })
    await writer.stop()
    await expectAcknowledged(await server.ready())
    expect((await processesByName(server))['the server']).toEqual(node)
  })

  it.each([
    ['npm', /^npm/],
    ['its shell', /^sh -c/],
    ['the build', /^node scripts\/build/],
  ])('leaves no process when %s is killed during the build, and builds anew', async (_, pattern) => {
    await rm(join(project, 'dist/main.js'))
    const server = npmStart()
    await eventually(() => expect(server.output()).toContain('build: compiling'), { timeoutMs: 20_000 })
    const processes = await processesOf(server.pid)
    const found = processes.find(({ args }) => pattern.test(args))
    expect(found, processes.map(({ args }) => args).join('\n')).toBeDefined()
    process.kill(found?.pid ?? 0, 'SIGKILL')
    await server.exited() // and nobody is left who could write to its output
    await expectGone(processes)
    expect(server.output()).not.toContain('Sohbet is ready')
    await expectKept()
  })

  it('ends at Ctrl-C while it is still starting, and can start at once again', async () => {
    const server = npmStart()
    const [database] = await eventually(async () => {
      const rows = (await processesOf(server.pid)).filter(({ args }) => args.includes('-D '))
      expect(rows).not.toEqual([])
      return rows
    })
    expect(database).toBeDefined()
    const processes = await processesOf(server.pid)
    server.signal('SIGINT', 'group')
    await server.exited()
    await expectKept()
    await expectGone(processes)
  })

  it('refuses in one line to start twice on the same data', async () => {
    const first = npmStart()
    const url = await first.ready()
    const second = await runToEnd({ command: 'npm', args: ['start'], cwd: project })
    expect(second.code).toBe(1)
    const lines = second.output.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('>'))
    expect(lines).toEqual([
      expect.stringMatching(/^Sohbet could not start: The data folder \S+ is in use by process \d+/),
    ])
    await expectAcknowledged(url)
  })

  it('needs no terminal and no input, outlives the shell that started it, and ends at SIGTERM to npm alone', async () => {
    const log = join(folder, 'nohup.log')
    await writeFile(log, '')
    const script = `nohup npm start >>${log} 2>&1 <&- & echo $!`
    const shell = spawnServer({ command: '/bin/sh', args: ['-c', script], cwd: project })
    expect(await shell.exited()).toEqual({ code: 0, signal: null })
    await expectAcknowledged(await urlIn(() => readFileSync(log, 'utf8')))
    const processes = await processesOf(shell.pid)
    process.kill(Number(shell.output()), 'SIGTERM')
    await expectGone(processes)
    await expectKept()
  })

  it('says in one line what an older Node lacks', async () => {
    const outputs = []
    for (const [command, ...args] of await oldNodes()) outputs.push(await runToEnd({ command, args, cwd: project }))
    expect(outputs.length).toBeGreaterThanOrEqual(2)
    for (const { code, output } of outputs) {
      expect(output).toMatch(/^Sohbet needs Node 22\.18 or newer.*\n$/)
      expect(code).toBe(1)
    }
  })
})

/**
 * Commands that start the program by hand on an older Node: on a real one where this machine has it, and always on this
 * one with the version of an older one written into the files.
 */
async function oldNodes(): Promise<[string, ...string[]][]> {
  const files = ['scripts/require-node.js', 'dist/main.js']
  const folders = new Set([...personsPath().split(delimiter), '/usr/bin', '/usr/local/bin'])
  const found: [string, ...string[]][] = []
  for (const node of [...folders].map((path) => join(path, 'node')).filter((path) => existsSync(path))) {
    const { output } = await runToEnd({ command: node, args: ['-p', 'process.versions.node'], cwd: project })
    const [major = 0, minor = 0] = output.split('.').map(Number)
    if (major < 22 || (major === 22 && minor < 18)) found.push(...files.map((file): [string, string] => [node, file]))
  }
  for (const file of files) {
    const pretending = join(folder, basename(file, '.js').concat('.mjs'))
    const text = await readFile(join(project, file), 'utf8')
    expect(text).toContain('process.versions.node')
    await writeFile(pretending, text.replaceAll('process.versions.node', '"20.19.5"'))
    found.push([process.execPath, pretending])
  }
  return found
}

// Only root can become another user, and only root's Postgres is another user than who starts it.
const IS_ROOT = process.getuid?.() === 0
const NOBODY = { uid: 65_534, gid: 65_534 }
const asRoot = IS_ROOT ? describe : describe.skip
asRoot(`npm start, by root${IS_ROOT ? '' : ' (left out: the tests do not run as root)'}`, { timeout: 90_000 }, () => {
  it('works for an ordinary user', async () => {
    const cwd = join(folder, 'ordinary', 'project')
    const home = join(folder, 'ordinary', 'home')
    await mkdir(home, { recursive: true })
    await chown(home, NOBODY.uid, NOBODY.gid)
    await copyBuiltProject(project, cwd, NOBODY)
    await expectWorks(spawnServer({ command: 'npm', args: ['start'], cwd, env: { HOME: home }, ...NOBODY }))
  })

  it('works with the clone below a closed home folder', async () => {
    const home = join(folder, 'closed')
    await mkdir(home, { mode: 0o700 })
    const cwd = join(home, 'project')
    await copyBuiltProject(project, cwd)
    const server = spawnServer({ command: 'npm', args: ['start'], cwd, env: { HOME: home } })
    const dataDir = () => /The data is kept in (\/var\/lib\/sohbet\/[0-9a-f]+):/.exec(server.output())?.[1]
    onTestFinished(() => rm(dataDir() ?? join(home, 'nothing'), { recursive: true, force: true }))
    await expectWorks(server)
    expect(dataDir()).toBeDefined()
  })
})

async function expectWorks(server: SpawnedServer): Promise<void> {
  const url = await server.ready()
  expect(server.output()).not.toContain('build:')
  const writerThere = await Writer.signIn(url)
  await writerThere.write(url)
  expect(await writerThere.read(url)).toEqual(writerThere.acknowledged)
  const processes = await processesOf(server.pid)
  server.signal('SIGINT', 'group')
  expect(await server.exited()).toEqual({ code: 0, signal: null })
  await expectGone(processes)
}
