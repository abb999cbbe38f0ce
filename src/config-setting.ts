/** What a setting is: its name, its format and its default. */
import { type Format, integer } from './config-formats.ts'

export type Mode = 'development' | 'production'

/** `D` apart from `T`: a setting without a default reads as `T | null`, one with a default as `T`. */
export interface Setting<T = unknown, D = unknown> {
  readonly name: string
  readonly format: Format<T>
  readonly description: string
  readonly defaults: Readonly<Record<Mode, D>>
  /** The default in words, where the value does not say it. */
  readonly defaultText?: string
  /** When it must be set; never, where undefined. */
  readonly required?: string
}

export function setting<T, D extends T | null>(
  name: string,
  format: Format<T>,
  value: D,
  description: string,
  words: Pick<Setting, 'defaultText' | 'required'> = {},
): Setting<T, D> {
  return settingPerMode(name, format, { development: value, production: value }, description, words)
}

export function settingPerMode<T, D extends T | null>(
  name: string,
  format: Format<T>,
  defaults: Record<Mode, D>,
  description: string,
  words: Pick<Setting, 'defaultText' | 'required'> = {},
): Setting<T, D> {
  return { name, format, description, defaults, ...words }
}

export const KIB = 1024
export const MIB = 1024 * KIB
export const GIB = 1024 * MIB
export const ms = (min: number, max: number) => integer(min, max, 'milliseconds')
/** GraphQL's and Postgres' integers. */
export const MAX_INT = 2_147_483_647
