import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const CLI = join(ROOT, 'node_modules/dependency-cruiser/bin/dependency-cruiser.mjs')
const BIOME = join(ROOT, 'node_modules/@biomejs/biome/bin/biome')

interface Summary {
  violations: { rule: { name: string }; from: string; to: string }[]
  ruleSetUsed: { forbidden: { name: string }[] }
}

async function cruise(cwd: string): Promise<Summary> {
  const args = [CLI, '--config', join(ROOT, '.dependency-cruiser.js'), '--output-type', 'json', 'src']
  const { stdout } = await promisify(execFile)(process.execPath, args, {
    cwd,
    timeout: 60_000,
    maxBuffer: 64 * 1024 ** 2,
  })
  const report: { summary: Summary } = JSON.parse(stdout)
  return report.summary
}

/**
 * One file per rule that breaks it, below `src/`, with the imports that do. The targets are made where they are missing.
 * Half of the imports are of types: a parser that erases those would miss the edge.
 */
const PLANTS: Record<string, { file: string; source: string }> = {
  'adapters-in-app-only': { file: 'rooms/plant-1.ts', source: `import '../realtime/planted-memory.ts'` },
  'redis-in-adapters-only': { file: 'rooms/plant-2.ts', source: `import type { Redis } from 'ioredis'` },
  'configuration-comes-in': { file: 'platform/plant-3.ts', source: `import '../config.ts'` },
  'composition-is-the-top': { file: 'rooms/plant-4.ts', source: `import type { App } from '../app.ts'` },
  'kernel-knows-no-feature': {
    file: 'transport/plant-5.ts',
    source: `import type { A } from '../rooms/planted-types.ts'`,
  },
  'event-registry-is-types-only': { file: 'events/room-event.ts', source: `import '../rooms/planted-types.ts'` },
  'platform-is-the-ground': { file: 'platform/plant-7.ts', source: `import type { A } from '../realtime/planted.ts'` },
  'events-know-no-transport': { file: 'events/plant-8.ts', source: `import { GraphQLError } from 'graphql'` },
  'event-sources-in-app-only': { file: 'rooms/plant-9.ts', source: `import './event-source.ts'` },
  'services-know-no-graphql': {
    file: 'rooms/planted-service.ts',
    source: `import type { A } from './schema-planted.ts'`,
  },
  'schema-asks-the-service': { file: 'rooms/planted-schema.ts', source: `export { x } from './planted-store.ts'` },
  'schema-holds-no-database': { file: 'users/schema-planted.ts', source: `const pg = await import('pg')` },
  'store-decides-nothing': { file: 'rooms/planted-store.ts', source: `import type { A } from './planted-policy.ts'` },
  'features-meet-at-their-faces': { file: 'messages/plant-14.ts', source: `import '../rooms/planted.ts'` },
  'users-direction': { file: 'users/plant-15.ts', source: `import '../rooms/planted-types.ts'` },
  'auth-direction': { file: 'auth/plant-16.ts', source: `import type { A } from '../rooms/planted-types.ts'` },
  'rooms-direction': { file: 'rooms/plant-17.ts', source: `import '../messages/planted-types.ts'` },
  'messages-direction': {
    file: 'messages/plant-18.ts',
    source: `import type { A } from '../reactions/planted-types.ts'`,
  },
  'reactions-direction': { file: 'reactions/plant-19.ts', source: `import '../presence/planted-types.ts'` },
  'read-markers-direction': { file: 'read-markers/plant-20.ts', source: `import '../reactions/planted-types.ts'` },
  'files-direction': { file: 'files/plant-21.ts', source: `import '../read-markers/planted-types.ts'` },
  'presence-direction': { file: 'presence/plant-22.ts', source: `import '../reactions/planted-types.ts'` },
  'live-direction': { file: 'live/plant-35.ts', source: `import '../notifications/planted-types.ts'` },
  'typing-direction': { file: 'typing/plant-23.ts', source: `import '../messages/planted-types.ts'` },
  'viewer-events-direction': {
    file: 'viewer-events/plant-24.ts',
    source: `import '../notifications/planted-types.ts'`,
  },
  'operations-direction': { file: 'operations/plant-36.ts', source: `import '../rooms/planted-types.ts'` },
  'server-info-direction': { file: 'server-info/plant-25.ts', source: `import '../notifications/planted-types.ts'` },
  'notifications-direction': { file: 'notifications/plant-26.ts', source: `import '../typing/planted-types.ts'` },
  'feature-is-listed': { file: 'drawers/plant-27.ts', source: `import '../platform/planted.ts'` },
  'realtime-is-opaque': { file: 'realtime/plant-28.ts', source: `import type { PrismaClient } from '@prisma/client'` },
  'no-drawers': { file: 'rooms/plant-29.ts', source: `import type { A } from '../platform/utils/planted.ts'` },
  'no-cycles': { file: 'rooms/plant-30.ts', source: `import type { A } from './plant-30.ts'` },
  'no-orphans': { file: 'rooms/plant-31.ts', source: `export const lonely = true` },
  'source-runs-without-dev-packages': { file: 'rooms/plant-32.ts', source: `import 'fast-check'` },
  'source-stands-alone': { file: 'rooms/plant-33.ts', source: `import type { A } from '../../test/planted.ts'` },
  'imports-resolve': { file: 'rooms/plant-34.ts', source: `import './never-written.ts'` },
}

