// An operation with @skip and @include carried out, for variables that are known (GraphQL, 3.13.1 and 3.13.2).

import {
  type ASTNode,
  type DirectiveNode,
  type DocumentNode,
  type ExecutionArgs,
  type GraphQLSchema,
  getOperationAST,
  getVariableValues,
  Kind,
  parse,
  print,
  type SelectionNode,
  type SelectionSetNode,
  visit,
} from 'graphql'

export interface ResolvedDirectives {
  /** What the directives say, in their order in the document: equal outcomes, equal operations. */
  readonly outcomes: string
  /**
   * The document without them, as nodes that nobody else has. Null where nothing is left of a selection, and where there
   * are more than MAX_SELECTIONS with all fragments spread: whoever compiles does spread them.
   */
  write(): DocumentNode | null
}

/** More than a client has use for. A few nested fragments can make it millions. */
const MAX_SELECTIONS = 1_000

type Arguments = Pick<ExecutionArgs, 'document' | 'operationName' | 'variableValues'>

/** The variables must fit the operation, as they do once it runs. */
export function resolveDirectives(schema: GraphQLSchema, args: Arguments): ResolvedDirectives {
  const { document } = args
  const variables = coerceVariables(schema, args)
  let outcomes = ''
  visit(document, {
    Directive(directive) {
      outcomes += isIncluded(directive, variables) ? '1' : '0'
    },
  })
  return { outcomes, write: () => writeWithout(document, variables) }
}

function coerceVariables(schema: GraphQLSchema, { document, operationName, variableValues }: Arguments) {
  const definitions = getOperationAST(document, operationName)?.variableDefinitions ?? []
  return getVariableValues(schema, definitions, variableValues ?? {}).coerced ?? {}
}

function writeWithout(document: DocumentNode, variables: Readonly<Record<string, unknown>>): DocumentNode | null {
  let isEmpty = false
  const enter = (node: SelectionNode): ASTNode | null | undefined => {
    if (!node.directives?.length) return undefined
    if (!node.directives.every((directive) => isIncluded(directive, variables))) return null
    return { ...node, directives: [] }
  }
  const without = visit(document, {
    Field: { enter },
    InlineFragment: { enter },
    FragmentSpread: { enter },
    SelectionSet: {
      leave({ selections }) {
        if (selections.length === 0) isEmpty = true
      },
    },
  })
  if (isEmpty || countSelections(without) > MAX_SELECTIONS) return null
  return parse(print(without), { noLocation: true })
}

/** Selections of the document's largest operation, each fragment counted wherever it is spread. */
function countSelections(document: DocumentNode): number {
  const fragments = new Map(
    document.definitions.flatMap((one) => (one.kind === Kind.FRAGMENT_DEFINITION ? [[one.name.value, one]] : [])),
  )
  const counted = new Map<string, number>()
  const countFragment = (name: string): number => {
    const known = counted.get(name)
    if (known !== undefined) return known
    // Validation has refused cycles.
    const count = countSet(fragments.get(name)?.selectionSet)
    counted.set(name, count)
    return count
  }
  const countSet = (set: SelectionSetNode | undefined): number =>
    (set?.selections ?? []).reduce(
      (sum, selection) =>
        sum +
        1 +
        (selection.kind === Kind.FRAGMENT_SPREAD
          ? countFragment(selection.name.value)
          : countSet(selection.selectionSet)),
      0,
    )
  const operations = document.definitions.filter((one) => one.kind === Kind.OPERATION_DEFINITION)
  return Math.max(0, ...operations.map(({ selectionSet }) => countSet(selectionSet)))
}

/** Other directives leave nothing out. */
function isIncluded({ name, arguments: given }: DirectiveNode, variables: Readonly<Record<string, unknown>>): boolean {
  const condition = given?.find((argument) => argument.name.value === 'if')?.value
  const value =
    condition?.kind === Kind.VARIABLE
      ? variables[condition.name.value]
      : condition?.kind === Kind.BOOLEAN && condition.value
  if (name.value === 'skip') return value !== true
  return name.value !== 'include' || value === true
}
