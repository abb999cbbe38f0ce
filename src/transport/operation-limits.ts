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
  specifiedRules,
  TypeInfo,
  type ValidationContext,
  visit,
  visitWithTypeInfo,
} from 'graphql'
import { GateError } from '../platform/errors.ts'

/** Longest document, in tokens: a thousand fields are far more than any client asks for. */
const MAX_TOKENS = 4_000

/** What an operation may cost at most. A field costs 1; what stands on a page counts as often as the page is long. */
const LIMITS = { complexity: 20_000, depth: 15, breadth: 600 } as const

/** How often one document may ask for `__schema` or `__type`. */
const MAX_INTROSPECTIONS = 10

/** Throws a GraphQLError where the text is no document or a longer one than is read. */
export function parseWithinLimits(text: string): DocumentNode {
  try {
    return parse(text, { maxTokens: MAX_TOKENS })
  } catch (error) {
    // The parser calls itself for every level: within the limit of tokens, brackets can still exhaust the stack.
    throw error instanceof RangeError ? tooComplex('The document is nested too deeply to be read.') : error
  }
}

/** The rules that every document is held to. */
export const DOCUMENT_RULES = [...specifiedRules, limitIntrospection]

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
export type RefuseCostly = (
  args: Pick<ExecutionArgs, 'document' | 'operationName' | 'variableValues'>,
) => GateError | null

/** Remembers what may run, whatever its variables are, for as long as the document lives. */
export function createCostLimit(schema: GraphQLSchema): RefuseCostly {
  const affordable = new WeakMap<DocumentNode, Set<string>>()
  return ({ document, operationName, variableValues }) => {
    const name = operationName ?? ''
    if (affordable.get(document)?.has(name)) return null
    const operation = getOperationAST(document, operationName)
    if (!operation) return null
    const fragments = document.definitions.filter(({ kind }) => kind === Kind.FRAGMENT_DEFINITION)
    const alone: DocumentNode = { kind: Kind.DOCUMENT, definitions: [operation, ...fragments] }
    const cost = costOf(schema, alone, variableValues ?? {})
    // Variables that do not fit: the execution says so better.
    if (!cost) return null
    const refusal = judge(cost)
    if (!refusal && !costsByVariables(schema, document)) {
      affordable.set(document, (affordable.get(document) ?? new Set()).add(name))
    }
    return refusal
  }
}

function judge(cost: Record<keyof typeof LIMITS, number>): GateError | null {
  for (const [kind, limit] of Object.entries(LIMITS)) {
    const actual = cost[kind as keyof typeof LIMITS] // Object.entries forgets the keys
    if (actual > limit) {
      const message = `The operation exceeds the limit of ${kind}: ${actual} > ${limit}.`
      return new GateError('QUERY_TOO_COMPLEX', message, { limitOf: kind, limit, actual })
    }
  }
  return null
}

/** Whether a field whose cost follows from its arguments has a variable among them. */
function costsByVariables(schema: GraphQLSchema, document: DocumentNode): boolean {
  const typeInfo = new TypeInfo(schema)
  let found = false
  const Variable = () => {
    if (typeof typeInfo.getFieldDef()?.extensions.complexity === 'function') found = true
  }
  visit(document, visitWithTypeInfo(typeInfo, { Variable }))
  return found
}

function costOf(schema: GraphQLSchema, document: DocumentNode, variables: Readonly<Record<string, unknown>>) {
  try {
    return complexityFromQuery(document, { schema, variables: { ...variables } })
  } catch {
    return null
  }
}
