import SchemaBuilder from '@pothos/core'
import ComplexityPlugin from '@pothos/plugin-complexity'
import ErrorsPlugin from '@pothos/plugin-errors'
import PrismaPlugin from '@pothos/plugin-prisma'
import RelayPlugin from '@pothos/plugin-relay'
import type PrismaTypes from '../generated/pothos-types.ts'
import { getDatamodel } from '../generated/pothos-types.ts'
import type { Context } from './context.ts'
import { decodeGlobalId, encodeGlobalId } from './global-id.ts'
import type { UploadedFile } from './uploaded-file.ts'

/** Longest page of any connection. */
export const MAX_PAGE_SIZE = 100
/** Page of a connection where none is asked for. */
export const DEFAULT_PAGE_SIZE = 50

/** What a page costs: its fields, as often as it is long. For the `complexity` of a connection. */
export function pageComplexity({ first, last }: { first?: number | null; last?: number | null }) {
  return { field: 1, multiplier: Math.min(Math.max(first ?? last ?? DEFAULT_PAGE_SIZE, 1), MAX_PAGE_SIZE) }
}

// The schema is put together by import: graphql/schema.ts imports every feature's schema file.
export const builder = new SchemaBuilder<{
  Context: Context
  PrismaTypes: PrismaTypes
  DefaultFieldNullability: false
  DefaultEdgesNullability: { list: false; items: false }
  DefaultNodeNullability: false
  Scalars: {
    DateTime: { Input: Date; Output: Date | string }
    File: { Input: UploadedFile; Output: never }
    ID: { Input: string; Output: string }
  }
}>({
  // In this order, the errors plugin also sees what the plugins after it throw.
  plugins: [ErrorsPlugin, RelayPlugin, PrismaPlugin, ComplexityPlugin],
  defaultFieldNullability: false,
  errors: {
    directResult: true,
    defaultUnionOptions: {
      name: ({ fieldName }) => `${capitalize(fieldName)}Result`,
    },
  },
  relay: {
    clientMutationId: 'omit',
    cursorType: 'String',
    encodeGlobalID: encodeGlobalId,
    decodeGlobalID: decodeGlobalId,
    nodeQueryOptions: {
      description: 'An object by its global id; null where it is absent or not for the viewer.',
      args: { id: { description: 'The global id, as another object gave it.' } },
    },
    nodesQueryOptions: false,
    nodeTypeOptions: { description: 'An object with a global id (Relay, Global Object Identification).' },
    idFieldOptions: { description: 'The global id: opaque, stable, unique over all types.' },
    pageInfoTypeOptions: { description: 'Where a page stands in its connection (Relay, Cursor Connections).' },
    hasNextPageFieldOptions: { description: 'Whether more follows after `endCursor`.' },
    hasPreviousPageFieldOptions: { description: 'Whether more stands before `startCursor`.' },
    startCursorFieldOptions: { description: 'The cursor of the first edge; null on an empty page.' },
    endCursorFieldOptions: { description: 'The cursor of the last edge; null on an empty page.' },
    cursorFieldOptions: { description: 'The place of this edge, for `after` and `before`. Opaque.' },
    nodeFieldOptions: { description: 'The object itself.', nullable: false },
    edgesFieldOptions: {
      description: 'The objects with their cursors.',
      // The connection itself counts how long it is.
      complexity: { field: 1, multiplier: 1 },
      nullable: { list: false, items: false },
    },
    pageInfoFieldOptions: { description: 'Where this page stands.' },
    firstArgOptions: { description: `How many from the start of the range, 0 to ${MAX_PAGE_SIZE}.` },
    lastArgOptions: { description: `How many from the end of the range, 0 to ${MAX_PAGE_SIZE}.` },
    afterArgOptions: { description: 'Only what follows this cursor.' },
    beforeArgOptions: { description: 'Only what stands before this cursor.' },
    defaultConnectionTypeOptions: { description: 'A page of a list (Relay, Cursor Connections).' },
    defaultEdgeTypeOptions: { description: 'One object in its place in a list.' },
  },
  prisma: {
    client: (context) => context.db,
    dmmf: getDatamodel(),
    defaultConnectionSize: DEFAULT_PAGE_SIZE,
    maxConnectionSize: MAX_PAGE_SIZE,
  },
  complexity: {
    defaultComplexity: 1,
    defaultListMultiplier: 10,
    // Checked once per operation, before it runs (transport/operation-limits.ts), and not with every field or event.
    disabled: true,
  },
})

builder.queryType({ description: 'Everything that can be read. All but `serverInfo` needs a signed-in user.' })
builder.mutationType({
  description:
    'Everything that can be changed. Refusals that a caller can act on are members of the result; errors of the request itself are GraphQL errors.',
})
builder.subscriptionType({
  description:
    'Live streams, over WebSocket (graphql-transport-ws) and server-sent events. See docs/protocol.md for the delivery contract.',
})

function capitalize(name: string): string {
  return name.charAt(0).toUpperCase() + name.slice(1)
}
