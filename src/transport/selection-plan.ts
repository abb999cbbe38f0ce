// Executes one operation on events, again and again, and writes the result as JSON text. What an operation selects is worked
// out once, as a tree of small functions: which fields each type gives (directives, fragments and aliases resolved for the
// operation's own variables), with their arguments. Unlike code generated for each operation, these functions are the same
// for all operations, so they stay fast where a thousand subscribers select a thousand different things.
// Invariant: it writes what graphql-js would, or nothing. Whatever is not plain sailing (a promise, an error, a null where
// none may be) makes it give up, and the caller lets graphql-js do the whole operation.

import {
  defaultFieldResolver,
  defaultTypeResolver,
  type FieldNode,
  type GraphQLAbstractType,
  type GraphQLField,
  type GraphQLLeafType,
  type GraphQLObjectType,
  type GraphQLOutputType,
  type GraphQLResolveInfo,
  getArgumentValues,
  isAbstractType,
  isLeafType,
  isListType,
  isNonNullType,
  isObjectType,
  TypeNameMetaFieldDef,
} from 'graphql'
import { collectFields, type OperationParts } from './collected-fields.ts'

/** Why a plan gave up. Asynchronous fields stay so: the plan is of no use. Anything else may be this event's own. */
export class GaveUp extends Error {
  readonly isForGood: boolean

  constructor(isForGood: boolean) {
    super(isForGood ? 'a field is asynchronous' : 'a field failed')
    this.isForGood = isForGood
  }
}

/** Writes a value as JSON. Throws GaveUp, or what a resolver threw. */
type Write = (value: unknown, context: unknown) => string

/** The arguments of an operation's one field. */
export type RootArguments = Record<string, unknown>

export interface SelectionPlan {
  /**
   * The data of the operation's result for an event, as JSON. Throws GaveUp, or what a resolver threw. The plan may be that
   * of another operation which differs in the root field's arguments only.
   */
  run(event: unknown, context: unknown, rootArguments: RootArguments): string
  rootArgumentsOf(operation: OperationParts): RootArguments
}

/** A plan for a subscription. It has one root field (GraphQL, 5.2.4.1). */
export function planSubscription(operation: OperationParts): SelectionPlan {
  const { rootType } = operation
  const [[key, nodes] = []] = collectFields(operation, rootType, [operation.definition])
  const field = rootType.getFields()[nodes?.[0]?.name.value ?? '']
  const [node] = nodes ?? []
  if (!field || !node || !nodes) throw new GaveUp(true)
  const info = makeInfo(operation, rootType, field, nodes)
  const resolve = field.resolve ?? defaultFieldResolver
  const write = planValue(operation, field.type, { nodes, info })
  const start = `{${JSON.stringify(key)}:`
  return {
    run: (event, context, rootArguments) => `${start}${write(resolve(event, rootArguments, context, info), context)}}`,
    rootArgumentsOf: ({ variableValues }) => getArgumentValues(field, node, variableValues),
  }
}

function planFields(
  operation: OperationParts,
  type: GraphQLObjectType,
  parents: Parameters<typeof collectFields>[2],
): Write {
  const fields = [...collectFields(operation, type, parents)].map(([key, nodes], i) => ({
    start: `${i === 0 ? '' : ','}${JSON.stringify(key)}:`,
    write: planField(operation, type, nodes),
  }))
  return (source, context) => {
    let text = '{'
    for (const { start, write } of fields) text += start + write(source, context)
    return `${text}}`
  }
}

function planField(operation: OperationParts, parentType: GraphQLObjectType, nodes: readonly FieldNode[]): Write {
  const [node] = nodes
  if (!node) throw new Error('a field without a node')
  if (node.name.value === TypeNameMetaFieldDef.name) {
    const name = JSON.stringify(parentType.name)
    return () => name
  }
  const field = parentType.getFields()[node.name.value]
  // Introspection: seldom, and nothing to be fast at.
  if (!field) throw new GaveUp(true)
  const info = makeInfo(operation, parentType, field, nodes)
  const resolve = field.resolve ?? defaultFieldResolver
  const args = getArgumentValues(field, node, operation.variableValues)
  const write = planValue(operation, field.type, { nodes, info })
  return (source, context) => write(resolve(source, args, context, info), context)
}

