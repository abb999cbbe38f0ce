// What a manual shows, so that a test can run it: fenced snippets by name, tables, whole programs, curl commands.

import { spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { Stream } from './stream.ts'

export interface Snippet {
  /** What follows the fence's language: `create-room` of "```graphql migrating:create-room"; null without a marker. */
  name: string | null
  language: string
  text: string
}

const root = new URL('../../', import.meta.url)
const REQUEST_TIMEOUT_MS = 20_000

export function readDocument(path: string): Promise<string> {
  return readFile(new URL(path, root), 'utf8')
}

/** All fenced snippets, in order; `marker` is what stands before the names, as `migrating`. */
export function snippetsOf(markdown: string, marker: string): Snippet[] {
  const fences = markdown.matchAll(/^```(\S*)[ ]*(.*)\n([\s\S]*?)^```$/gm)
  return [...fences].map(([, language = '', info = '', text = '']) => ({
    language,
    name: info.startsWith(`${marker}:`) ? info.slice(marker.length + 1).trim() : null,
    text,
  }))
}

/** The rows of the table below a heading, without its head: cells as they stand. Throws where there is no table. */
export function tableBelow(markdown: string, heading: string): string[][] {
  const [, below] = markdown.split(new RegExp(`^#+ ${heading}$`, 'm'))
  const lines = (below ?? '').split(/^#+ /m)[0]?.split('\n') ?? []
  const [, rule, ...rows] = lines.filter((line) => line.startsWith('|')).map(cellsOf)
  if (!rule?.every((cell) => /^-+$/.test(cell))) throw new Error(`there is no table below ${heading}`)
  return rows
}

function cellsOf(line: string): string[] {
  return line
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim())
}

export interface Program {
  /** The lines that it prints, queued. Ends when the program does, with an error where it failed or said anything on stderr. */
  lines: Stream<string>
  say(line: string): void
  /** Ends its input. */
  end(): void
  stop(): Promise<void>
}

/** Runs a TypeScript program of a manual as a reader would: a process of its own, with these variables. */
export function runProgram(text: string, env: Record<string, string>): Program {
  const child = spawn(process.execPath, ['--input-type=module-typescript', '--eval', text], {
    cwd: fileURLToPath(root),
    env: { PATH: process.env.PATH, NODE_NO_WARNINGS: '1', ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  const lines = new Stream<string>()
  const ended = Promise.withResolvers<void>()
  let [rest, complaint] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    const whole = (rest + chunk).split('\n')
    rest = whole.pop() ?? ''
    for (const line of whole) lines.sink.next(line)
  })
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    complaint += chunk
  })
  child.once('error', (error) => lines.sink.error(error))
  // After the last of its output.
  child.once('close', (code) => {
    if (child.killed || (code === 0 && complaint === '')) lines.sink.complete()
    else lines.sink.error(new Error(`the program ended with ${code} and said: ${complaint}`))
    ended.resolve()
  })
  return {
    lines,
    say: (line) => void child.stdin.write(`${line}\n`),
    end: () => void child.stdin.end(),
    async stop() {
      child.kill('SIGKILL')
      await ended.promise
    },
  }
}

/** Does what a curl command says, as far as its options are those below; variables in double quotes. Refuses all else. */
export async function runCurl(command: string, env: Record<string, string>): Promise<Response> {
  const [program, ...args] = wordsOf(command, env)
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      silent: { type: 'boolean', short: 's' },
      get: { type: 'boolean', short: 'G' },
      header: { type: 'string', short: 'H', multiple: true, default: [] },
      data: { type: 'string', short: 'd' },
      'data-urlencode': { type: 'string', multiple: true, default: [] },
    },
  })
  const [target, ...more] = positionals
  if (program !== 'curl' || !target || more.length > 0) throw new Error(`not a curl command: ${command}`)
  const url = new URL(target)
  for (const [name, value] of values['data-urlencode'].map((pair) => splitAt(pair, '='))) {
    url.searchParams.append(name, value)
  }
  return fetch(url, {
    method: values.data === undefined ? 'GET' : 'POST',
    headers: values.header.map((header) => splitAt(header, ':')),
    body: values.data ?? null,
    signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
  })
}

function splitAt(text: string, mark: string): [string, string] {
  const at = text.indexOf(mark)
  return [text.slice(0, at).trim(), text.slice(at + mark.length).trim()]
}

function wordsOf(command: string, env: Record<string, string>): string[] {
  const expand = (text: string) =>
    text.replaceAll(/\$(\w+)/g, (_all, name: string) => {
      const value = env[name]
      if (value === undefined) throw new Error(`$${name} is not set`)
      return value
    })
  const joined = command.trim().replaceAll('\\\n', ' ')
  return [...joined.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map(([, single, double, bare]) =>
    single !== undefined ? single : expand(double ?? bare ?? ''),
  )
}
