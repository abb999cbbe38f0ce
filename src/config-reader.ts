/** Reads single settings from an environment, and gathers what is wrong with them. */
import { Problem } from './config-formats.ts'
import type { Mode, Setting } from './config-setting.ts'

export interface SettingProblem {
  /** The setting's name, or several as `JWT_SECRET or JWKS_URL`. */
  readonly setting: string
  /** What is wrong, as `is missing`. */
  readonly found: string
  /** What it should look like. */
  readonly expected: string
}

/** Reads settings and gathers what is wrong with them; a malformed one reads as its default meanwhile. */
export class SettingsReader {
  readonly mode: Mode
  readonly #env: NodeJS.ProcessEnv
  readonly #problems = new Map<string, SettingProblem>()

  constructor(env: NodeJS.ProcessEnv, mode: Mode) {
    this.#env = env
    this.mode = mode
  }

  get problems(): SettingProblem[] {
    return [...this.#problems.values()]
  }

  isSet(setting: Setting): boolean {
    return textOf(this.#env, setting) !== null
  }

  read<T, D>(setting: Setting<T, D>): T | D {
    const text = textOf(this.#env, setting)
    if (text === null) return setting.defaults[this.mode]
    const value = setting.format.parse(text)
    if (!(value instanceof Problem)) return value
    this.report(setting.name, value.found, setting.format.expected)
    return setting.defaults[this.mode]
  }

  /** Missing in production is a problem; in development it is null. */
  readInProduction<T>(setting: Setting<T, null>): T | null {
    if (this.mode === 'production' && !this.isSet(setting)) {
      this.report(setting.name, 'is missing', setting.format.expected)
    }
    return this.read(setting)
  }

  /** One problem for each setting, the first: what follows from it would only confuse. */
  report(setting: string, found: string, expected: string): void {
    if (this.#problems.has(setting)) return
    this.#problems.set(setting, { setting, found, expected: expected.replaceAll('`', '') })
  }
}

export function textOf(env: NodeJS.ProcessEnv, { name, format }: Setting): string | null {
  const text = env[name] ?? ''
  if (text.trim() === '') return null
  return format.verbatim ? text : text.trim()
}
