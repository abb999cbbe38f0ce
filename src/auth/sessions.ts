// Who is signed in at this node, for longer than one request. Invariant: a session ends at most once, by itself within a
// tick of the moment when its newest token stops to count, and never after it was closed.

import type { Clock } from '../platform/clock.ts'
import type { OpenSession, Session, SessionEnd } from '../platform/session.ts'
import type { Viewer } from '../platform/viewer.ts'
import { endsAtMs } from './authenticator.ts'
import { precedes } from './revocation-service.ts'

const TICK_MS = 250

interface Held extends Session {
  viewer: Viewer
  readonly onEnd: (why: SessionEnd) => void
}

export interface SessionsOptions {
  clock: Clock
  /** As this node knows. Whoever learns more calls `revoke`. */
  isRevoked: (viewer: Viewer) => boolean
}

export class Sessions {
  readonly #clock: Clock
  readonly #isRevoked: (viewer: Viewer) => boolean
  readonly #held = new Set<Held>()
  /** No session ends before; it may be that none ends then. */
  #nextEndMs = Number.POSITIVE_INFINITY
  readonly #timer: NodeJS.Timeout

  constructor({ clock, isRevoked }: SessionsOptions) {
    this.#clock = clock
    this.#isRevoked = isRevoked
    this.#timer = setInterval(() => this.#endExpired(), TICK_MS)
    this.#timer.unref()
  }

  readonly open: OpenSession = (viewer, onEnd) => {
    const held: Held = {
      viewer,
      onEnd,
      renew: (newer) => this.#renew(held, newer),
      close: () => void this.#held.delete(held),
    }
    this.#held.add(held)
    this.#expect(viewer)
    // That may have become known since the token was let in.
    if (this.#isRevoked(viewer)) setImmediate(() => this.#end(held, 'TOKEN_REVOKED'))
    return held
  }

  /** Ends the user's sessions whose tokens were issued before. */
  revoke(userId: string, validFrom: Date): void {
    this.#endWhere(
      'TOKEN_REVOKED',
      ({ viewer }) => viewer.userId === userId && precedes(viewer.issuedAt, validFrom.getTime()),
    )
  }

  close(): void {
    clearInterval(this.#timer)
    this.#held.clear()
  }

  #renew(held: Held, newer: Viewer): boolean {
    if (!this.#held.has(held)) return false
    if (newer.expiresAt > held.viewer.expiresAt) held.viewer = newer
    this.#expect(held.viewer)
    return true
  }

  #expect(viewer: Viewer): void {
    this.#nextEndMs = Math.min(this.#nextEndMs, endsAtMs(viewer))
  }

  #endExpired(): void {
    const nowMs = this.#clock.now()
    if (nowMs < this.#nextEndMs) return
    this.#endWhere('TOKEN_EXPIRED', ({ viewer }) => endsAtMs(viewer) <= nowMs)
    this.#nextEndMs = Number.POSITIVE_INFINITY
    for (const { viewer } of this.#held) this.#expect(viewer)
  }

  #endWhere(why: SessionEnd, isOver: (held: Held) => boolean): void {
    for (const held of this.#held) if (isOver(held)) this.#end(held, why)
  }

  #end(held: Held, why: SessionEnd): void {
    if (this.#held.delete(held)) held.onEnd(why)
  }
}
