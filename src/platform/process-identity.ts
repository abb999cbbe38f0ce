/**
 * Tells whether the process that once wrote down its pid is still the one that runs by that number.
 * Pids are reused, so a process is known by its pid and its start time together.
 */
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'

const PS_TIMEOUT_MS = 5_000

/** A process's start, as a text that no later process with the same pid has; null when there is no live process. */
export async function startOfProcess(pid: number): Promise<string | null> {
  if (process.platform !== 'linux') {
    const [state = '', ...start] = (await ps(pid, 'stat=,lstart=')).trim().split(/\s+/)
    return state === '' || state.startsWith('Z') ? null : start.join(' ')
  }
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  // The second field is the program's name in brackets, which may hold anything; the start is the 22nd.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const [state, startTicks] = [fields[0], fields[19]]
  if (startTicks === undefined || state === 'Z' || state === 'X') return null
  const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '')
  return `${boot.trim()}:${startTicks}`
}

/** The arguments a process was started with, joined by blanks; '' when there is none. */
export async function commandLineOf(pid: number): Promise<string> {
  if (process.platform !== 'linux') return (await ps(pid, 'args=')).trim()
  const raw = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
  return raw.replaceAll('\0', ' ').trim()
}

async function ps(pid: number, columns: string): Promise<string> {
  // The same text for every caller, whatever their language and time zone. It fails when there is no such process.
  const options = { timeout: PS_TIMEOUT_MS, env: { PATH: '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' } }
  const result = promisify(execFile)('ps', ['-o', columns, '-p', String(pid)], options)
  return result.then(({ stdout }) => stdout).catch(() => '')
}
