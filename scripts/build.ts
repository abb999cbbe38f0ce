// node scripts/build.ts [--tests]
// Runs the build steps whose inputs or outputs have changed since their last success; with --tests also those that only
// tests need. Builds started at once take turns.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, rmSync } from 'node:fs'
import { delimiter, join, relative, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { acquireProcessLock, LockedError, type ProcessLock } from '../src/platform/process-lock.ts'
import { filesAt, fingerprint, readStamp, removeStamp, sameContent, writeStamp } from './build-stamp.ts'

const TOOL_TIMEOUT_MS = 300_000
const LOCK_TIMEOUT_MS = 600_000
const CACHE = '.cache/build'
const BIN = 'node_modules/.bin'

interface Step {
  name: string
  does: string
  /** The first word is a program in node_modules/.bin. */
  command: [string, ...string[]]
  /** Files and folders. */
  inputs: string[]
  isInput?: (file: string) => boolean
  output: string
  /** Called with what the program printed. */
  afterwards?: (printed: string) => void
  /** Why the step cannot run yet; null when it can. */
  missing?: () => string | null
}

const STEPS: Step[] = [
  {
    name: 'prisma',
    does: 'generating the database client',
    command: ['prisma', 'generate'],
    inputs: ['prisma/schema.prisma', 'prisma.config.ts', 'package-lock.json'],
    output: 'src/generated',
  },
  {
    name: 'server',
    does: 'compiling the server',
    command: ['tsc', '-p', 'tsconfig.build.json', '--noEmitOnError', '--listEmittedFiles'],
    inputs: ['src', 'tsconfig.json', 'tsconfig.build.json', 'package-lock.json'],
    isInput: (file) => !file.endsWith('.test.ts'),
    output: 'dist',
    afterwards: removeLeftovers,
  },
]

const TEST_STEPS: Step[] = [
  {
    name: 'codegen',
    does: 'generating the typed operations of the tests',
    command: ['graphql-codegen', '--config', 'codegen.ts'],
    inputs: ['schema.graphql', 'codegen.ts', 'test/api/documents', 'package-lock.json'],
    output: 'test/generated',
    missing: () => ['schema.graphql', 'codegen.ts'].find((file) => !existsSync(file)) ?? null,
  },
]

/** Files of an earlier build whose source is gone. The folder itself stays: a server may be running from it. */
function removeLeftovers(printed: string): void {
  const emitted = new Set(
    [...printed.matchAll(/^TSFILE: (.+)$/gm)].map(([, file = '']) => relative('.', resolve(file))),
  )
  if (emitted.size === 0) throw new Error('tsc did not say which files it wrote')
  for (const file of filesAt('dist')) if (!emitted.has(file)) rmSync(file)
}

const stampOf = (step: Step): string => join(CACHE, `${step.name}.json`)
const inputsOf = (step: Step): string[] => step.inputs.flatMap(filesAt).filter((file) => step.isInput?.(file) ?? true)

function isFresh(step: Step): boolean {
  const stamp = readStamp(stampOf(step))
  if (stamp === null || stamp.command.join(' ') !== step.command.join(' ')) return false
  const inputs = fingerprint(inputsOf(step), stamp.inputs)
  const outputs = fingerprint(filesAt(step.output), stamp.outputs)
  if (!sameContent(inputs, stamp.inputs) || !sameContent(outputs, stamp.outputs)) return false
  const touched = (now: object, then: object) => JSON.stringify(now) !== JSON.stringify(then)
  if (touched(inputs, stamp.inputs) || touched(outputs, stamp.outputs)) {
    writeStamp(stampOf(step), { ...stamp, inputs, outputs }) // so that the next look need not hash them again
  }
  return true
}

function run(step: Step): void {
  console.log(`build: ${step.does}`)
  // Taken before the run: a file that is edited meanwhile leaves the step stale.
  const inputs = fingerprint(inputsOf(step))
  removeStamp(stampOf(step))
  const [program, ...args] = step.command
  const { status, error, stdout, stderr } = spawnSync(join(BIN, program), args, {
    encoding: 'utf8',
    env: { ...process.env, PATH: [resolve(BIN), process.env.PATH].join(delimiter) },
    timeout: TOOL_TIMEOUT_MS,
    maxBuffer: 64 * 1024 * 1024,
  })
  if (status !== 0) {
    const reason = error ? `: ${error.message}` : status === null ? ': it was killed' : ''
    throw new Error(`${stdout ?? ''}${stderr ?? ''}build: ${step.command.join(' ')} failed${reason}`)
  }
  step.afterwards?.(stdout)
  const outputs = fingerprint(filesAt(step.output))
  if (Object.keys(outputs).length === 0)
    throw new Error(`build: ${step.command.join(' ')} left nothing in ${step.output}`)
  writeStamp(stampOf(step), { command: step.command, inputs, outputs })
}

async function takeTurn(): Promise<ProcessLock> {
  const deadline = Date.now() + LOCK_TIMEOUT_MS
  for (let said = false; ; said = true) {
    try {
      return await acquireProcessLock(join(CACHE, 'lock'))
    } catch (error) {
      if (!(error instanceof LockedError) || Date.now() > deadline) throw error
      if (!said) console.log(`build: waiting for the one of process ${error.ownerPid}`)
      await delay(50)
    }
  }
}

async function build(steps: Step[]): Promise<void> {
  if (steps.every(isFresh)) return
  mkdirSync(CACHE, { recursive: true })
  const lock = await takeTurn()
  try {
    // In order, each looked at only then: what one step makes, the next may read.
    for (const step of steps) if (!isFresh(step)) run(step)
  } finally {
    await lock.release()
  }
}

process.chdir(fileURLToPath(new URL('..', import.meta.url)))
const wanted = process.argv.includes('--tests') ? [...STEPS, ...TEST_STEPS] : STEPS
const possible = wanted.filter((step) => {
  const missing = step.missing?.() ?? null
  if (missing !== null) console.log(`build: ${step.name} is left out: there is no ${missing}`)
  return missing === null
})
await build(possible).catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
})
