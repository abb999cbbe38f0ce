// The whole schema, by import: every feature adds its part to the builder.

import './base-types.ts'
import '../users/schema.ts'
import '../rooms/schema.ts'
import '../rooms/mutations.ts'
import '../rooms/event-schema.ts'
import '../messages/schema.ts'
import '../presence/schema.ts'
import '../live/schema.ts'
import '../server-info/schema.ts'
import { type GraphQLSchema, lexicographicSortSchema, printSchema } from 'graphql'
import { builder } from './builder.ts'

export function buildSchema(): GraphQLSchema {
  return builder.toSchema({ sortSchema: false })
}

/** The schema as it is published: sorted, so that its text changes only with its meaning. */
export function printPublishedSchema(schema: GraphQLSchema): string {
  return `${printSchema(lexicographicSortSchema(schema))}\n`
}
