// The audits of the GraphQL over HTTP specification, as the npm package graphql-http has them, against a running node.

import { serverAudits } from 'graphql-http'
import { describe, expect, it } from 'vitest'
import { useNodes } from '../support/start-nodes.ts'

describe('GraphQL over HTTP', () => {
  const nodes = useNodes()
  const audits = serverAudits({ url: () => nodes().urls[0] ?? '' })

  it('has audits of every level', () => {
    expect(new Set(audits.map(({ name }) => name.split(' ')[0]))).toEqual(new Set(['MUST', 'SHOULD', 'MAY']))
  })

  for (const { id, name, fn } of audits) {
    it(name, async () => {
      const result = await fn()
      expect('reason' in result ? `${result.reason} (audit ${id}, status ${result.response.status})` : 'ok').toBe('ok')
    })
  }
})
