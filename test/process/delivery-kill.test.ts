// A node that is killed or stopped in the middle of a delivery: another one does it, and the receiver can tell the
// repetition.

import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest'
import { createDb } from '../../src/platform/db.ts'
import { attempt } from '../support/attempt.ts'
import { eventually } from '../support/eventually.ts'
import { type PostReceiver, startPostReceiver } from '../support/post-receiver.ts'
import { createTestDatabase, type TestDatabase } from '../support/postgres-server.ts'
import { NO_REDIS } from '../support/provided.ts'
import { endAll, type SpawnedServer, spawnServer } from '../support/spawn-server.ts'
import { signToken, TEST_SECRET } from '../support/start-nodes.ts'

const PROJECT = fileURLToPath(new URL('../..', import.meta.url))
const redisUrl = inject('redisUrl')

describe.skipIf(redisUrl === null)(`nodes that end while they deliver ${redisUrl ? '' : NO_REDIS}`, () => {
  let database: TestDatabase
  let receiver: PostReceiver
  beforeAll(async () => {
    database = await createTestDatabase(inject('postgresUrl'))
    receiver = await startPostReceiver()
  })
  afterEach(endAll, 60_000)
  afterAll(async () => {
    await receiver?.close()
    await database?.drop()
  })

  const startNode = () =>
    spawnServer({
      command: process.execPath,
      args: ['dist/main.js'],
      cwd: PROJECT,
      env: {
        DATABASE_URL: database.url,
        REDIS_URL: redisUrl ?? '',
        JWT_SECRET: TEST_SECRET,
        HOST: '127.0.0.1',
        OUTBOUND_PRIVATE_ADDRESSES: 'allow',
        OUTBOUND_TIMEOUT_MS: '60000',
      },
    })

  /** Has as many pings under way that the receiver does not answer; gives their ids. */
  async function pingInVain(url: string, path: string, count: number): Promise<string[]> {
    receiver.answer(path, (earlier) => (earlier < count ? 'hang' : { status: 204 }))
    const operator = { token: await signToken('operator', { scope: 'sohbet:operator' }) }
    const act = <T>(field: string, input: object, selection: string) =>
      attempt<T>(`${url}/graphql`, operator, field, input, selection)
    const made = await act<{ webhook: { id: string } }>('createWebhook', { url: receiver.url + path }, 'webhook { id }')
    const webhookId = made.webhook?.id
    const ids: string[] = []
    for (let i = 0; i < count; i++) {
      const pinged = await act<{ delivery: { id: string } }>('pingWebhook', { webhookId }, 'delivery { id }')
      ids.push(pinged.delivery?.id ?? '')
    }
    await eventually(() => expect(receiver.postsTo(path)).toHaveLength(count))
    return ids
  }

  const expectDelivered = async (path: string, ids: string[]) => {
    const db = createDb({ url: database.url, poolSize: 1 })
    try {
      await eventually(
        async () => {
          const rows = await db.webhookDelivery.findMany({ where: { webhook: { url: receiver.url + path } } })
          expect(rows.map(({ state, attempts }) => [state, attempts])).toEqual(ids.map(() => ['DELIVERED', 2]))
        },
        { timeoutMs: 60_000 },
      )
    } finally {
      await db.$disconnect()
    }
    const got = receiver.postsTo(path).map(({ headers }) => headers['webhook-id'])
    expect(got.toSorted()).toEqual([...ids, ...ids].toSorted())
  }

  it('by kill -9 have what the receiver has not answered done by another, each under its own id', async () => {
    const nodes: SpawnedServer[] = [startNode(), startNode()]
    const [url = ''] = await Promise.all(nodes.map((node) => node.ready()))
    const ids = await pingInVain(url, '/killed', 4)
    for (const node of nodes) node.signal('SIGKILL', 'group')
    await Promise.all(nodes.map((node) => node.exited()))
    await startNode().ready()
    await expectDelivered('/killed', ids)
  }, 120_000)

  it('by SIGTERM end in order and in time, and leave it to another', async () => {
    const node = startNode()
    const ids = await pingInVain(await node.ready(), '/stopped', 2)
    await startNode().ready()
    node.signal('SIGTERM', 'process')
    expect(await node.exited()).toEqual({ code: 0, signal: null })
    await expectDelivered('/stopped', ids)
  }, 120_000)
})
