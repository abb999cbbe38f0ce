/**
 * What the settings' values look like. A format says in words what it expects, for the error message and the manual,
 * and turns text into a value or into a problem. A problem never repeats the text itself: it may hold a password.
 */
import { isIP } from 'node:net'
import { resolve } from 'node:path'
import { isTypePattern } from './files/allowed-types.ts'
import { isRedisClusterUrl, parseRedisClusterUrl } from './platform/redis-cluster-url.ts'

/** A value that does not fit; `found` continues the sentence "PORT …". */
export class Problem {
  readonly found: string

  constructor(found: string) {
    this.found = found
  }
}

export interface Format<T> {
  /** Continues the sentence "expected …". */
  readonly expected: string
  /** The text comes trimmed and not empty, but for a `verbatim` format, whose text comes as it is. */
  parse(text: string): T | Problem
  readonly verbatim?: true
}

/** Any http(s) origin, those of the list, or pages that this machine serves over http itself. */
export type CorsOrigins = '*' | 'localhost' | readonly string[]

export const NODE_ENVS = ['development', 'production', 'test'] as const

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

const MAX_ORIGINS = 100
const MIN_SECRET_BYTES = 32

/** For values that are no secrets. */
function quoted(text: string): string {
  return `is ${JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text)}`
}

/** `://` is demanded: URL alone would take the user of `user:password@host` for the scheme. */
function parseUrl(text: string, protocols: readonly string[]): URL | Problem {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text)?.[1]?.toLowerCase()
  if (scheme === undefined) return new Problem('has no scheme (the part up to "://")')
  if (!protocols.includes(`${scheme}:`)) return new Problem(`has the scheme ${scheme}://`)
  const url = URL.parse(text)
  return url ?? new Problem('is not a well-formed URL (a user name or password in it must be percent-encoded)')
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname)
}

export function integer(min: number, max: number, unit?: string): Format<number> {
  return {
    expected: `a whole number${unit === undefined ? '' : ` of ${unit}`} from ${min} to ${max}`,
    parse(text) {
      const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN
      return value >= min && value <= max ? value : new Problem(quoted(text))
    },
  }
}

export function oneOf<const T extends string>(choices: readonly T[]): Format<T> {
  return {
    expected: choices.map((choice) => `\`${choice}\``).join(', '),
    parse: (text) => choices.find((choice) => choice === text) ?? new Problem(quoted(text)),
  }
}

export const onOff: Format<boolean> = {
  expected: '`true`, `false`',
  parse: (text) => (text === 'true' || text === 'false' ? text === 'true' : new Problem(quoted(text))),
}

export const host: Format<string> = {
  expected: 'an IP address or a host name, without scheme and port',
  parse: (text) => (isIP(text) > 0 || /^[a-z0-9]([a-z0-9.-]{0,252})$/i.test(text) ? text : new Problem(quoted(text))),
}

export const postgresUrl: Format<string> = {
  expected: '`postgresql://user:password@host:5432/database`',
  parse(text) {
    const url = parseUrl(text, ['postgresql:', 'postgres:'])
    if (url instanceof Problem) return url
    return url.pathname.length > 1 ? text : new Problem('names no database (the path is empty)')
  },
}

export const redisUrl: Format<string> = {
  expected:
    '`redis://user:password@host:6379/0`; `redis+cluster://user:password@host:6379,host:6379` for a Redis Cluster; `rediss` for TLS',
  parse(text) {
    if (isRedisClusterUrl(text)) {
      const address = parseRedisClusterUrl(text)
      return typeof address === 'string' ? new Problem(address) : text
    }
    const url = parseUrl(text, ['redis:', 'rediss:'])
    // URL takes `a,b` for the name of one host.
    if (text.slice(text.lastIndexOf('@') + 1).includes(',')) {
      return new Problem('lists several servers, and its scheme is not redis+cluster://')
    }
    if (url instanceof Problem) return url
    if (url.hostname === '') return new Problem('names no host')
    return /^(\/\d{0,5})?$/.test(url.pathname) ? text : new Problem('has a path that is not the number of a database')
  },
}

export const jwksUrl: Format<string> = {
  expected:
    'an https URL without user name and password, as `https://id.example.com/.well-known/jwks.json`; http only on this machine',
  parse(text) {
    const url = parseUrl(text, ['https:', 'http:'])
    if (url instanceof Problem) return url
    if (url.protocol === 'http:' && !isLoopback(url.hostname)) return new Problem('is http:// on another machine')
    return url.username === '' && url.password === '' ? url.href : new Problem('holds a user name or a password')
  },
}

/** Verbatim: white space at its ends may be part of what the tokens are signed with. */
export const secret: Format<string> = {
  expected: `at least ${MIN_SECRET_BYTES} bytes that nobody can guess, as \`openssl rand -base64 48\` makes`,
  verbatim: true,
  parse(text) {
    const bytes = Buffer.byteLength(text)
    return bytes >= MIN_SECRET_BYTES ? text : new Problem(`has ${bytes} bytes`)
  },
}

