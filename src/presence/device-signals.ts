// What a user says of their devices, told to all nodes: a mutation over HTTP reaches any of them, and the devices it is
// about may be connected to others. A signal: who cannot hear when it is sent misses it.

import type { Logger } from '../platform/logger.ts'
import type { EventBus } from '../realtime/event-bus.ts'
import { LastingSubscription } from '../realtime/lasting-subscription.ts'
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
  readonly #subscription: LastingSubscription

  constructor({ bus, logger, onSignal }: { bus: EventBus; logger: Logger; onSignal: (signal: DeviceSignal) => void }) {
    this.#bus = bus
    this.#subscription = new LastingSubscription({
      bus,
      topic: TOPIC,
      logger,
      // Published only by publish below.
      onMessage: (message) => onSignal(JSON.parse(message) as DeviceSignal),
    })
  }

  /** Rejects when the nodes could not be told. */
  publish(signal: DeviceSignal): Promise<void> {
    return this.#bus.publish(TOPIC, JSON.stringify(signal))
  }

  /** See LastingSubscription.retry. */
  retry(): void {
    this.#subscription.retry()
  }

  close(): Promise<void> {
    return this.#subscription.close()
  }
}
