import { readFile } from 'node:fs/promises'
import {
  type GraphQLArgument,
  type GraphQLField,
  type GraphQLInputType,
  type GraphQLNamedType,
  getNamedType,
  isEnumType,
  isInputObjectType,
  isIntrospectionType,
  isLeafType,
  isListType,
  isNonNullType,
  isRequiredArgument,
  isRequiredInputField,
  isSpecifiedScalarType,
} from 'graphql'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { encodeGlobalId } from '../../src/graphql/global-id.ts'
import { buildSchema, printPublishedSchema } from '../../src/graphql/schema.ts'
import { newId } from '../../src/platform/ids.ts'
import { post } from '../support/graphql-over-http.ts'
import { startNodes, type TestNodes } from '../support/start-nodes.ts'
import { connect, subscribe } from '../support/stream.ts'

const schema = buildSchema()
const ownTypes = Object.values(schema.getTypeMap()).filter(
  (type) => !isIntrospectionType(type) && !isSpecifiedScalarType(type),
)

describe('schema.graphql', () => {
  it('is what the sources make: after a change of the schema run "npm run generate"', async () => {
    const committed = await readFile(new URL('../../schema.graphql', import.meta.url), 'utf8')
    expect(committed).toBe(printPublishedSchema(schema))
  })

  it('describes every type, field, argument, enum value and input field', () => {
    expect(ownTypes.flatMap(describables).filter(({ description }) => !description?.trim())).toEqual([])
  })

  it('says of everything deprecated why, and what to use instead', () => {
    const silent = ['', 'No longer supported']
    const unexplained = ownTypes
      .flatMap(describables)
      .filter(({ deprecationReason: reason }) => reason != null && silent.includes(reason.trim()))
    expect(unexplained).toEqual([])
  })
})

interface Describable {
  path: string
  description: string | null | undefined
  deprecationReason?: string | null | undefined
}

function describables(type: GraphQLNamedType): Describable[] {
  const own = { path: type.name, description: type.description }
  if (isEnumType(type)) return [own, ...type.getValues().map((value) => describable(type.name, value))]
  if (!('getFields' in type)) return [own]
  const fields = Object.values(type.getFields()).flatMap((field) => {
    const args: readonly GraphQLArgument[] = 'args' in field ? field.args : []
    return [describable(type.name, field), ...args.map((arg) => describable(`${type.name}.${field.name}`, arg))]
  })
  return [own, ...fields]
}

function describable(parent: string, { name, ...rest }: Omit<Describable, 'path'> & { name: string }): Describable {
  const { description, deprecationReason } = rest
  return { path: `${parent}.${name}`, description, deprecationReason }
}

describe('a running node', () => {
  let nodes: TestNodes
  const url = () => nodes.urls[0] ?? ''
  beforeAll(async () => {
    nodes = await startNodes()
  })
  afterAll(() => nodes?.stop())

  it('serves the published schema', async () => {
    const response = await fetch(new URL('/schema.graphql', url()))
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toMatch(/^text\/plain; *charset=utf-8$/i)
    expect(await response.text()).toBe(printPublishedSchema(schema))
  })

  /** What answers without a token, on purpose. */
  const open: Record<string, unknown> = {
    'Query.viewer': null,
    'Query.serverInfo': { __typename: 'ServerInfo' },
  }
  const operations = [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()].flatMap((type) =>
    Object.values(type?.getFields() ?? {}).map((field) => ({
      // Root types keep their default names in this schema.
      path: `${type?.name}.${field.name}`,
      field,
      query: `${type?.name.toLowerCase()} { ${selectMinimally(field)} }`,
    })),
  )

  it('has fields of every kind to ask, and the open ones among them', () => {
    expect(new Set(operations.map(({ path }) => path.split('.')[0]))).toEqual(
      new Set(['Query', 'Mutation', 'Subscription']),
    )
    expect(operations.map(({ path }) => path)).toEqual(expect.arrayContaining(Object.keys(open)))
  })

  for (const { path, field, query } of operations) {
    if (path in open) {
      it(`answers ${path} to anybody`, async () => {
        const { data, errors } = await post(url(), query)
        expect(errors).toEqual([])
        expect(data).toEqual({ [field.name]: open[path] })
      })
    } else if (path.startsWith('Subscription.')) {
      it(`opens no ${path} without a token`, async () => {
        const client = connect(url(), null)
        try {
          const stream = subscribe(client, query)
          expect(await stream.next()).toMatchObject({ errors: [{ extensions: { code: 'UNAUTHENTICATED' } }] })
          expect(await stream.ended()).toBeNull()
        } finally {
          await client.dispose()
        }
      })
    } else if (field.args.some(({ type }) => getNamedType(type).name === 'File')) {
      it(`takes no ${path} but as a form, which needs a token: test/api/upload-requests.test.ts`, async () => {
        const { errors } = await post(url(), query)
        expect(errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT' } }])
      })
    } else {
      it(`answers ${path} with UNAUTHENTICATED without a token`, async () => {
        const { errors } = await post(url(), query)
        expect(errors).toMatchObject([
          { path: [field.name], extensions: { code: 'UNAUTHENTICATED', retryable: false } },
        ])
      })
    }
  }
})

function selectMinimally(field: GraphQLField<unknown, unknown>): string {
  const args = field.args.filter(isRequiredArgument).map((arg) => `${arg.name}: ${minimalValue(arg.name, arg.type)}`)
  const type = getNamedType(field.type)
  // A connection of which nothing is read is not resolved at all.
  const selection = isLeafType(type) ? '' : type.name.endsWith('Connection') ? '{ edges { cursor } }' : '{ __typename }'
  return `${field.name}${args.length > 0 ? `(${args.join(', ')})` : ''} ${selection}`
}

/** A literal that passes GraphQL's own validation, so that the answer is the server's. */
function minimalValue(name: string, type: GraphQLInputType): string {
  if (isNonNullType(type)) return minimalValue(name, type.ofType)
  if (isListType(type)) return `[${minimalValue(name, type.ofType)}]`
  if (isEnumType(type)) return type.getValues()[0]?.name ?? ''
  if (isInputObjectType(type)) {
    const required = Object.values(type.getFields()).filter(isRequiredInputField)
    return `{ ${required.map((field) => `${field.name}: ${minimalValue(field.name, field.type)}`).join(', ')} }`
  }
  if (type.name === 'Boolean') return 'true'
  if (type.name === 'Int' || type.name === 'Float') return '1'
  if (type.name === 'DateTime') return '"2026-01-31T12:00:00.000Z"'
  return type.name === 'ID' ? `"${encodeGlobalId(typeNamedBy(name), newId())}"` : '"text"'
}

/** `roomId` names a Room; a bare `id` may name anything. */
function typeNamedBy(name: string): string {
  const [, base = 'User'] = /^(.+)Ids?$/.exec(name) ?? []
  const known: Record<string, string> = { room: 'Room', user: 'User', member: 'User', replyTo: 'Message' }
  return known[base] ?? 'User'
}
