import { expect, it } from 'vitest'
import { createLogger } from '../platform/logger.ts'
import type { EventBus } from '../realtime/event-bus.ts'
import { createMemoryEventBus } from '../realtime/event-bus-memory.ts'
import { type DeviceSignal, DeviceSignals } from './device-signals.ts'

/** A bus whose first `refusals` subscriptions are refused. */
function createShyBus(refusals: number): EventBus & { readonly subscriptions: number } {
  const inner = createMemoryEventBus()
  const counts = { asked: 0 }
  return {
    publish: (topic, message) => inner.publish(topic, message),
    async subscribe(topic, listener) {
      counts.asked++
      if (counts.asked <= refusals) throw new Error('the bus is away')
      return inner.subscribe(topic, listener)
    },
    onReconnect: (listener) => inner.onReconnect(listener),
    ping: () => inner.ping(),
    close: () => inner.close(),
    get subscriptions() {
      return counts.asked - refusals
    },
  }
}

const AWAY: DeviceSignal = { userId: 'ada', state: 'AWAY', connectionId: null }

it('hears again after the bus refused it, once it is told to try; and never twice', async () => {
  const bus = createShyBus(2)
  const heard: DeviceSignal[] = []
  const signals = new DeviceSignals({ bus, logger: createLogger('fatal'), onSignal: (signal) => heard.push(signal) })
  for (let i = 0; i < 4; i++) signals.retry()
  await expect.poll(() => bus.subscriptions).toBe(1)
  await signals.publish(AWAY)
  await expect.poll(() => heard).toEqual([AWAY])
  await signals.close()
  signals.retry()
  await signals.publish(AWAY)
  expect(heard).toEqual([AWAY])
  expect(bus.subscriptions).toBe(1)
})
