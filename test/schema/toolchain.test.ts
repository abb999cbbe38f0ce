import { createRequire } from 'node:module'
import { GraphQLError } from 'graphql'
import { createSchema, createYoga } from 'graphql-yoga'
import { describe, expect, it } from 'vitest'

describe('the tests run on what the service runs on', () => {
  it('with one copy of graphql', () => {
    expect(createRequire(import.meta.url)('graphql').GraphQLError).toBe(GraphQLError)
  })

  it('with errors that the packages recognise as theirs', async () => {
    // Guards: with a second copy Yoga masks every GraphQLError of our sources as 'Unexpected error.'
    const refuse = () => {
      throw new GraphQLError('refused by us', { extensions: { code: 'FORBIDDEN' } })
    }
    const schema = createSchema({ typeDefs: 'type Query { a: Int }', resolvers: { Query: { a: refuse } } })
    const yoga = createYoga({ schema, logging: false })
    const response = await yoga.fetch('http://yoga/graphql?query={a}')
    expect(await response.json()).toMatchObject({
      errors: [{ message: 'refused by us', extensions: { code: 'FORBIDDEN' } }],
    })
  })

  it('with the Node that was asked for', () => {
    expect(process.version).toBe(process.env.EXPECT_NODE ?? process.version)
  })
})
