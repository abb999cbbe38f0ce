// What a user says of their devices, told to all nodes: a mutation over HTTP reaches any of them, and the devices it is
// about may be connected to others. A signal: who cannot hear when it is sent misses it.

import type { Logger } from '../platform/logger.ts'
import type { EventBus } from '../realtime/event-bus.ts'
import type { PresenceState } from './presence-store.ts'

export interface DeviceSignal {
  userId: string
  state: PresenceState
  /** Null: all devices of the user. */
  connectionId: string | null
}

const TOPIC = 'presence-state'

export class DeviceSignals {
  readonly #bus: EventBus
  readonly #logger: Logger
  readonly #onSignal: (signal: DeviceSignal) => void
  /** Null while the bus has refused. */
  #subscription: Promise<(() => Promise<void>) | null>

  constructor({ bus, logger, onSignal }: { bus: EventBus; logger: Logger; onSignal: (signal: DeviceSignal) => void }) {
    this.#bus = bus
    this.#logger = logger
    this.#onSignal = onSignal
    this.#subscription = this.#subscribe()
  }

  /** Rejects when the nodes could not be told. */
  publish(signal: DeviceSignal): Promise<void> {
    return this.#bus.publish(TOPIC, JSON.stringify(signal))
  }

  /** Listens if it could not before. Does no harm when it does already. */
  retry(): void {
    this.#subscription = this.#subscription.then((known) => known ?? this.#subscribe())
  }

  async close(): Promise<void> {
    const subscription = this.#subscription
    this.#subscription = Promise.resolve(async () => {})
    await (await subscription)?.()
  }

  async #subscribe(): Promise<(() => Promise<void>) | null> {
    try {
      // Published only by publish above.
      return await this.#bus.subscribe(TOPIC, (message) => this.#onSignal(JSON.parse(message) as DeviceSignal))
    } catch (error) {
      this.#logger.debug({ err: error }, 'states of devices are not heard, trying again')
      return null
    }
  }
}
