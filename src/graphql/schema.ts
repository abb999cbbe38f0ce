// The whole schema, by import: every feature adds its part to the builder.

import './base-types.ts'
import '../users/schema.ts'
import '../auth/schema.ts'
import '../rooms/schema.ts'
import '../rooms/mutations.ts'
import '../rooms/moderation-schema.ts'
import '../rooms/event-schema.ts'
import '../messages/schema.ts'
import '../files/schema.ts'
import '../presence/schema.ts'
import '../live/schema.ts'
import '../notifications/schema.ts'
import '../notifications/settings-schema.ts'
import '../notifications/event-schema.ts'
import '../operations/schema.ts'
import '../server-info/schema.ts'
import '../notifications/push-schema.ts'
import '../notifications/webhook-schema.ts'
import { type GraphQLSchema, isInterfaceType, lexicographicSortSchema, printSchema } from 'graphql'
import { builder } from './builder.ts'
import { createIdEncoder } from './global-id.ts'

export function buildSchema(): GraphQLSchema {
  const schema = builder.toSchema({ sortSchema: false })
  resolveIdsAtOnce(schema)
  return schema
}

/**
 * The relay plugin's `id` of a node is an async function, a promise for every id of every event. Ours needs none, so that
 * a live event is executed without waiting. Every node's own id is its `id`.
 */
function resolveIdsAtOnce(schema: GraphQLSchema): void {
  const node = schema.getType('Node')
  if (!isInterfaceType(node)) throw new Error('the schema has no interface Node')
  for (const type of schema.getPossibleTypes(node)) {
    const { id } = type.getFields()
    if (!id) throw new Error(`${type.name} is a Node without an id`)
    const encode = createIdEncoder(type.name)
    id.resolve = (parent: { id: string }) => encode(parent.id)
  }
}

/** The schema as it is published: sorted, so that its text changes only with its meaning. */
export function printPublishedSchema(schema: GraphQLSchema): string {
  return `${printSchema(lexicographicSortSchema(schema))}\n`
}
