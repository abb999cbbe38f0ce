import { GraphQLError, parse } from 'graphql'
import { expect, it } from 'vitest'
import { createDocumentCaches } from './document-caches.ts'

it('keeps the latest documents, and no more than its bound, however many and however long they are', () => {
  const { documentCache, errorCache } = createDocumentCaches()
  const short = (i: number) => `{ a${i} }`
  for (let i = 0; i < 50_000; i++) documentCache.set(short(i), parse(short(i)))
  expect(documentCache.size).toBeGreaterThan(10_000)
  expect(documentCache.size).toBeLessThan(50_000)
  expect(documentCache.get(short(49_999))).toBeDefined()
  const long = (i: number) => `{ a${i} ${'b '.repeat(3_900)} }`
  for (let i = 0; i < 100; i++) documentCache.set(long(i), parse(long(i)))
  expect(documentCache.size).toBeLessThan(100)
  for (let i = 0; i < 5_000; i++) errorCache.set(short(i).repeat(100), new GraphQLError('not GraphQL'))
  expect(errorCache.size).toBeLessThan(2_500)
})
