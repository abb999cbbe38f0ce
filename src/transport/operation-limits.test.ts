import { GraphQLInt, GraphQLNonNull, GraphQLObjectType, GraphQLSchema, GraphQLString, parse } from 'graphql'
import { expect, it } from 'vitest'
import { createCostLimit } from './operation-limits.ts'

const first = { type: new GraphQLNonNull(GraphQLInt) }
const Query: GraphQLObjectType = new GraphQLObjectType({
  name: 'Query',
  fields: () => ({
    name: { type: GraphQLString, args: { first } },
    page: {
      type: Query,
      args: { first },
      extensions: { complexity: (args: { first: number }) => ({ field: 1, multiplier: args.first }) },
    },
  }),
})
const limit = () => createCostLimit(new GraphQLSchema({ query: Query }))
const CHEAP = { first: 1 }
const COSTLY = { first: 30_000 }
const BAD = { first: 'thirty' }

it('a page that a variable makes long is refused, whatever was asked with the same document before', () => {
  for (const query of [
    'query ($first: Int!) { page(first: $first) { name(first: 1) } }',
    'query ($first: Int!) { ...Page } fragment Page on Query { page(first: $first) { name(first: 1) } }',
  ]) {
    const refuseCostly = limit()
    const document = parse(query)
    const ask = (variableValues: Record<string, unknown>) => refuseCostly({ document, variableValues })?.code ?? null
    expect([CHEAP, BAD, COSTLY, CHEAP, COSTLY].map(ask)).toEqual([
      null,
      null,
      'QUERY_TOO_COMPLEX',
      null,
      'QUERY_TOO_COMPLEX',
    ])
  }
})

it('a costly document is refused each time, also after variables that do not fit', () => {
  const refuseCostly = limit()
  const document = parse('query ($first: Int!) { page(first: 30000) { name(first: $first) } }')
  const ask = (variableValues: Record<string, unknown>) => refuseCostly({ document, variableValues })?.code ?? null
  expect([BAD, CHEAP, COSTLY].map(ask)).toEqual([null, 'QUERY_TOO_COMPLEX', 'QUERY_TOO_COMPLEX'])
})

it('each operation of a document is judged by itself', () => {
  const refuseCostly = limit()
  const document = parse('query A { name(first: 1) } query B { page(first: 30000) { name(first: 1) } }')
  const ask = (operationName: string) => refuseCostly({ document, operationName })?.code ?? null
  expect(['A', 'B', 'A', 'B', 'C'].map(ask)).toEqual([null, 'QUERY_TOO_COMPLEX', null, 'QUERY_TOO_COMPLEX', null])
})
