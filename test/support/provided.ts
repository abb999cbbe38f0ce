// What the global set-up provides to every test file, for `inject` of vitest.

declare module 'vitest' {
  interface ProvidedContext {
    /** Null where no Redis can be had: suites that need it are left out by name. */
    redisUrl: string | null
    /** Three masters of a Redis Cluster, as REDIS_URL; null where they cannot be had. */
    redisClusterUrl: string | null
    postgresUrl: string
    /** A Chromium's path; null where there is none: suites that need it are left out by name. */
    browserPath: string | null
  }
}

/** The end of a suite's title where it is left out for want of Redis. */
export const NO_REDIS = '(left out: no redis-server here)'

/** The same for want of a Redis Cluster. */
export const NO_REDIS_CLUSTER = '(left out: no redis-server 7 here)'

/** The same for want of a browser. */
export const NO_BROWSER = '(left out: no Chromium here)'
