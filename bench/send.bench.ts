// How fast messages are written. At the store: the product's writer beside one transaction for each message, pgbench's and
// Prisma's. Through the whole service: beside an ordinary Yoga and Prisma server. Rounds interleaved, medians.

import type { BenchOptions } from './support/bench-options.ts'
import { describeEnvironment, printTable } from './support/machine.ts'
import { compareServices } from './support/send-service.ts'
import { compareStores } from './support/send-store.ts'

export async function run({ quick }: BenchOptions): Promise<void> {
  const { ratios: storeRatios, ...stores } = await compareStores({ quick })
  printTable(['store', 'messages/s'], Object.entries(stores.messagesPerSecond))
  printTable(['a lone send', 'µs'], Object.entries(stores.loneMicroseconds))
  const { ratios: serviceRatios, service } = await compareServices({ quick })
  printTable(
    ['service', 'messages/s', 'server CPU µs', 'answer p50 ms', 'p99', 'delivery p50 ms', 'p99'],
    Object.entries(service).map(([name, sample]) => [
      name,
      sample.messagesPerSecond,
      sample.cpuMicroseconds,
      sample.answerP50Ms,
      sample.answerP99Ms,
      sample.deliveryP50Ms,
      sample.deliveryP99Ms,
    ]),
  )
  const ratios = { ...storeRatios, ...serviceRatios }
  const result = { bench: 'send', ratios, ...stores, service, environment: describeEnvironment(), quick }
  process.stdout.write(`RESULT ${JSON.stringify(result)}\n`)
}
