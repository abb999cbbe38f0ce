// Random valid subscriptions of a schema, for fast-check: fields again and again, aliases, fragments inline and named, on
// objects, interfaces and unions, @skip and @include with literals and variables, variables with and without defaults.

import fc from 'fast-check'
import {
  type GraphQLCompositeType,
  type GraphQLField,
  type GraphQLSchema,
  getNamedType,
  isAbstractType,
  isCompositeType,
  isUnionType,
  parse,
  validate,
} from 'graphql'

export interface RandomOperation {
  query: string
  /** Those of the directives. The arguments' variables are the caller's. */
  variables: Record<string, unknown>
}

export interface RandomOperationOptions {
  /** The declarations of the arguments' variables, and the arguments: `['$roomId: ID!', 'roomId: $roomId']`. */
  args: readonly [declarations: string, args: string]
  /** Whether a field, by its path `Type.field`, is not to be selected. */
  isLeftOut?: (path: string) => boolean
}

const MAX_DEPTH = 5
/** Fields and fragments of an operation; when there are so many, only leaves follow. */
const MAX_PARTS = 40

/** Subscriptions of one field of the schema. */
export function operationsOf(
  schema: GraphQLSchema,
  field: string,
  { args, isLeftOut = () => false }: RandomOperationOptions,
): fc.Arbitrary<RandomOperation> {
  const definition = schema.getSubscriptionType()?.getFields()[field]
  const type = definition && getNamedType(definition.type)
  if (!type || !isCompositeType(type)) throw new Error(`there is no subscription ${field}`)
  // The number is for the filter: `gen` alone draws the same again after one that is not valid, for ever.
  return fc
    .tuple(fc.integer(), fc.gen())
    .map(([, draw]) => new Operation(schema, draw, isLeftOut).write(field, type, args))
    .filter(({ query }) => validate(schema, parse(query)).length === 0)
}

type Draw = fc.GeneratorValue

class Operation {
  readonly #schema: GraphQLSchema
  readonly #draw: Draw
  readonly #isLeftOut: (path: string) => boolean
  readonly #fragments: { name: string; type: GraphQLCompositeType; text: string }[] = []
  readonly #declarations = new Map<string, string>()
  readonly #variables: Record<string, unknown> = {}
  #parts = 0

  constructor(schema: GraphQLSchema, draw: Draw, isLeftOut: (path: string) => boolean) {
    this.#schema = schema
    this.#draw = draw
    this.#isLeftOut = isLeftOut
  }

  write(field: string, type: GraphQLCompositeType, [declarations, args]: readonly [string, string]): RandomOperation {
    const alias = this.#oneOf('', '', 'renamed: ')
    const root = `${alias}${field}(${args}) ${this.#selection(type, 0)}`
    const wrapped = this.#oneOf(root, root, `... on Subscription { ${root} }`, `... { ${root} }`)
    const declared = [declarations, ...this.#declarations.values()].join(', ')
    const fragments = this.#fragments.map(({ text }) => text)
    return {
      query: [`subscription Random(${declared}) { ${wrapped} }`, ...fragments].join('\n'),
      variables: this.#variables,
    }
  }

  #selection(type: GraphQLCompositeType, depth: number): string {
    const most = this.#parts < MAX_PARTS ? 4 : 1
    const parts = Array.from({ length: this.#draw(fc.integer, { min: 1, max: most }) })
    return `{ ${parts.map(() => this.#part(type, depth)).join(' ')} }`
  }

  #part(type: GraphQLCompositeType, depth: number): string {
    this.#parts++
    const fields = this.#fieldsOf(type, depth)
    const kind = this.#draw(fc.nat, { max: 9 })
    if (kind === 0 || depth >= MAX_DEPTH || this.#parts >= MAX_PARTS)
      return `${this.#alias('__typename')}${this.#directives()}`
    if (kind === 1) return `... ${this.#directives()} ${this.#selection(type, depth + 1)}`
    if (kind <= 3 || (fields.length === 0 && kind < 8)) return this.#inlineFragment(type, depth)
    if (kind === 4 || fields.length === 0) return this.#namedFragment(type, depth)
    const field = this.#oneOf(...fields)
    const inner = getNamedType(field.type)
    const selection = isCompositeType(inner) ? ` ${this.#selection(inner, depth + 1)}` : ''
    return `${this.#alias(field.name)}${this.#directives()}${selection}`
  }

  #fieldsOf(type: GraphQLCompositeType, depth: number): GraphQLField<unknown, unknown>[] {
    if (isUnionType(type)) return []
    return Object.values(type.getFields()).filter(
      (field) =>
        !this.#isLeftOut(`${type.name}.${field.name}`) &&
        (depth + 1 < MAX_DEPTH || !isCompositeType(getNamedType(field.type))),
    )
  }

  #alias(name: string): string {
    // The same ones for the same field: then selections of one name are merged.
    return this.#oneOf(name, name, name, `first_${name}: ${name}`, `other_${name}: ${name}`)
  }

