// A process that takes a job and never finishes it: `node stuck-worker.ts DATABASE_URL`.

import { Jobs } from '../../src/platform/jobs.ts'
import { createLogger } from '../../src/platform/logger.ts'

const GREET = { name: 'greet', timeoutSeconds: 600, retries: 1, retryDelaySeconds: 0, maxRetryDelaySeconds: 1 }

const jobs = new Jobs({ url: process.argv[2] ?? '', logger: createLogger('fatal') })
jobs.handle<{ name: string }>(GREET, async () => {
  process.send?.('working')
  await new Promise(() => {})
})
await jobs.start()
await jobs.send(GREET, { name: 'Ada' })
