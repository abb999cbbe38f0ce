// A subscription of the bus that is wanted for good: what the bus refuses is tried again when the owner says so.

import type { Logger } from '../platform/logger.ts'
import type { EventBus } from './event-bus.ts'

export interface LastingSubscriptionOptions {
  bus: EventBus
  topic: string
  logger: Logger
  onMessage: (message: string) => void
  /** Called when it stands after it was refused: what was published before that was missed. */
  onStanding?: () => void
}

export class LastingSubscription {
  readonly #options: LastingSubscriptionOptions
  /** Null while the bus has refused. */
  #subscription: Promise<(() => Promise<void>) | null>

  constructor(options: LastingSubscriptionOptions) {
    this.#options = options
    this.#subscription = this.#subscribe()
  }

  /** Resolves when it stands or was refused. */
  async tried(): Promise<void> {
    await this.#subscription
  }

  /** Listens if it could not before. Does no harm when it does already. */
  retry(): void {
    this.#subscription = this.#subscription.then(async (known) => {
      if (known) return known
      const standing = await this.#subscribe()
      if (standing) this.#options.onStanding?.()
      return standing
    })
  }

  /** Takes the place of the subscription, so that nothing subscribes afterwards. */
  async close(): Promise<void> {
    const subscription = this.#subscription
    this.#subscription = Promise.resolve(async () => {})
    await (await subscription)?.()
  }

  async #subscribe(): Promise<(() => Promise<void>) | null> {
    const { bus, topic, logger, onMessage } = this.#options
    try {
      return await bus.subscribe(topic, onMessage)
    } catch (error) {
      logger.debug({ err: error, topic }, 'the bus does not listen, trying again')
      return null
    }
  }
}
