import { RefusedError } from '../platform/errors.ts'
import type { Viewer } from '../platform/viewer.ts'
import { findPrivateHost } from './outbound-addresses.ts'

/** Where deliveries may go to. */
export interface TargetPolicy {
  allowsPrivate: boolean
  allowsHttp: boolean
}

/** What of a target's URL is against the policy, as far as the URL itself says it; null where nothing is. */
export function findTargetProblem(url: URL, { allowsPrivate, allowsHttp }: TargetPolicy): string | null {
  if (url.protocol === 'http:' && !allowsHttp) return 'must be an https URL'
  const host = allowsPrivate ? null : findPrivateHost(url)
  return host === null ? null : `names ${host}, which is not an address of the public internet`
}

export function refuseUnlessOperator({ isOperator }: Viewer): void {
  if (isOperator) return
  throw new RefusedError('FORBIDDEN', 'Only operators may do this: their tokens have the scope sohbet:operator.')
}
