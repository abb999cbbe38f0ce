// Plain JavaScript, so that it also runs on a Node that cannot run TypeScript: says in one line what is missing.
const [major, minor] = process.versions.node.split('.').map(Number)

if (major < 22 || (major === 22 && minor < 18)) {
  console.error(
    `Sohbet needs Node 22.18 or newer and this is ${process.version}. npm brings Node 24 into node_modules: run \`npm ci\` ` +
      'without --ignore-scripts, or `npm rebuild node`, and start through npm.',
  )
  process.exit(1)
}
