import { cp, mkdir, readdir, readFile, stat } from 'node:fs/promises'
import { basename, dirname, join, relative } from 'node:path'

export interface Instruction {
  name: string
  /** The leading `--name=value` options. */
  options: Record<string, string>
  /** What follows the options, unparsed. */
  text: string
}

export interface Stage {
  name: string
  base: string
  instructions: Instruction[]
}

/** Reads the plain instructions that the project's Dockerfile uses: no ARG, no heredoc, no parser directive. */
export function parseDockerfile(source: string): Stage[] {
  const lines = source
    .split('\n')
    .filter((line) => !line.trimStart().startsWith('#'))
    .join('\n')
    .replaceAll(/\\\n\s*/g, '')
    .split('\n')
    .filter((line) => line.trim() !== '')
  const stages: Stage[] = []
  for (const line of lines) {
    const instruction = parseInstruction(line)
    if (instruction.name === 'FROM') {
      const [base = '', , name = `stage-${stages.length}`] = words(instruction.text)
      stages.push({ name, base, instructions: [] })
    } else {
      const stage = stages.at(-1)
      if (!stage) throw new Error(`${instruction.name} stands before the first FROM`)
      stage.instructions.push(instruction)
    }
  }
  return stages
}

function parseInstruction(line: string): Instruction {
  const [, name, rest] = /^([A-Z]+)\s+(.*)$/.exec(line) ?? []
  if (!name || rest === undefined) throw new Error(`Not an instruction: ${line}`)
  const options: Record<string, string> = {}
  let text = rest
  for (let match = /^--([a-z-]+)=(\S+)\s+/.exec(text); match; match = /^--([a-z-]+)=(\S+)\s+/.exec(text)) {
    const [whole, option = '', value = ''] = match
    options[option] = value
    text = text.slice(whole.length)
  }
  return { name, options, text }
}

export function words(text: string): string[] {
  return text.trim().split(/\s+/)
}

/** ENV's `A=1 B=2`, without quotes and spaces in values. */
export function parseEnv(text: string): Record<string, string> {
  return Object.fromEntries(
    words(text).map((pair) => {
      const [, key, value] = /^([A-Z_]+)=([^"'\s]*)$/.exec(pair) ?? []
      if (!key || value === undefined) throw new Error(`ENV is not of the form A=1 B=2: ${text}`)
      return [key, value]
    }),
  )
}

/** The exec form of CMD and of HEALTHCHECK's CMD. */
export function parseExec(text: string): string[] {
  const command: unknown = JSON.parse(text.replace(/^CMD\s+/, ''))
  if (!Array.isArray(command) || !command.every((word) => typeof word === 'string')) {
    throw new Error(`Not in exec form: ${text}`)
  }
  return command
}

/** Says of a path relative to the context whether `.dockerignore` leaves it out. The last pattern that matches decides. */
export async function readDockerignore(context: string): Promise<(path: string) => boolean> {
  const source = await readFile(join(context, '.dockerignore'), 'utf8')
  const patterns = source
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => ({ keep: line.startsWith('!'), matches: toRegExp(line.replace(/^!/, '')) }))
  return (path) => {
    const last = patterns.findLast(({ matches }) => matches.test(path))
    return last !== undefined && !last.keep
  }
}

/** A pattern matches a path and everything below it. */
function toRegExp(pattern: string): RegExp {
  const body = pattern
    .replaceAll(/[.+?^${}()|[\]\\]/g, String.raw`\$&`)
    .replaceAll('**/', '\0')
    .replaceAll('*', '[^/]*')
    .replaceAll('\0', '(?:.*/)?')
  return new RegExp(`^${body}(?:/.*)?$`)
}

/** COPY: of a folder its contents, of a file the file, into a destination that is a folder when it ends with a slash. */
export async function copy(
  from: string,
  to: string,
  isIgnored: (path: string) => boolean = () => false,
): Promise<void> {
  const isFolder = (await stat(from)).isDirectory()
  const target = !isFolder && to.endsWith('/') ? join(to, basename(from)) : to
  await mkdir(isFolder ? target : dirname(target), { recursive: true })
  if (!isFolder) return cp(from, target)
  for (const entry of await readdir(from)) {
    await cp(join(from, entry), join(target, entry), {
      recursive: true,
      verbatimSymlinks: true,
      filter: (path) => !isIgnored(relative(from, path)),
    })
  }
}
