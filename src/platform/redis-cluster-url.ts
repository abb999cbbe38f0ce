// How REDIS_URL names a Redis Cluster: `redis+cluster://user:password@a:7000,b:7001`, `rediss+cluster://` for TLS. The
// servers listed are where the cluster is looked for first; it tells the others itself.

export interface RedisNode {
  readonly host: string
  readonly port: number
}

export interface RedisClusterAddress {
  readonly seeds: readonly RedisNode[]
  readonly tls: boolean
  readonly username: string | null
  readonly password: string | null
}

const DEFAULT_PORT = 6379
const SCHEME = /^redis(s?)\+cluster:\/\//i

export function isRedisClusterUrl(url: string): boolean {
  return SCHEME.test(url)
}

/** Or what is wrong with it, as it continues the sentence "REDIS_URL …", without repeating any of it. */
export function parseRedisClusterUrl(url: string): RedisClusterAddress | string {
  const scheme = SCHEME.exec(url)
  if (!scheme) return 'has no scheme of a cluster'
  const rest = url.slice(scheme[0].length)
  const at = rest.lastIndexOf('@')
  const servers = rest.slice(at + 1).replace(/\/$/, '')
  if (/[/?#]/.test(servers)) return 'has a path: a cluster has one database only'
  const credentials = parseCredentials(rest.slice(0, Math.max(at, 0)))
  if (credentials === null) return 'is not a well-formed URL (a user name or password in it must be percent-encoded)'
  const seeds: RedisNode[] = []
  for (const server of servers.split(',')) {
    // `http`, for URL knows what a host name is only of the schemes of browsers; a port of 80 would vanish.
    const parsed = URL.parse(`http://${server.trim()}`)
    if (server.trim() === '' || !parsed) return 'lists a server that is not host:port'
    const port = /:(\d+)$/.exec(server.trim())?.[1]
    seeds.push({ host: parsed.hostname.replace(/^\[|\]$/g, ''), port: Number(port ?? DEFAULT_PORT) })
  }
  return { seeds, tls: scheme[1] !== '', ...credentials }
}

function parseCredentials(text: string): { username: string | null; password: string | null } | null {
  if (/[/?#@]/.test(text)) return null
  const colon = text.indexOf(':')
  try {
    const username = decodeURIComponent(colon < 0 ? text : text.slice(0, colon))
    const password = colon < 0 ? '' : decodeURIComponent(text.slice(colon + 1))
    return { username: username === '' ? null : username, password: password === '' ? null : password }
  } catch {
    return null
  }
}
