// Guards the price of a live event: what it shows to everybody stands in it, so it is executed at once, without a promise
// for every field and without reading anything.

import { execute } from 'graphql'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { buildSchema } from '../../src/graphql/schema.ts'
import { type LiveSamples, playStory, subscribeToAll } from '../support/live-samples.ts'
import { createTestDatabase, type TestDatabase } from '../support/postgres-server.ts'
import { createFieldExecution, fieldsReachableFrom, type LeaveOut } from '../support/schema-walk.ts'

/** What a live event does not carry and whoever selects it reads: lists, what changes by itself, and who stands in what was read for one viewer. */
const READS = ['Ban.bannedBy', 'Ban.user', 'Membership.user', 'RoomPresence.count', 'RoomPresence.users']

const isNotCarried: LeaveOut = (path, { extensions }) => READS.includes(path) || extensions.viewerDependent === true

describe('a live event', () => {
  const schema = buildSchema()
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

  it('has nothing that waits, but what is read on purpose', async () => {
    const executeField = createFieldExecution(schema)
    const root = schema.getSubscriptionType()
    if (!root) throw new Error('there are no subscriptions')
    const waiting: string[] = []
    for (const walked of fieldsReachableFrom(schema, root)) {
      if (walked.field.extensions.viewerDependent) continue
      expect(samples.objects.has(walked.type.name), walked.path).toBe(true)
      const sample = samples.objects.get(walked.type.name)
      // Memberships come with their user or without: what waits is the latter.
      const object = walked.path === 'Membership.user' ? { ...Object(sample), user: undefined } : sample
      const result = executeField(walked, object, samples.context)
      if (result instanceof Promise) waiting.push(walked.path)
      expect((await result).errors, walked.path).toBeUndefined()
    }
    expect(waiting.sort()).toEqual(READS)
  })

  it('is executed at once, whatever is selected of what it carries', () => {
    const fields = new Set(samples.events.map(({ field }) => field))
    expect(fields).toEqual(new Set(Object.keys(schema.getSubscriptionType()?.getFields() ?? {})))
    for (const { field, event } of samples.events) {
      const result = execute({
        schema,
        document: subscribeToAll(schema, field, isNotCarried),
        rootValue: event,
        contextValue: samples.context,
        variableValues: { roomId: 'any' },
      })
      expect(result).not.toBeInstanceOf(Promise)
      expect(result).not.toHaveProperty('errors')
      expect(result).toHaveProperty(`data.${field}.__typename`)
    }
  })
})