async function plant(folder: string): Promise<void> {
  const write = async (file: string, text: string): Promise<void> => {
    await mkdir(dirname(join(folder, file)), { recursive: true })
    await writeFile(join(folder, file), `${text}\n`)
  }
  const planted = new Set(Object.values(PLANTS).map(({ file }) => join('src', file)))
  for (const { file, source } of Object.values(PLANTS)) {
    const target = /'(\.[^']+)'/.exec(source)?.[1]
    if (target && !target.includes('never-written')) {
      const path = join('src', dirname(file), target)
      if (!planted.has(path)) await write(path, 'export const x = 1')
    }
  }
  for (const { file, source } of Object.values(PLANTS)) await write(join('src', file), source)
}

describe('the boundaries lint', () => {
  let folder: string

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sohbet-boundaries-'))
    await cp(join(ROOT, 'src'), join(folder, 'src'), { recursive: true, filter: (path) => !path.endsWith('generated') })
    await cp(join(ROOT, 'package.json'), join(folder, 'package.json'))
    await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
    await plant(folder)
  })

  afterAll(() => rm(folder, { recursive: true, force: true }))

  it('finds nothing in the sources', async () => {
    expect((await cruise(ROOT)).violations).toEqual([])
  })

  it('catches a planted violation of each of its rules', async () => {
    const { violations, ruleSetUsed } = await cruise(folder)
    expect(Object.keys(PLANTS).toSorted()).toEqual(ruleSetUsed.forbidden.map((rule) => rule.name).toSorted())
    const caught = violations.map(({ rule, from }) => `${rule.name}: ${from}`)
    expect(caught).toEqual(
      expect.arrayContaining(Object.entries(PLANTS).map(([rule, { file }]) => `${rule}: src/${file}`)),
    )
  })
})

describe('the lint of what imports do not show', () => {
  let folder: string

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sohbet-lint-'))
    await mkdir(join(folder, 'src/rooms'), { recursive: true })
    for (const path of ['biome.json', 'lint']) await cp(join(ROOT, path), join(folder, path), { recursive: true })
  })

  afterAll(() => rm(folder, { recursive: true, force: true }))

  async function lint(source: string): Promise<string> {
    await writeFile(join(folder, 'src/rooms/planted.ts'), `${source}\n`)
    const args = [BIOME, 'lint', '--vcs-enabled=false', '--reporter=json', 'src']
    return promisify(execFile)(process.execPath, args, { cwd: folder, timeout: 60_000 }).then(
      ({ stdout }) => stdout,
      (failure: { stdout: string }) => failure.stdout,
    )
  }

  it('refuses an import inside a type, which the boundaries lint cannot see', async () => {
    expect(await lint(`export type A = import('./store.ts').A`)).toContain('An inline import type hides an edge')
  })

  it('refuses a transaction outside of a service', async () => {
    const source = 'export const f = (db: { $transaction(n: number): void }) => db.$transaction(1)'
    expect(await lint(source)).toContain('Only services open transactions')
  })

  it('refuses the tables of the logs outside of events/ and the sources of events', async () => {
    const source = 'export const f = (db: { roomEvent: { count(): number } }) => db.roomEvent.count()'
    expect(await lint(source)).toContain('Only events/ and event-source.ts files touch')
  })

  it('accepts what breaks no rule', async () => {
    expect(JSON.parse(await lint('export const one = 1'))).toMatchObject({ summary: { errors: 0 } })
  })
})
