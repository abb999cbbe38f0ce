import {
  type ExecutionResult,
  type GraphQLError,
  GraphQLInt,
  GraphQLObjectType,
  GraphQLSchema,
  GraphQLString,
  parse,
} from 'graphql'
import { describe, expect, it } from 'vitest'
import type { Context } from '../graphql/context.ts'
import { createSharedExecution } from './shared-execution.ts'

interface Event {
  seq: number
}

/** Three events, the same objects for every subscriber, as a feed gives them. */
const events: Event[] = [{ seq: 1 }, { seq: 2 }, { seq: 3 }]

function makeSchema() {
  let executions = 0
  const Item = new GraphQLObjectType<Event, Context>({
    name: 'Item',
    fields: {
      seq: {
        type: GraphQLInt,
        resolve: ({ seq }) => {
          executions++
          return seq
        },
      },
      times: {
        type: GraphQLInt,
        args: { factor: { type: GraphQLInt } },
        resolve: ({ seq }, { factor }) => seq * factor,
      },
      mine: {
        type: GraphQLString,
        extensions: { viewerDependent: true },
        resolve: ({ seq }, _args, { viewer }) => `${viewer?.userId} ${seq}`,
      },
      undeclared: { type: GraphQLString, resolve: (_event, _args, { viewer }) => viewer?.userId },
    },
  })
  const schema = new GraphQLSchema({
    query: new GraphQLObjectType({ name: 'Query', fields: { nothing: { type: GraphQLInt } } }),
    subscription: new GraphQLObjectType({
      name: 'Subscription',
      fields: {
        items: {
          type: Item,
          args: { after: { type: GraphQLInt }, room: { type: GraphQLInt } },
          subscribe: async function* (_root, { after }) {
            for (const event of events) if (event.seq > (after ?? 0)) yield event
          },
          resolve: (event) => event,
        },
      },
    }),
  })
  return { schema, executions: () => executions }
}

function makeSubscriber(schema: GraphQLSchema) {
  // As they are: what clients see of errors is tested elsewhere.
  const subscribe = createSharedExecution(schema, (error) => error as GraphQLError)
  const documents = new Map<string, ReturnType<typeof parse>>()
  return async (query: string, { viewer = 'ada', variables = {} }: { viewer?: string; variables?: object } = {}) => {
    // As in the service, the same text is the same document.
    const document = documents.get(query) ?? parse(query)
    documents.set(query, document)
    // The tests' fields read nothing else of the context.
    const contextValue = { viewer: { userId: viewer, expiresAt: new Date() } } as Context
    const stream = await subscribe({ schema, document, contextValue, variableValues: { ...variables } })
    if (!(Symbol.asyncIterator in stream)) throw new Error(JSON.stringify(stream))
    const results: ExecutionResult[] = []
    for await (const result of stream) results.push(result)
    return results
  }
}

const dataOf = (results: ExecutionResult[]) => results.map(({ data }) => data?.items)

describe('shared execution', () => {
  it('executes an event once for all who ask the same, whoever they are', async () => {
    const { schema, executions } = makeSchema()
    const subscribe = makeSubscriber(schema)
    const query = 'subscription { items { seq } }'
    const all = await Promise.all(['ada', 'bob', 'cem'].map((viewer) => subscribe(query, { viewer })))
    for (const results of all) expect(dataOf(results)).toEqual([{ seq: 1 }, { seq: 2 }, { seq: 3 }])
    expect(executions()).toBe(3)
  })

  it('takes no notice of where a subscriber resumes', async () => {
    const { schema, executions } = makeSchema()
    const subscribe = makeSubscriber(schema)
    const query = 'subscription ($after: Int) { items(after: $after) { seq } }'
    const [, late] = await Promise.all([0, 1].map((after) => subscribe(query, { variables: { after } })))
    expect(dataOf(late ?? [])).toEqual([{ seq: 2 }, { seq: 3 }])
    expect(executions()).toBe(3)
  })

  it('keeps apart what a variable tells apart, also when the resume point shows in the selection', async () => {
    const { schema } = makeSchema()
    const subscribe = makeSubscriber(schema)
    const query = 'subscription ($n: Int) { items(after: $n) { seq times(factor: $n) } }'
    expect(dataOf(await subscribe(query, { variables: { n: 2 } }))).toEqual([{ seq: 3, times: 6 }])
    expect(dataOf(await subscribe(query, { variables: { n: 1 } }))).toEqual([
      { seq: 2, times: 2 },
      { seq: 3, times: 3 },
    ])
  })

  it('executes per viewer what depends on the viewer', async () => {
    const { schema } = makeSchema()
    const subscribe = makeSubscriber(schema)
    const query = 'subscription { items { mine ...more } } fragment more on Item { seq }'
    expect(dataOf(await subscribe(query, { viewer: 'ada' }))[0]).toEqual({ mine: 'ada 1', seq: 1 })
    expect(dataOf(await subscribe(query, { viewer: 'bob' }))[0]).toEqual({ mine: 'bob 1', seq: 1 })
  })

  it('refuses a field that reads the viewer without declaring it, rather than show one viewer another’s data', async () => {
    const { schema } = makeSchema()
    const [result] = await makeSubscriber(schema)('subscription { items { undeclared } }')
    expect(result?.data).toEqual({ items: { undeclared: null } })
    expect(result?.errors?.[0]?.message).toContain('viewerDependent')
  })
})
