// npm run bench -- NAME [--quick], and numbers for those that take them: see bench-options.ts.
import { readdir } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { type BenchOptions, COUNTS, type Count } from './support/bench-options.ts'
import { stopProcesses } from './support/processes.ts'

const USAGE = `npm run bench -- NAME [--quick] ${COUNTS.map((flag) => `[--${flag} N]`).join(' ')}`

const names = (await readdir(new URL('.', import.meta.url)))
  .filter((file) => file.endsWith('.bench.ts'))
  .map((file) => file.slice(0, -'.bench.ts'.length))

function readArguments(): { name: string; options: BenchOptions } {
  const flags = Object.fromEntries(COUNTS.map((flag) => [flag, { type: 'string' as const }]))
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { ...flags, quick: { type: 'boolean' } },
  })
  const texts: Readonly<Record<string, string | boolean | undefined>> = values
  const [name = ''] = positionals
  if (!names.includes(name)) throw new Error(`there is no bench "${name}"`)
  const counts = COUNTS.map((flag) => {
    const text = texts[flag]
    if (text === undefined) return [flag, null]
    if (!/^[1-9]\d*$/.test(String(text))) throw new Error(`--${flag} takes a number from 1 on`)
    return [flag, Number(text)]
  })
  // One entry for each count.
  const given = Object.fromEntries(counts) as Record<Count, number | null>
  return { name, options: { quick: texts.quick === true, ...given } }
}

function readArgumentsOrExit() {
  try {
    return readArguments()
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : error}\n${USAGE}\nNAME: ${names.join(', ')}\n`)
    process.exit(1)
  }
}

const { name, options } = readArgumentsOrExit()
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => void stopProcesses().finally(() => process.exit(1)))
}
const { run } = await import(`./${name}.bench.ts`)
try {
  await run(options)
} finally {
  await stopProcesses()
}
