import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { access, chmod, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { containerEnv, DockerBuild } from './docker-build.ts'
import { type Instruction, parseEnv, parseExec, type Stage } from './dockerfile.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  if (address === null || typeof address === 'string') throw new Error('The server listens on no port')
  return address.port
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  )

describe("the Dockerfile's steps in empty folders", () => {
  let folder: string
  let build: DockerBuild
  let image: Stage
  let service: ChildProcess | undefined

  const instruction = (name: string): Instruction => {
    const found = image.instructions.find((candidate) => candidate.name === name)
    if (!found) throw new Error(`The image has no ${name}`)
    return found
  }

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sohbet-docker-'))
    // As root, the embedded Postgres runs as another user, who must get in.
    await chmod(folder, 0o755)
    build = await DockerBuild.create(ROOT, folder)
    image = build.stages.at(-1) ?? expect.fail('The Dockerfile has no stage')
    await build.run()
  }, 300_000)

  afterAll(async () => {
    if (service && service.exitCode === null && service.signalCode === null) {
      service.kill('SIGKILL')
      await once(service, 'exit')
    }
    await rm(folder, { recursive: true, force: true, maxRetries: 10 })
  })

  it('start from one pinned base and end as an unprivileged user', () => {
    expect(new Set(build.stages.map((stage) => stage.base))).toEqual(new Set(['node:24.21.0-bookworm-slim']))
    expect(instruction('USER').text).toBe('node')
    expect(instruction('STOPSIGNAL').text).toBe('SIGTERM')
    expect(parseEnv(instruction('ENV').text).DATA_DIR).toBe(instruction('VOLUME').text)
  })

  it('leave only the built service and the packages that it runs on', async () => {
    expect((await readdir(build.at(image.name, '/app'))).toSorted()).toEqual(
      ['LICENSE', 'dist', 'node_modules', 'package.json', 'prisma', 'schema.graphql'].toSorted(),
    )
    const { devDependencies }: { devDependencies: Record<string, string> } = JSON.parse(
      await readFile(join(ROOT, 'package.json'), 'utf8'),
    )
    const kept = await Promise.all(
      ['prisma', 'node', 'typescript', 'vitest', '@biomejs/biome', '@prisma/engines'].map(async (name) =>
        (await exists(build.at(image.name, `/app/node_modules/${name}`))) ? name : null,
      ),
    )
    expect(Object.keys(devDependencies)).toEqual(expect.arrayContaining(['prisma', 'node', 'typescript', 'vitest']))
    expect(kept.filter((name) => name !== null)).toEqual([])
  })

  it('make a service that answers /health and ends on SIGTERM with 0', async () => {
    const app = build.at(image.name, '/app')
    const here = { HOST: '127.0.0.1', PORT: String(await freePort()), DATA_DIR: build.at(image.name, '/data') }
    const env = { ...containerEnv(), ...parseEnv(instruction('ENV').text), ...here }
    const [command = '', ...args] = parseExec(instruction('CMD').text)
    const [check = '', ...checkArgs] = parseExec(instruction('HEALTHCHECK').text)
    const isHealthy = (): Promise<boolean> =>
      promisify(execFile)(check, checkArgs, { cwd: app, env, timeout: 5_000 }).then(
        () => true,
        () => false,
      )

    expect(await isHealthy()).toBe(false)
    let output = ''
    const started = spawn(command, args, { cwd: app, env, stdio: ['ignore', 'pipe', 'pipe'] })
    service = started
    for (const stream of [started.stdout, started.stderr]) stream.on('data', (chunk) => (output += chunk))
    const exited = once(started, 'exit')
    const healthy = eventually(
      async () => {
        if (!(await isHealthy())) throw new Error(`The service is not healthy:\n${output}`)
      },
      { timeoutMs: 60_000 },
    )
    await Promise.race([healthy, exited.then(() => expect.fail(`The service ended:\n${output}`))])

    started.kill('SIGTERM')
    expect(await Promise.race([exited, delay(30_000, `still running:\n${output}`)])).toEqual([0, null])
    expect(await isHealthy()).toBe(false)
  }, 120_000)
})
