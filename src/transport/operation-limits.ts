// Refuses documents that are too long to read and operations that are too costly to run, before they run.

import { complexityFromQuery } from '@pothos/plugin-complexity'
import { type DocumentNode, type ExecutionArgs, type GraphQLSchema, getOperationAST, Kind, parse } from 'graphql'
import type { Plugin } from 'graphql-yoga'
import { GateError } from '../platform/errors.ts'

/** Longest document, in tokens: a thousand fields are far more than any client asks for. */
const MAX_TOKENS = 4_000

/** What an operation may cost at most. A field costs 1; what stands on a page counts as often as the page is long. */
const LIMITS = { complexity: 20_000, depth: 15, breadth: 300 } as const

export function useTokenLimit(): Plugin {
  return {
    onParse({ setParseFn }) {
      setParseFn((source, parseOptions) => parse(source, { ...parseOptions, maxTokens: MAX_TOKENS }))
    },
  }
}

/** The refusal of an operation that costs too much; null for one that may run. */
export function refuseCostly(schema: GraphQLSchema, args: ExecutionArgs): GateError | null {
  const operation = getOperationAST(args.document, args.operationName)
  if (!operation) return null
  const fragments = args.document.definitions.filter(({ kind }) => kind === Kind.FRAGMENT_DEFINITION)
  const document: DocumentNode = { kind: Kind.DOCUMENT, definitions: [operation, ...fragments] }
  const cost = costOf(schema, document, args.variableValues ?? {})
  for (const [kind, limit] of Object.entries(LIMITS)) {
    const actual = cost?.[kind as keyof typeof LIMITS] // Object.entries forgets the keys
    if (actual !== undefined && actual > limit) {
      const details = { limitOf: kind, limit, actual }
      return new GateError(
        'QUERY_TOO_COMPLEX',
        `The operation exceeds the limit of ${kind}: ${actual} > ${limit}.`,
        details,
      )
    }
  }
  return null
}

function costOf(schema: GraphQLSchema, document: DocumentNode, variables: Readonly<Record<string, unknown>>) {
  try {
    return complexityFromQuery(document, { schema, variables: { ...variables } })
  } catch {
    // Variables that do not fit: the execution says so better.
    return null
  }
}
