// Revoked tokens. The truth is a column of the user's row, which whoever signs in is compared with; but nodes remember for
// some minutes whom they have seen. So each hears of every revocation: at once over the bus, and, where a message was lost,
// by looking into the database every few seconds. Invariant: a revocation is known here for longer than a user is
// remembered without it.

import { LRUCache } from 'lru-cache'
import type { Publisher } from '../events/publisher.ts'
import { appendUserEvent } from '../events/user-log.ts'
import type { Clock } from '../platform/clock.ts'
import type { Db } from '../platform/db.ts'
import { RefusedError } from '../platform/errors.ts'
import type { Logger } from '../platform/logger.ts'
import type { Viewer } from '../platform/viewer.ts'
import type { EventBus } from '../realtime/event-bus.ts'
import { LastingSubscription } from '../realtime/lasting-subscription.ts'
import { type Revocation, raiseTokensValidFrom, readRevocations } from './revocation-store.ts'

const TOPIC = 'revocations'
/** Three times as long as users are remembered (see users/service.ts): nodes' clocks may differ by the rest. */
const KNOWN_MS = 15 * 60 * 1_000
const KNOWN_MAX = 100_000

export interface RevocationsOptions {
  db: Db
  bus: EventBus
  publisher: Publisher
  clock: Clock
  logger: Logger
  /** Whenever this node hears of one, perhaps again. */
  onRevoked: (revocation: Revocation) => void
  sweepIntervalMs: number
}

export class Revocations {
  readonly #options: RevocationsOptions
  /** By user: the latest that was heard of. */
  readonly #known = new LRUCache<string, number>({ max: KNOWN_MAX, ttl: KNOWN_MS })
  readonly #sweeper: NodeJS.Timeout
  readonly #stopWatching: () => void
  readonly #subscription: LastingSubscription
  #isClosed = false
  #isSweeping = false

  constructor(options: RevocationsOptions) {
    this.#options = options
    const { bus, logger } = options
    const onMessage = (message: string) => {
      // Published only by #publish, which has made a text of the date.
      const { userId, validFrom } = JSON.parse(message) as { userId: string; validFrom: string }
      this.#learn({ userId, validFrom: new Date(validFrom) })
    }
    this.#subscription = new LastingSubscription({ bus, topic: TOPIC, logger, onMessage })
    this.#sweeper = setInterval(() => void this.#sweep(), options.sweepIntervalMs)
    this.#sweeper.unref()
    this.#stopWatching = bus.onReconnect(() => void this.#sweep())
  }

  /**
   * Ends all tokens of a user that were issued before now. Operators only. In the same transaction the user's own log gets
   * TokensRevoked. Returns from when on tokens count.
   */
  async revokeTokens(viewer: Viewer, userId: string): Promise<Date> {
    if (!viewer.isOperator) {
      throw new RefusedError('FORBIDDEN', 'Only operators may do this: their tokens have the scope sohbet:operator.')
    }
    const { db, clock, publisher } = this.#options
    // Tokens say in whole seconds when they were issued: of those of this second none can be told from an earlier one.
    const validFrom = new Date((Math.floor(clock.now() / 1_000) + 1) * 1_000)
    const { revocation, events } = await db.$transaction(async (tx) => {
      const revocation = await raiseTokensValidFrom(tx, { userId, validFrom })
      if (!revocation) throw new RefusedError('NOT_FOUND', 'There is no such user.')
      const event = { type: 'TokensRevoked', validFrom: revocation.validFrom.toISOString() } as const
      return { revocation, events: await appendUserEvent(tx, [userId], event) }
    })
    this.#learn(revocation)
    publisher.publishEvents(events)
    this.#publish(revocation)
    return revocation.validFrom
  }

  /** Whether a token of this user was revoked, as far as this node has heard in the last minutes. */
  isRevoked({ userId, issuedAt }: Pick<Viewer, 'userId' | 'issuedAt'>): boolean {
    const validFromMs = this.#known.get(userId)
    return validFromMs !== undefined && precedes(issuedAt, validFromMs)
  }

  async close(): Promise<void> {
    this.#isClosed = true
    clearInterval(this.#sweeper)
    this.#stopWatching()
    await this.#subscription.close()
  }

  #learn(revocation: Revocation): void {
    const { userId, validFrom } = revocation
    const known = this.#known.get(userId) ?? 0
    if (known >= validFrom.getTime()) return
    this.#known.set(userId, validFrom.getTime())
    this.#options.onRevoked(revocation)
  }

  #publish({ userId, validFrom }: Revocation): void {
    const { bus, logger } = this.#options
    bus
      .publish(TOPIC, JSON.stringify({ userId, validFrom }))
      .catch((error) => logger.warn({ err: error }, 'a revocation was not published: other nodes look for it'))
  }

  /** Never rejects. One at a time: the next will see what this one is too early for. */
  async #sweep(): Promise<void> {
    if (this.#isSweeping) return
    this.#isSweeping = true
    // Where the bus has refused, it is asked again.
    this.#subscription.retry()
    const { db, clock, logger } = this.#options
    try {
      for (const one of await readRevocations(db, new Date(clock.now() - KNOWN_MS), KNOWN_MAX)) this.#learn(one)
    } catch (error) {
      if (!this.#isClosed) logger.debug({ err: error }, 'revocations could not be read, trying again')
    } finally {
      this.#isSweeping = false
    }
  }
}

/** Whether a token that was issued then is older than the oldest that counts. */
export function precedes(issuedAt: Date | null, validFromMs: number): boolean {
  return issuedAt === null || issuedAt.getTime() < validFromMs
}
