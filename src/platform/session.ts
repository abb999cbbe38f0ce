import type { Viewer } from './viewer.ts'

/** Why somebody who was signed in no longer is. */
export type SessionEnd = 'TOKEN_EXPIRED' | 'TOKEN_REVOKED'

/** Somebody is signed in, by a token that may be renewed. */
export interface Session {
  /** As the newest token says. */
  readonly viewer: Viewer
  /** Goes on with a newer token of the same user; an older one changes nothing. False where the session has ended. */
  renew(viewer: Viewer): boolean
  /** Nobody is interested any more: nothing is called after it. */
  close(): void
}

/** Calls `onEnd` once, within half a second, when the viewer's token expires or is revoked, unless it is closed before. */
export type OpenSession = (viewer: Viewer, onEnd: (why: SessionEnd) => void) => Session
