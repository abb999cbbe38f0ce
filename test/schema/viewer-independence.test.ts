// Guards the invariant of shared execution: what is not declared viewerDependent never reads the viewer. Whatever live
// events can reach is executed, field by field, on real objects, with a context that notes whoever asks for the viewer.

import { type GraphQLObjectType, GraphQLString, GraphQLObjectType as ObjectType } from 'graphql'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import type { Context } from '../../src/graphql/context.ts'
import { buildSchema } from '../../src/graphql/schema.ts'
import { type LiveSamples, playStory } from '../support/live-samples.ts'
import { createTestDatabase, type TestDatabase } from '../support/postgres-server.ts'
import { createFieldExecution, fieldsReachableFrom } from '../support/schema-walk.ts'

interface Findings {
  /** Fields that have read the viewer. */
  readViewer: string[]
  /** Fields of types that no sample is known of: they were not executed. */
  untried: string[]
  /** Fields whose execution ended with an error, so that it may have ended too early to read anything. */
  failed: string[]
  executed: number
}

describe('what live events can reach', () => {
  let database: TestDatabase
  let samples: LiveSamples
  beforeAll(async () => {
    database = await createTestDatabase(inject('postgresUrl'))
    samples = await playStory(database.url, buildSchema)
  })
  afterAll(async () => {
    await samples?.close()
    await database?.drop()
  })

  async function examine(schema = buildSchema()): Promise<Findings> {
    const findings: Findings = { readViewer: [], untried: [], failed: [], executed: 0 }
    let current = ''
    const context: Context = Object.create(samples.context, {
      viewer: {
        get() {
          findings.readViewer.push(current)
          throw new Error('the viewer was read')
        },
      },
    })
    const executeField = createFieldExecution(schema)
    for (const walked of fieldsReachableFrom(schema, subscriptionOf(schema))) {
      if (walked.field.extensions.viewerDependent) continue
      current = walked.path
      const sample = samples.objects.get(walked.type.name)
      if (sample === undefined) {
        findings.untried.push(current)
        continue
      }
      const { errors } = await executeField(walked, sample, context)
      if (errors) findings.failed.push(`${current}: ${errors.join(', ')}`)
      findings.executed++
    }
    return findings
  }

  it('never reads the viewer, where it is not declared', async () => {
    const { executed, ...findings } = await examine()
    expect(findings).toEqual({ readViewer: [], untried: [], failed: [] })
    expect(executed).toBeGreaterThan(100)
  })

  it('is found out where it does, and where it cannot be tried', async () => {
    const schema = buildSchema()
    const user = requireObject(schema.getType('User'))
    const planted = new ObjectType({
      name: 'Planted',
      fields: { unknown: { type: GraphQLString } },
    })
    const secretly = new ObjectType<unknown, Context>({
      name: 'Planter',
      fields: {
        me: { type: GraphQLString, resolve: (_source, _args, { viewer }) => viewer?.userId },
        later: {
          type: GraphQLString,
          resolve: (_source, _args, context) => Promise.resolve().then(() => context.viewer?.userId),
        },
        declared: {
          type: GraphQLString,
          extensions: { viewerDependent: true },
          resolve: (_s, _a, { viewer }) => viewer?.userId,
        },
        broken: { type: GraphQLString, resolve: () => Promise.reject(new Error('broken')) },
        planted: { type: planted, resolve: () => ({}) },
      },
    })
    Object.assign(user.getFields(), secretly.getFields())
    const { executed, ...findings } = await examine(schema)
    expect(findings).toEqual({
      readViewer: ['User.me', 'User.later'],
      untried: ['Planted.unknown'],
      failed: ['User.me: the viewer was read', 'User.later: the viewer was read', 'User.broken: broken'].map((text) =>
        expect.stringContaining(text),
      ),
    })
    expect(executed).toBeGreaterThan(100)
  })
})

function subscriptionOf(schema: ReturnType<typeof buildSchema>): GraphQLObjectType {
  return requireObject(schema.getSubscriptionType())
}

function requireObject(type: unknown): GraphQLObjectType {
  if (type instanceof ObjectType) return type
  throw new Error('not an object type')
}
