// What a selection asks of one object type (GraphQL, 6.3.2, CollectFields), for variables that are known.

import {
  type DefinitionNode,
  type DocumentNode,
  type ExecutionArgs,
  type FieldNode,
  type FragmentDefinitionNode,
  GraphQLIncludeDirective,
  type GraphQLObjectType,
  type GraphQLSchema,
  GraphQLSkipDirective,
  getDirectiveValues,
  getOperationAST,
  getVariableValues,
  isAbstractType,
  Kind,
  type NamedTypeNode,
  type OperationDefinitionNode,
  type SelectionNode,
  type SelectionSetNode,
  typeFromAST,
  visit,
} from 'graphql'

/** An operation, ready to be worked on. */
export interface OperationParts {
  readonly schema: GraphQLSchema
  readonly definition: OperationDefinitionNode
  readonly rootType: GraphQLObjectType
  readonly fragments: Record<string, FragmentDefinitionNode>
  /** With their defaults. */
  readonly variableValues: Record<string, unknown>
}

/** Names of the variables that are read anywhere but in the root fields' arguments. */
export function findInnerVariables(document: DocumentNode): ReadonlySet<string> {
  const names = new Set<string>()
  const withoutRootArguments = { ...document, definitions: document.definitions.map(dropRootArguments) }
  visit(withoutRootArguments, {
    VariableDefinition: () => false,
    Variable({ name }) {
      names.add(name.value)
    },
  })
  return names
}

function dropRootArguments(definition: DefinitionNode): DefinitionNode {
  if (definition.kind !== Kind.OPERATION_DEFINITION) return definition
  const selections = definition.selectionSet.selections.map((selection) =>
    selection.kind === Kind.FIELD ? { ...selection, arguments: [] } : selection,
  )
  return { ...definition, selectionSet: { ...definition.selectionSet, selections } }
}

/** Null where the document or the variables are not fit to be executed. */
export function takeApart(
  schema: GraphQLSchema,
  {
    document,
    operationName,
    variableValues: given,
  }: Pick<ExecutionArgs, 'document' | 'operationName' | 'variableValues'>,
): OperationParts | null {
  const definition = getOperationAST(document, operationName)
  const rootType = definition && schema.getRootType(definition.operation)
  if (!definition || !rootType) return null
  const { coerced } = getVariableValues(schema, definition.variableDefinitions ?? [], given ?? {})
  if (!coerced) return null
  const fragments = Object.fromEntries(
    document.definitions.flatMap((one) => (one.kind === Kind.FRAGMENT_DEFINITION ? [[one.name.value, one]] : [])),
  )
  return { schema, definition, rootType, fragments, variableValues: coerced }
}

/** The fields of a type by response key, in order; several nodes where a key is asked for more than once. */
export function collectFields(
  operation: OperationParts,
  type: GraphQLObjectType,
  parents: readonly { readonly selectionSet?: SelectionSetNode | undefined }[],
): Map<string, FieldNode[]> {
  const fields = new Map<string, FieldNode[]>()
  const visited = new Set<string>()
  /** The selections of a fragment that fits the type; each named one counts once. */
  const spread = (selection: Exclude<SelectionNode, FieldNode>): readonly SelectionNode[] => {
    if (selection.kind === Kind.FRAGMENT_SPREAD) {
      if (visited.has(selection.name.value)) return []
      visited.add(selection.name.value)
    }
    const fragment = selection.kind === Kind.FRAGMENT_SPREAD ? operation.fragments[selection.name.value] : selection
    return fragment && fits(operation.schema, type, fragment.typeCondition) ? fragment.selectionSet.selections : []
  }
  const collect = (selections: readonly SelectionNode[]): void => {
    for (const selection of selections) {
      if (!isIncluded(operation, selection)) continue
      if (selection.kind === Kind.FIELD) {
        const key = selection.alias?.value ?? selection.name.value
        fields.set(key, [...(fields.get(key) ?? []), selection])
      } else collect(spread(selection))
    }
  }
  for (const { selectionSet } of parents) collect(selectionSet?.selections ?? [])
  return fields
}

function isIncluded({ variableValues }: OperationParts, selection: SelectionNode): boolean {
  if (!selection.directives?.length) return true
  if (getDirectiveValues(GraphQLSkipDirective, selection, variableValues)?.if === true) return false
  return getDirectiveValues(GraphQLIncludeDirective, selection, variableValues)?.if !== false
}

function fits(schema: GraphQLSchema, type: GraphQLObjectType, condition: NamedTypeNode | undefined): boolean {
  if (!condition) return true
  const wanted = typeFromAST(schema, condition)
  return wanted === type || (isAbstractType(wanted) && schema.isSubType(wanted, type))
}
