// Starts the servers that the tests share, once for a run, and stops them after it.

import type { TestProject } from 'vitest/node'
import './provided.ts'
import { findBrowser } from './browser.ts'
import { startTestPostgres } from './postgres-server.ts'
import { startTestRedisCluster, type TestRedisCluster } from './redis-cluster.ts'
import { canStartRedisCluster, findRedisServer, startTestRedis, type TestRedis } from './redis-server.ts'

export default async function setUp(project: TestProject): Promise<() => Promise<void>> {
  project.provide('browserPath', findBrowserIfThereIsOne())
  const starting = [startTestPostgres(), startRedisIfThereIsOne(), startRedisClusterIfPossible()] as const
  const stop = async () => {
    const started = await Promise.allSettled(starting)
    await Promise.all(started.map((server) => (server.status === 'fulfilled' ? server.value?.stop() : null)))
  }
  try {
    const [postgres, redis, cluster] = await Promise.all(starting)
    project.provide('postgresUrl', postgres.url)
    project.provide('redisUrl', redis?.url ?? null)
    project.provide('redisClusterUrl', cluster?.url ?? null)
    return stop
  } catch (error) {
    await stop()
    throw error
  }
}

async function startRedisIfThereIsOne(): Promise<TestRedis | null> {
  const binary = findRedisServer()
  const url = process.env.SOHBET_TEST_NO_REDIS === '1' ? undefined : process.env.TEST_REDIS_URL
  if (binary) return startTestRedis()
  const advice = 'install redis-server (Debian, Ubuntu: apt-get install redis-server)'
  if (process.env.CI) throw new Error(`CI runs every suite, and there is no redis-server: ${advice}`)
  const leftOut = url ? 'what kills Redis' : 'what needs Redis or several nodes'
  console.warn(
    `No redis-server here: ${leftOut} was left out. To run it, ${advice}${url ? '' : ' or set TEST_REDIS_URL'}.`,
  )
  return url ? startTestRedis() : null
}

async function startRedisClusterIfPossible(): Promise<TestRedisCluster | null> {
  if (canStartRedisCluster()) return startTestRedisCluster()
  const advice = 'install redis-server 7 or newer'
  if (process.env.CI) throw new Error(`CI runs every suite, and there is no Redis Cluster to be had: ${advice}`)
  console.warn(`No Redis Cluster can be had here: what needs one was left out. To run it, ${advice}.`)
  return null
}

function findBrowserIfThereIsOne(): string | null {
  const path = findBrowser()
  const advice = 'install Chromium (Debian: apt-get install chromium) or Google Chrome'
  if (path === null && process.env.CI) throw new Error(`CI runs every suite, and there is no browser: ${advice}`)
  if (path === null) console.warn(`No browser here: what needs one was left out. To run it, ${advice}.`)
  return path
}
