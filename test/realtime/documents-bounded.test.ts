// However many different documents clients send, what a node keeps of them is bounded.

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { type DocumentNode, GraphQLError, parse } from 'graphql'
import { afterEach, describe, expect, it } from 'vitest'
import type { Context } from '../../src/graphql/context.ts'
import { buildSchema } from '../../src/graphql/schema.ts'
import { createLogger } from '../../src/platform/logger.ts'
import { createGraphQLEndpoint } from '../../src/transport/graphql-endpoint.ts'
import { OperationGroups } from '../../src/transport/operation-groups.ts'
import { type Person, person, stopAll } from '../support/seed.ts'
import { useNodes } from '../support/start-nodes.ts'
import { subscribe } from '../support/stream.ts'

const MIB = 1024 * 1024

setFlagsFromString('--expose-gc')
/** Node's own, by the flag above. */
const collectGarbage: () => void = runInNewContext('gc')

/** What is in use, and what buffers hold, in bytes. */
async function usedBytes(): Promise<number> {
  // Twice, with a turn between them: what the first frees may let go of more.
  for (let i = 0; i < 2; i++) {
    collectGarbage()
    await new Promise((resolve) => setImmediate(resolve))
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

const messageAdded = (number: number, fields = 'id') =>
  `subscription Number${number}($roomId: ID!) { messageAdded(roomId: $roomId, after: 0) { ${fields} } }`

/** Two tokens and a name of its own each. */
const manyFields = (count: number) => Array.from({ length: count }, (_, i) => `field${i}: text`).join(' ')

/** What parses and validates as the server does; the rest of it is not asked. */
function openEndpoint() {
  const schema = buildSchema()
  const endpoint = createGraphQLEndpoint({
    schema,
    // Parsing reads no service.
    services: {} as never,
    authenticate: async () => null,
    corsOrigins: [],
    maxBodyBytes: 1_000_000,
    graphiql: null,
    logger: createLogger('fatal'),
  })
  const enveloped = endpoint.getEnveloped({ params: {} } as never) // as the WebSocket server asks, but with no socket
  const read = (text: string): DocumentNode => {
    const document: DocumentNode = enveloped.parse(text)
    expect(enveloped.validate(schema, document)).toEqual([])
    return document
  }
  return { schema, read }
}

describe('groups of subscribers', () => {
  it('go with their last member', () => {
    const schema = buildSchema()
    const groups = new OperationGroups(schema, (error) => error as GraphQLError)
    // Selections that read nothing of a context.
    const contextValue = { viewer: null, requestId: '' } as unknown as Context
    const joined = Array.from({ length: 3_000 }, (_, i) => {
      const args = { schema, document: parse(messageAdded(i)), contextValue }
      return [groups.join(args), groups.join(args)]
    })
    expect(groups.size).toBe(3_000)
    for (const [group] of joined) if (group) groups.leave(group)
    expect(groups.size).toBe(3_000)
    for (const [, group] of joined) if (group) groups.leave(group)
    expect(groups.size).toBe(0)
  })
})

describe('documents', () => {
  it('of the usual size stay, a thousand of them, each with what is known of it', () => {
    const { read } = openEndpoint()
    const texts = Array.from({ length: 1_000 }, (_, i) => messageAdded(i, 'id seq text createdAt author { id name }'))
    const documents = texts.map(read)
    expect(texts.filter((text, i) => read(text) !== documents[i])).toEqual([])
  })

  it('are forgotten with everything that was made of them', { timeout: 60_000 }, async () => {
    const { schema, read } = openEndpoint()
    const groups = new OperationGroups(schema, (error) => error as GraphQLError)
    const documents: WeakRef<DocumentNode>[] = []
    for (let i = 0; i < 300; i++) {
      const document = read(messageAdded(i, manyFields(500)))
      // A selection that reads nothing of a context.
      const contextValue = { viewer: null, requestId: '' } as unknown as Context
      const group = groups.join({ schema, document, contextValue, variableValues: { roomId: '' } })
      // Some often enough to be compiled.
      const executions = i % 20 === 0 ? 20 : 1
      for (let times = 0; times < executions; times++) await group.resultOf({ text: '' })
      groups.leave(group)
      documents.push(new WeakRef(document))
    }
    await usedBytes()
    expect(documents.filter((document) => document.deref() !== undefined).length).toBeLessThan(200)
  })

  // Guards: a bound on their number alone lets long ones take a gigabyte.
  it.each([
    ['fields', 300, (i: number) => messageAdded(i, manyFields(1_200))],
    ['comments', 500, (i: number) => `${messageAdded(i)} # ${String(i).padEnd(MIB / 2)}`],
    ['mistakes', 500, (i: number) => `${messageAdded(i)} } # ${String(i).padEnd(MIB / 2)}`],
  ])('take no more memory the longer their %s are', async (_what, count, textOf) => {
    const { read } = openEndpoint()
    const before = await usedBytes()
    for (let i = 0; i < count; i++) {
      try {
        read(textOf(i))
      } catch (error) {
        if (!(error instanceof GraphQLError)) throw error
      }
    }
    expect((await usedBytes()) - before).toBeLessThan(100 * MIB)
  })
})

describe('a node', () => {
  const nodes = useNodes({ nodes: 1 })
  afterEach(stopAll)

  const WAVE = 500
  const AT_ONCE = 50
  const WAVES = 3
  /** Long documents, so that a few hundred of them are more than is kept. */
  const FIELDS = manyFields(280)

  async function openAndClose(ada: Person, roomId: string, from: number): Promise<void> {
    const client = ada.connect()
    for (let i = from; i < from + WAVE; i += AT_ONCE) {
      const streams = Array.from({ length: AT_ONCE }, (_, k) =>
        subscribe(client, messageAdded(i + k, FIELDS), { roomId }),
      )
      const results = await Promise.all(streams.map((stream) => stream.next()))
      for (const { errors } of results) expect(errors).toBeUndefined()
      for (const stream of streams) stream.stop()
    }
    await client.dispose()
  }

  it('keeps no more after thousands of different subscriptions than after the first of them', {
    timeout: 120_000,
  }, async () => {
    const ada = await person(nodes().urls[0] ?? '', 'Ada')
    const roomId = await ada.createRoom()
    await ada.send(roomId, 'hello')
    const used = [await usedBytes()]
    for (let wave = 0; wave < WAVES; wave++) {
      await openAndClose(ada, roomId, wave * WAVE)
      used.push(await usedBytes())
    }
    const [before = 0, first = 0] = used
    expect(Math.max(...used) - first).toBeLessThan((first - before) / 2)
  })
})