/** No user and password: those have settings of their own. */
export const httpUrl: Format<string> = {
  expected: 'an http or https URL without user name, password and path, as `https://chat.example.com`',
  parse(text) {
    const url = parseUrl(text, ['https:', 'http:'])
    if (url instanceof Problem) return url
    if (url.username !== '' || url.password !== '') return new Problem('holds a user name or a password')
    return url.pathname === '/' && url.search === '' && url.hash === '' ? url.origin : new Problem('has a path')
  },
}

export const bucketName: Format<string> = {
  expected: 'the name of a bucket: 3 to 63 lower-case letters, digits, dots and hyphens',
  parse: (text) => (/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(text) ? text : new Problem(quoted(text))),
}

/** It may be a secret, so it is never repeated. */
export const word: Format<string> = {
  expected: 'text without white space',
  parse: (text) => (/^\S{1,1000}$/.test(text) ? text : new Problem('has white space in it, or is too long')),
}

/** A key as browsers and push services write it. */
const vapidKey = (bytes: number, what: string): Format<string> => ({
  expected: `${what}, ${bytes} bytes in base64url, as \`npx web-push generate-vapid-keys\` makes`,
  parse(text) {
    const found = /^[\w-]+$/.test(text) ? Buffer.from(text, 'base64url').length : 0
    return found === bytes ? text : new Problem('is no such key')
  },
})

export const vapidPublicKey = vapidKey(65, 'a public key of P-256')
export const vapidPrivateKey = vapidKey(32, 'a private key of P-256')

export const contact: Format<string> = {
  expected: '`mailto:` and an address, or an https URL, as `mailto:chat@example.com`',
  parse(text) {
    const url = URL.parse(text)
    const isContact = url?.protocol === 'mailto:' ? url.pathname.includes('@') : url?.protocol === 'https:'
    return isContact ? text : new Problem(quoted(text))
  },
}

export const claim: Format<string> = {
  expected: 'text, compared exactly',
  parse: (text) => text,
}

export const directory: Format<string> = {
  expected: "a directory's path; it is created where there is none",
  parse: (text) => resolve(text),
}

const MAX_TYPE_PATTERNS = 200

export const typePatterns: Format<readonly string[]> = {
  expected: `a comma list of at most ${MAX_TYPE_PATTERNS} content types, as \`image/*,application/pdf\`, or \`*/*\``,
  parse(text) {
    const items = text.split(',').map((item) => item.trim().toLowerCase())
    if (items.length > MAX_TYPE_PATTERNS) return new Problem(`lists ${items.length} types`)
    const wrong = items.find((item) => !isTypePattern(item))
    return wrong === undefined ? items : new Problem(`lists ${JSON.stringify(wrong.slice(0, 80))}`)
  },
}

/** Where a virus scanner is, and what it speaks. */
export type ScannerAddress =
  | {
      readonly kind: 'clamd'
      readonly socket: { readonly host: string; readonly port: number } | { readonly path: string }
    }
  | { readonly kind: 'http'; readonly url: string }

const CLAMD_PORT = 3310

export const scannerUrl: Format<ScannerAddress> = {
  expected: '`clamd://host:3310`, `clamd:///run/clamav/clamd.ctl`, or an http or https URL that takes files by POST',
  parse(text) {
    const url = parseUrl(text, ['clamd:', 'http:', 'https:'])
    if (url instanceof Problem) return url
    if (url.protocol !== 'clamd:') return { kind: 'http', url: url.href }
    if (url.username !== '' || url.password !== '')
      return new Problem('holds a user name or a password, which clamd has not')
    if (url.hostname === '') {
      const path = decodeURIComponent(url.pathname)
      return path.length > 1 ? { kind: 'clamd', socket: { path } } : new Problem('names neither a host nor a socket')
    }
    if (url.pathname !== '' && url.pathname !== '/') return new Problem('names both a host and a path')
    // Written with brackets in a URL, and nowhere else.
    const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
    return { kind: 'clamd', socket: { host, port: url.port === '' ? CLAMD_PORT : Number(url.port) } }
  },
}

export const origins: Format<CorsOrigins> = {
  expected: `a comma list of at most ${MAX_ORIGINS} origins, as \`https://app.example.com,https://admin.example.com\`, or \`*\``,
  parse(text) {
    if (text === '*') return '*'
    const items = text.split(',').map((item) => item.trim())
    if (items.length > MAX_ORIGINS) return new Problem(`lists ${items.length} origins`)
    const wrong = items.find((item) => !isOrigin(item))
    return wrong === undefined ? items : new Problem(`lists ${JSON.stringify(wrong)}`)
  },
}

/** As a browser writes it: a trailing slash or a capital would never match. */
function isOrigin(text: string): boolean {
  const url = URL.parse(text)
  return (url?.protocol === 'https:' || url?.protocol === 'http:') && url.origin === text
}