  #inlineFragment(type: GraphQLCompositeType, depth: number): string {
    const on = this.#oneOf(...this.#typesWithin(type))
    return `... on ${on.name}${this.#directives()} ${this.#selection(on, depth + 1)}`
  }

  #namedFragment(type: GraphQLCompositeType, depth: number): string {
    const types = this.#typesWithin(type)
    const known = this.#fragments.filter((fragment) => types.includes(fragment.type))
    const isNew = known.length === 0 || this.#draw(fc.boolean)
    const { name } = isNew ? this.#newFragment(this.#oneOf(...types), depth) : this.#oneOf(...known)
    return `...${name}${this.#directives()}`
  }

  #newFragment(type: GraphQLCompositeType, depth: number) {
    const selection = this.#selection(type, depth + 1)
    // Named once its selection stands: a fragment within never spreads the one around it.
    const name = `Part${this.#fragments.length}`
    const fragment = { name, type, text: `fragment ${name} on ${type.name} ${selection}` }
    this.#fragments.push(fragment)
    return fragment
  }

  /** What a fragment within this type can be on. */
  #typesWithin(type: GraphQLCompositeType): GraphQLCompositeType[] {
    const possible = isAbstractType(type) ? this.#schema.getPossibleTypes(type) : [type]
    const interfaces = possible.flatMap((object) => object.getInterfaces())
    return [...new Set<GraphQLCompositeType>([type, ...possible, ...interfaces])]
  }

  #directives(): string {
    const directive = () => ` @${this.#oneOf('skip', 'include')}(if: ${this.#condition()})`
    const kind = this.#draw(fc.nat, { max: 11 })
    if (kind < 8) return ''
    if (kind < 11) return directive()
    // The two of them may stand together, each once.
    return ` @skip(if: ${this.#condition()}) @include(if: ${this.#condition()})`
  }

  #condition(): string {
    const kind = this.#draw(fc.nat, { max: 7 })
    if (kind === 0) return 'true'
    if (kind === 1) return 'false'
    const name = `v${this.#draw(fc.nat, { max: 3 })}`
    if (!this.#declarations.has(name)) this.#declare(name)
    return `$${name}`
  }

  #declare(name: string): void {
    const fallback = this.#oneOf('', '', ' = true', ' = false')
    const type = this.#oneOf('Boolean!', fallback ? 'Boolean' : 'Boolean!')
    this.#declarations.set(name, `$${name}: ${type}${fallback}`)
    if (fallback && this.#draw(fc.boolean)) return
    this.#variables[name] = this.#draw(fc.boolean)
  }

  #oneOf<T>(...values: T[]): T {
    // By place: fast-check compares what it is asked for, and a schema's types are circular.
    return values[this.#draw(fc.nat, { max: values.length - 1 })] as T // the place is within
  }
}
