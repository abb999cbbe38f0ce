import { fileURLToPath } from 'node:url'
import { defineConfig, type ViteUserConfig } from 'vitest/config'

// The run on the oldest supported Node must not quietly happen on another one.
const expected = process.env.EXPECT_NODE
if (expected && expected !== process.version) throw new Error(`The tests run on ${process.version}, not on ${expected}`)

// One copy of graphql for our sources and for the packages: Vite alone would give ours index.mjs where Node gives packages
// index.js, and then no GraphQLError is an instance of the other's class.
const resolve: ViteUserConfig['resolve'] = {
  alias: [{ find: /^graphql$/, replacement: fileURLToPath(import.meta.resolve('graphql')) }],
}

const shared = { pool: 'forks', allowOnly: false, testTimeout: 30_000, hookTimeout: 60_000 } as const

export default defineConfig({
  resolve,
  test: {
    // Once for all projects: the throwaway Postgres and Redis.
    globalSetup: ['test/support/global-setup.ts'],
    reporters: ['default'],
    projects: [
      {
        resolve,
        test: {
          ...shared,
          name: 'main',
          include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
          exclude: ['test/process/**'],
          maxWorkers: 2,
        },
      },
      {
        // Whole processes, started and killed: after the others and one file at a time.
        resolve,
        test: {
          ...shared,
          name: 'process',
          include: ['test/process/**/*.test.ts'],
          maxWorkers: 1,
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
})
