// Walks of the schema: what can be reached from a type, a selection of all of it, and one field executed by itself.

import {
  type ExecutionResult,
  execute,
  type GraphQLField,
  type GraphQLNamedType,
  GraphQLObjectType,
  GraphQLSchema,
  getNamedType,
  isAbstractType,
  isLeafType,
  isObjectType,
  isRequiredArgument,
  parse,
} from 'graphql'

type AnyField = GraphQLField<unknown, unknown>

/** Whether a field, by its path `Type.field`, is not selected. */
export type LeaveOut = (path: string, field: AnyField) => boolean

export interface WalkedField {
  /** `Type.field`. */
  path: string
  type: GraphQLObjectType
  field: AnyField
}

/** Every field of every object type that can be reached from the type's fields; not those of the type itself. */
export function fieldsReachableFrom(schema: GraphQLSchema, root: GraphQLObjectType): WalkedField[] {
  const seen = new Set<GraphQLObjectType>()
  const queue: GraphQLObjectType[] = [root]
  for (const type of queue) {
    for (const field of Object.values(type.getFields())) {
      for (const next of objectsOf(schema, getNamedType(field.type))) {
        if (seen.has(next) || next === root) continue
        seen.add(next)
        queue.push(next)
      }
    }
  }
  return [...seen].flatMap((type) =>
    Object.values(type.getFields()).map((field) => ({ path: `${type.name}.${field.name}`, type, field })),
  )
}

/** The object types that a value of this type may be. */
function objectsOf(schema: GraphQLSchema, type: GraphQLNamedType): readonly GraphQLObjectType[] {
  if (isObjectType(type)) return [type]
  return isAbstractType(type) ? schema.getPossibleTypes(type) : []
}

/**
 * A selection of everything that a value of this type has, but the fields that are left out by path or declaration; a
 * type within itself gives its name only.
 */
export function selectAll(
  schema: GraphQLSchema,
  type: GraphQLNamedType,
  isLeftOut: LeaveOut = () => false,
  within: readonly GraphQLObjectType[] = [],
): string {
  if (isLeafType(type)) return ''
  const ofObject = (object: GraphQLObjectType) => {
    if (within.includes(object)) return '__typename'
    const fields = Object.values(object.getFields()).filter(
      (field) => !isLeftOut(`${object.name}.${field.name}`, field),
    )
    const inner = [...within, object]
    return ['__typename', ...fields.map((field) => selectField(schema, field, isLeftOut, inner))].join(' ')
  }
  if (isObjectType(type)) return `{ ${ofObject(type)} }`
  return `{ ${objectsOf(schema, type)
    .map((object) => `... on ${object.name} { ${ofObject(object)} }`)
    .join(' ')} }`
}

function selectField(
  schema: GraphQLSchema,
  field: AnyField,
  isLeftOut: LeaveOut,
  within: readonly GraphQLObjectType[],
): string {
  const required = field.args.filter(isRequiredArgument).map(({ name }) => name)
  if (required.length > 0) throw new Error(`${field.name} needs arguments: ${required.join(', ')}`)
  return `${field.name} ${selectAll(schema, getNamedType(field.type), isLeftOut, within)}`
}

/** Executes one field of an object, as graphql-js does it in the midst of an operation: a promise only where it must be. */
export type ExecuteField = (
  walked: WalkedField,
  object: unknown,
  contextValue: unknown,
) => ExecutionResult | Promise<ExecutionResult>

export function createFieldExecution(schema: GraphQLSchema): ExecuteField {
  const objects = Object.values(schema.getTypeMap()).filter(isObjectType)
  // A root that gives objects of the schema's own types, each by the name of its type.
  const fields = Object.fromEntries(objects.map((type) => [type.name, { type }]))
  const types = Object.values(schema.getTypeMap())
  const query = new GraphQLObjectType({ name: 'Objects', fields })
  const rooted = new GraphQLSchema({ query, types, assumeValid: true })
  return ({ type, field }, object, contextValue) => {
    const inner = isLeafType(getNamedType(field.type)) ? '' : '{ __typename }'
    const document = parse(`{ ${type.name} { ${field.name} ${inner} } }`)
    const rootValue = { [type.name]: object }
    // graphql-js' type does not say that it may be both.
    return execute({ schema: rooted, document, rootValue, contextValue }) as ExecutionResult | Promise<ExecutionResult>
  }
}
