// What decides whether subscribers can share an execution: the operation itself, which of its variables is only the
// resume point, and whether it reads anything that depends on the viewer (declared on the field: `viewerDependent`).

import {
  type DocumentNode,
  type GraphQLSchema,
  getOperationAST,
  Kind,
  type OperationDefinitionNode,
  TypeInfo,
  visit,
  visitWithTypeInfo,
} from 'graphql'

export interface OperationAnalysis {
  /** Names the operation on this node: equal for the same operation of the same document only. */
  readonly id: number
  readonly viewerDependent: boolean
  /** The variables that the operation declares: others that a client sends along mean nothing. */
  readonly variables: readonly string[]
  /** The variable that is nothing but the root field's `after`; it does not show in what an event looks like. */
  readonly resumeVariable: string | null
}

declare module 'graphql' {
  interface GraphQLFieldExtensions<_TSource, _TContext, _TArgs> {
    /** Whether the field's value differs from viewer to viewer; such a selection is executed per viewer. */
    viewerDependent?: boolean
  }
}

export type AnalyzeOperation = (document: DocumentNode, operationName: string | null | undefined) => OperationAnalysis

/** Remembers its answers for as long as the documents live (they live in the bounded cache of parsed documents). */
export function createOperationAnalysis(schema: GraphQLSchema): AnalyzeOperation {
  const known = new WeakMap<DocumentNode, Map<string, OperationAnalysis>>()
  let nextId = 1
  return (document, operationName) => {
    const key = operationName ?? ''
    const ofDocument = known.get(document) ?? new Map<string, OperationAnalysis>()
    known.set(document, ofDocument)
    const operation = getOperationAST(document, operationName)
    const analysis = ofDocument.get(key) ?? {
      id: nextId++,
      viewerDependent: readsViewer(schema, document),
      variables: (operation?.variableDefinitions ?? []).map(({ variable }) => variable.name.value).sort(),
      resumeVariable: findResumeVariable(document, operation),
    }
    ofDocument.set(key, analysis)
    return analysis
  }
}

function readsViewer(schema: GraphQLSchema, document: DocumentNode): boolean {
  const typeInfo = new TypeInfo(schema)
  let found = false
  visit(
    document,
    visitWithTypeInfo(typeInfo, {
      Field() {
        if (typeInfo.getFieldDef()?.extensions.viewerDependent) found = true
      },
    }),
  )
  return found
}

function findResumeVariable(
  document: DocumentNode,
  operation: OperationDefinitionNode | null | undefined,
): string | null {
  const [root] = operation?.selectionSet.selections ?? []
  if (root?.kind !== Kind.FIELD) return null
  const after = root.arguments?.find(({ name }) => name.value === 'after')?.value
  if (after?.kind !== Kind.VARIABLE) return null
  const name = after.name.value
  // Used anywhere else (a directive, another argument), it may show: then it counts.
  let uses = 0
  visit(document, {
    VariableDefinition: () => false,
    Variable(node) {
      if (node.name.value === name) uses++
    },
  })
  return uses === 1 ? name : null
}
