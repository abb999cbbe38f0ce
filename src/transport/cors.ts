/** Origins whose pages may call this server: any, http ones on this very machine, or those listed. */
export type CorsOrigins = '*' | 'localhost' | readonly string[]

export function isAllowedOrigin(allowed: CorsOrigins, origin: string): boolean {
  if (allowed === '*') return true
  if (allowed !== 'localhost') return allowed.includes(origin)
  const url = URL.parse(origin)
  return url?.protocol === 'http:' && ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname)
}
