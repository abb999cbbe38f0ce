import { GateError, RefusedError } from '../platform/errors.ts'
import type { DeadJob, Jobs } from '../platform/jobs.ts'
import type { Viewer } from '../platform/viewer.ts'

export type Operations = ReturnType<typeof createOperations>

/** What those who run the service can see and do of its inside. */
export function createOperations({ jobs }: { jobs: Pick<Jobs, 'listDead' | 'retryDead'> }) {
  return {
    /** Oldest first, one more than the limit where there is one; null to who is no operator. */
    async listDeadJobs(
      { isOperator }: Viewer,
      { limit, after }: { limit: number; after: string | null },
    ): Promise<DeadJob[] | null> {
      if (!isOperator) return null
      // The list goes on from a job that must still be there.
      return jobs.listDead({ limit: limit + 1, ...(after === null ? {} : { after }) }).catch((error: unknown) => {
        if (!(error instanceof Error && error.message.includes('no longer exists'))) throw error
        throw new GateError('BAD_USER_INPUT', 'The job at the cursor is dead no more: begin anew.', { field: 'after' })
      })
    },

    /** Has jobs done after all; returns how many of them were dead. */
    async retryDeadJobs({ isOperator }: Viewer, ids: readonly string[]): Promise<number> {
      if (isOperator) return jobs.retryDead(ids)
      throw new RefusedError('FORBIDDEN', 'Only operators may do this: their tokens have the scope sohbet:operator.')
    },
  }
}