interface FieldParts {
  nodes: readonly FieldNode[]
  info: GraphQLResolveInfo
}

function planValue(operation: OperationParts, type: GraphQLOutputType, field: FieldParts): Write {
  if (isNonNullType(type)) {
    const write = planNullable(operation, type.ofType, field)
    return (value, context) => {
      if (value == null) throw new GaveUp(false)
      return write(value, context)
    }
  }
  const write = planNullable(operation, type, field)
  return (value, context) => (value == null ? 'null' : write(value, context))
}

/** For values that are not null. */
function planNullable(operation: OperationParts, type: GraphQLOutputType, field: FieldParts): Write {
  if (isLeafType(type)) return (value) => writeLeaf(type, value)
  if (isListType(type)) return planList(planValue(operation, type.ofType, field))
  if (isAbstractType(type)) return planAbstract(operation, type, field)
  if (isObjectType(type)) return planObject(operation, type, field)
  throw new GaveUp(true)
}

function writeLeaf(type: GraphQLLeafType, value: unknown): string {
  refuseUnusual(value)
  const serialized: unknown = type.serialize(value)
  if (typeof serialized === 'number' || typeof serialized === 'boolean') return String(serialized)
  if (serialized == null) throw new GaveUp(false)
  return JSON.stringify(serialized)
}

function planList(writeItem: Write): Write {
  return (value, context) => {
    refuseUnusual(value)
    if (!Array.isArray(value)) throw new GaveUp(false)
    for (const item of value) if (item instanceof Promise) item.catch(() => {})
    let text = '['
    for (let i = 0; i < value.length; i++) text += (i === 0 ? '' : ',') + writeItem(value[i], context)
    return `${text}]`
  }
}

function planObject(operation: OperationParts, type: GraphQLObjectType, { nodes, info }: FieldParts): Write {
  // Worked out when it is first needed: what is seldom there may never be.
  let write: Write | null = null
  return (value, context) => {
    refuseUnusual(value)
    const isOfType = type.isTypeOf?.(value, context, info) ?? true
    if (isOfType !== true) throw new GaveUp(isOfType !== false)
    write ??= planFields(operation, type, nodes)
    return write(value, context)
  }
}

function planAbstract(operation: OperationParts, type: GraphQLAbstractType, field: FieldParts): Write {
  const { schema } = operation
  const resolveType = type.resolveType ?? defaultTypeResolver
  const plans = new Map<string, Write>()
  return (value, context) => {
    refuseUnusual(value)
    const name = resolveType(value, context, field.info, type)
    if (typeof name !== 'string') throw new GaveUp(name != null)
    let write = plans.get(name)
    if (!write) {
      const runtimeType = schema.getType(name)
      if (!isObjectType(runtimeType) || !schema.isSubType(type, runtimeType)) throw new GaveUp(false)
      write = planObject(operation, runtimeType, field)
      plans.set(name, write)
    }
    return write(value, context)
  }
}

/** Errors as values, and promises, are graphql-js' affair. */
function refuseUnusual(value: unknown): void {
  if (typeof value !== 'object' || value === null) return
  if (value instanceof Error) throw new GaveUp(false)
  if (!('then' in value) || typeof value.then !== 'function') return
  // Nobody waits for it any more, however it ends.
  Promise.resolve(value).catch(() => {})
  throw new GaveUp(true)
}

/** What resolvers may look at. Without the path through lists, which none of ours reads. */
function makeInfo(
  { schema, fragments, definition, variableValues }: OperationParts,
  parentType: GraphQLObjectType,
  { name, type }: GraphQLField<unknown, unknown>,
  fieldNodes: readonly FieldNode[],
): GraphQLResolveInfo {
  return {
    fieldName: name,
    fieldNodes,
    returnType: type,
    parentType,
    path: { prev: undefined, key: name, typename: parentType.name },
    schema,
    fragments,
    rootValue: undefined,
    operation: definition,
    variableValues,
  }
}
