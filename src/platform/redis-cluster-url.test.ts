import { describe, expect, it } from 'vitest'
import { isRedisClusterUrl, parseRedisClusterUrl } from './redis-cluster-url.ts'

describe('the URL of a Redis Cluster', () => {
  it('lists servers, with one user and password for all of them', () => {
    expect(parseRedisClusterUrl('redis+cluster://sohbet:p%40ss%3Aword@a.example:7000, b,[::1]:7002')).toEqual({
      seeds: [
        { host: 'a.example', port: 7000 },
        { host: 'b', port: 6379 },
        { host: '::1', port: 7002 },
      ],
      tls: false,
      username: 'sohbet',
      password: 'p@ss:word',
    })
  })

  it('may name a single server, TLS, the port of the web, and the default user', () => {
    expect(parseRedisClusterUrl('rediss+cluster://:secret@cluster.example:80/')).toEqual({
      seeds: [{ host: 'cluster.example', port: 80 }],
      tls: true,
      username: null,
      password: 'secret',
    })
  })

  it.each(['redis://a:7000', 'rediss://a', 'http://redis+cluster://a'])('is not %s', (url) => {
    expect(isRedisClusterUrl(url)).toBe(false)
  })

  it.each(['redis+cluster://a:70000', 'redis+cluster://a b', 'redis+cluster://u@v@a', 'redis+cluster://a?tls=1'])(
    'is malformed as %s',
    (url) => {
      expect(parseRedisClusterUrl(url)).toEqual(expect.any(String))
    },
  )
})
