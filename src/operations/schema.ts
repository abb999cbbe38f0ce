import { z } from 'zod'
import { REFUSALS } from '../graphql/base-types.ts'
import { builder, pageComplexity } from '../graphql/builder.ts'
import { requireViewer } from '../graphql/context.ts'
import { encodeGlobalId, globalIdOf } from '../graphql/global-id.ts'
import { parseInput } from '../graphql/input.ts'
import { badArgument, decodeCursor, encodeCursor, readPage, toPage } from '../graphql/page.ts'
import { isId } from '../platform/ids.ts'
import type { DeadJob } from '../platform/jobs.ts'
import type { Operations } from './service.ts'

declare module '../graphql/context.ts' {
  interface Services {
    readonly operations: Operations
  }
}

const MAX_RETRIED = 100

const DeadJobType = builder.objectRef<DeadJob>('DeadJob').implement({
  description: 'Work that has failed as often as it is tried. It is kept for 30 days.',
  fields: (t) => ({
    id: t.id({
      description: 'Names the job for `retryDeadJobs`; it cannot be looked up by it.',
      resolve: ({ id }) => encodeGlobalId('DeadJob', id),
    }),
    kind: t.exposeString('kind', { description: 'What kind of work, as the server’s log names it.' }),
    data: t.string({ description: 'What it is about, as JSON.', resolve: ({ data }) => JSON.stringify(data) }),
    error: t.exposeString('error', {
      nullable: true,
      description: 'What it failed with at last, where that is known.',
    }),
    failedAt: t.expose('failedAt', { type: 'DateTime', description: 'When it failed at last.' }),
  }),
})

builder.queryField('deadJobs', (t) =>
  t.connection(
    {
      type: DeadJobType,
      nullable: true,
      complexity: pageComplexity,
      description:
        'Work that has failed for good, oldest first; null to who is no operator (tokens with `sohbet:operator` in their `scope` claim). Forwards only. Default page 50, at most 100.',
      resolve: async (_root, args, context) => {
        const viewer = requireViewer(context)
        if (args.before != null || args.last != null) throw badArgument('before', 'This list goes forwards only.')
        const range = readPage(args, decodeId)
        const found = await context.operations.listDeadJobs(viewer, range)
        return found && toPage(range, found, ({ id }) => encodeCursor(id))
      },
    },
    { name: 'DeadJobConnection' },
    { name: 'DeadJobEdge' },
  ),
)

function decodeId(cursor: string): string | null {
  const [id, ...rest] = decodeCursor(cursor) ?? []
  return typeof id === 'string' && isId(id) && rest.length === 0 ? id : null
}

const retryRule = z.object({
  jobIds: z.array(globalIdOf('DeadJob')).max(MAX_RETRIED, { error: `holds more than ${MAX_RETRIED} jobs` }),
})

const RetryDeadJobsInput = builder.inputType('RetryDeadJobsInput', {
  description: 'What to try again.',
  fields: (t) => ({ jobIds: t.idList({ required: true, description: `The jobs, at most ${MAX_RETRIED}.` }) }),
})

const RetryDeadJobsSuccess = builder.objectRef<{ count: number }>('RetryDeadJobsSuccess').implement({
  description: 'The jobs are tried again.',
  fields: (t) => ({
    count: t.exposeInt('count', { description: 'How many of them there were.' }),
  }),
})

builder.mutationField('retryDeadJobs', (t) =>
  t.field({
    type: RetryDeadJobsSuccess,
    description: 'Has dead jobs tried again, as often as new ones. Operators only.',
    errors: { types: REFUSALS, union: { description: 'How many are tried again, or why it was refused.' } },
    args: { input: t.arg({ type: RetryDeadJobsInput, required: true, description: 'Which ones.' }) },
    resolve: async (_root, { input }, context) => {
      const viewer = requireViewer(context)
      return { count: await context.operations.retryDeadJobs(viewer, parseInput(retryRule, input).jobIds) }
    },
  }),
)
