// What operators see and do of the service's inside, through the API.

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type JobKind, Jobs } from '../../src/platform/jobs.ts'
import { createLogger } from '../../src/platform/logger.ts'
import { eventually } from '../support/eventually.ts'
import { post } from '../support/graphql-over-http.ts'
import { person } from '../support/seed.ts'
import { signToken, useNodes } from '../support/start-nodes.ts'

const nodes = useNodes()
const url = () => nodes().urls[0] ?? ''

const FAILS: JobKind<{ what: string }> = {
  name: 'test-fails',
  timeoutSeconds: 10,
  retries: 1,
  retryDelaySeconds: 1,
  maxRetryDelaySeconds: 1,
}

const DEAD_JOBS = `query ($first: Int, $after: String) { deadJobs(first: $first, after: $after) {
  edges { cursor node { id kind data error failedAt } } pageInfo { hasNextPage } } }`
const RETRY = `mutation ($input: RetryDeadJobsInput!) { retryDeadJobs(input: $input) {
  ... on RetryDeadJobsSuccess { count } ... on Error { code } } }`

interface DeadJobs {
  deadJobs: {
    edges: { cursor: string; node: { id: string; kind: string; data: string; error: string } }[]
    pageInfo: { hasNextPage: boolean }
  }
}

describe('dead jobs', () => {
  let jobs: Jobs
  let isMended = false
  const done: string[] = []
  beforeAll(async () => {
    jobs = new Jobs({ url: nodes().databaseUrl, logger: createLogger('fatal') })
    jobs.handle(FAILS, async ({ what }) => {
      if (!isMended) throw new Error(`cannot do ${what}`)
      done.push(what)
    })
    await jobs.start()
  })
  afterAll(() => jobs?.stop(1_000))

  it('are listed for operators, and done after all when they are retried', async () => {
    const token = await signToken('operator', { scope: 'sohbet:operator' })
    const list = async (variables: object = {}) => {
      const { data, errors } = await post(url(), DEAD_JOBS, { token, variables })
      expect(errors).toEqual([])
      // As the query asks for it.
      return (data as unknown as DeadJobs).deadJobs
    }
    for (const what of ['one', 'two', 'three']) await jobs.send(FAILS, { what })
    const { edges } = await eventually(async () => {
      const page = await list()
      expect(page.edges).toHaveLength(3)
      return page
    })
    const told = edges.map(({ node: { kind, data, error } }) => [kind, JSON.parse(data).what, error])
    expect(told.toSorted()).toEqual(['one', 'three', 'two'].map((what) => ['test-fails', what, `cannot do ${what}`]))
    const first = await list({ first: 2 })
    expect([first.edges, first.pageInfo.hasNextPage]).toEqual([edges.slice(0, 2), true])
    const rest = await list({ first: 2, after: first.edges[1]?.cursor })
    expect([rest.edges, rest.pageInfo.hasNextPage]).toEqual([edges.slice(2), false])

    isMended = true
    const jobIds = edges.slice(0, 2).map(({ node }) => node.id)
    const retried = await post(url(), RETRY, { token, variables: { input: { jobIds } } })
    expect(retried.data).toEqual({ retryDeadJobs: { count: 2 } })
    await eventually(() => expect(done).toHaveLength(2))
    expect((await list()).edges).toEqual(edges.slice(2))
    // The cursor's job is dead no more.
    const gone = await post(url(), DEAD_JOBS, { token, variables: { after: edges[0]?.cursor } })
    expect(gone.errors[0]?.extensions).toMatchObject({ code: 'BAD_USER_INPUT', field: 'after' })
  })

  it('are nobody else’s business', async () => {
    const ada = await person(url(), 'Ada')
    expect(await ada.do('{ deadJobs { pageInfo { hasNextPage } } }')).toEqual({ deadJobs: null })
    expect(await ada.do(RETRY, { input: { jobIds: [] } })).toEqual({ retryDeadJobs: { code: 'FORBIDDEN' } })
  })
})
