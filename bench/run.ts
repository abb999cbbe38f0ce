// npm run bench -- NAME [--quick]
import { readdir } from 'node:fs/promises'
import { stopProcesses } from './support/processes.ts'

const [name = '', ...flags] = process.argv.slice(2)
const names = (await readdir(new URL('.', import.meta.url)))
  .filter((file) => file.endsWith('.bench.ts'))
  .map((file) => file.slice(0, -'.bench.ts'.length))

if (!names.includes(name)) {
  process.stderr.write(`Which? npm run bench -- NAME [--quick], with NAME one of: ${names.join(', ')}\n`)
  process.exit(1)
}
const { run } = await import(`./${name}.bench.ts`)
try {
  await run({ quick: flags.includes('--quick') })
} finally {
  await stopProcesses()
}
