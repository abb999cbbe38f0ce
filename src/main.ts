// Nothing may be imported before the check: an older Node fails on what it imports, and not in one line.
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
if (major < 22 || (major === 22 && minor < 18)) {
  process.stderr.write(`Sohbet needs Node 22.18 or newer; this is ${process.versions.node}.\n`)
  process.exit(1)
}

const { serve } = await import('./serve.ts')
await serve()

export {}
