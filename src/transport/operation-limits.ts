// Refuses documents that are too long to read and operations that are too costly to run, before they run.

import { complexityFromQuery } from '@pothos/plugin-complexity'
import {
  type ASTVisitor,
  type DocumentNode,
  type ExecutionArgs,
  GraphQLError,
  type GraphQLSchema,
  getOperationAST,
  isIntrospectionType,
  Kind,
  parse,
  type ValidationContext,
} from 'graphql'
import type { Plugin } from 'graphql-yoga'
import { GateError } from '../platform/errors.ts'

/** Longest document, in tokens: a thousand fields are far more than any client asks for. */
const MAX_TOKENS = 4_000

/** What an operation may cost at most. A field costs 1; what stands on a page counts as often as the page is long. */
const LIMITS = { complexity: 20_000, depth: 15, breadth: 300 } as const

/** How often one document may ask for `__schema` or `__type`. */
const MAX_INTROSPECTIONS = 10

/** Limits of the document itself; GraphQL's parser and validation hold it to them. */
export function useDocumentLimits(): Plugin {
  return {
    onParse({ setParseFn }) {
      setParseFn((source, parseOptions) => {
        try {
          return parse(source, { ...parseOptions, maxTokens: MAX_TOKENS })
        } catch (error) {
          // The parser calls itself for every level: within the limit of tokens, brackets can still exhaust the stack.
          throw error instanceof RangeError ? tooComplex('The document is nested too deeply to be read.') : error
        }
      })
    },
    onValidate({ addValidationRule }) {
      addValidationRule(limitIntrospection)
    },
  }
}

/** Introspection costs nothing by the limits above; repeated by aliases, a short document would give many megabytes. */
function limitIntrospection(context: ValidationContext): ASTVisitor {
  let asked = 0
  let refused = false
  return {
    Field(node) {
      const name = node.name.value
      if (name === '__schema' || name === '__type') asked++
      const parent = context.getParentType()
      const isRenamed = node.alias !== undefined && node.alias.value !== name
      const isRepeated = asked > MAX_INTROSPECTIONS || (isRenamed && parent && isIntrospectionType(parent))
      if (isRepeated && !refused) {
        refused = true
        context.reportError(tooComplex('The document asks for the same part of the schema again and again.'))
      }
    },
  }
}

function tooComplex(message: string): GraphQLError {
  return new GraphQLError(message, { extensions: { code: 'QUERY_TOO_COMPLEX', retryable: false } })
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
