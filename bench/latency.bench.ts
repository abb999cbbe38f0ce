// How long a message is under way from Redis to a subscriber, in one room at a steady pace: taken by a few of the subscribers,
// spread over the order in which all have connected, in a process that hears Redis itself (see support/latency-probe.ts).
// The contenders take turns.

import { clearStage, openArena, publishNext, type Stage, setStage } from './support/arena.ts'
import type { BenchOptions } from './support/bench-options.ts'
import { comparatorVersions } from './support/comparators.ts'
import type { Contender, ContenderName } from './support/contenders.ts'
import type { LightClientOptions } from './support/light-client.ts'
import { CLIENT_CPU, describeEnvironment, printTable } from './support/machine.ts'
import { BenchProcess, cpuMicroseconds, LightClient } from './support/processes.ts'
import { flatScenario } from './support/scenarios.ts'
import { medianOf, quantileOf, roundRatio } from './support/statistics.ts'

/** The ordinary GraphQL servers are left out: at this pace they fall behind further and further. */
const CONTENDERS: ContenderName[] = ['raw', 'sohbet', 'socketio']
const PROBES = 20
const MESSAGES_PER_SECOND = 20

interface Round {
  latenciesMs: number[]
  /** Of the server's processor. */
  load: number
}

export async function run({ quick, subscribers: given }: BenchOptions): Promise<void> {
  const { rounds, seconds } = quick ? { rounds: 3, seconds: 2 } : { rounds: 15, seconds: 3 }
  const scenario = flatScenario(given ?? 1_000)
  const arena = await openArena(CONTENDERS, [scenario])
  const probes = new Map<ContenderName, BenchProcess>()
  const samples = new Map<ContenderName, Round[]>(CONTENDERS.map((name) => [name, []]))
  try {
    const stage = await setStage(arena, scenario, CONTENDERS, async (contender, options) => {
      const probe = startProbe(contender, { options, redisUrl: arena.redisUrl, room: scenario.rooms[0] ?? 0 })
      probes.set(contender.name, probe)
      return connectInTurns(options, probe)
    })
    for (let round = -1; round < rounds; round++) {
      for (const contender of arena.contenders) {
        const sample = await measure(stage, contender, probes, seconds * MESSAGES_PER_SECOND)
        // The first round warms up.
        if (round >= 0) samples.get(contender.name)?.push(sample)
      }
    }
    await clearStage(stage)
  } finally {
    for (const probe of probes.values()) await probe.stop()
    await arena.stop()
  }
  process.stdout.write(
    `\n${scenario.subscribers} subscribers, ${MESSAGES_PER_SECOND} messages a second; ms from Redis to a subscriber, ` +
      `p50 and p99 are medians of ${rounds} rounds of ${seconds} s\n`,
  )
  const results = report(samples)
  const versions = await comparatorVersions()
  process.stdout.write(
    `RESULT ${JSON.stringify({ bench: 'latency', ...describeEnvironment(), rounds, ...results, versions })}\n`,
  )
}

function startProbe(
  contender: Contender,
  { options, redisUrl, room }: { options: LightClientOptions; redisUrl: string; room: number },
): BenchProcess {
  const probe = new BenchProcess('support/latency-probe.ts', [], { cpu: CLIENT_CPU })
  // The users that the light client begins with are on two devices: here as well.
  probe.tell(JSON.stringify({ client: options, redisUrl, channel: contender.channelOf(room) }))
  return probe
}

/** As many connections as wanted, the probe's evenly among those of the light client. */
async function connectInTurns(options: LightClientOptions, probe: BenchProcess): Promise<LightClient> {
  const perTurn = Math.floor((options.connections - PROBES) / PROBES)
  const first = options.connections - PROBES - perTurn * (PROBES - 1)
  const client = await LightClient.open({ ...options, connections: first }, CLIENT_CPU)
  await probe.ask('open 1')
  for (let turn = 1; turn < PROBES; turn++) {
    await client.openMore(perTurn)
    await probe.ask('open 1')
  }
  return client
}

async function measure(
  stage: Stage,
  contender: Contender,
  probes: ReadonlyMap<ContenderName, BenchProcess>,
  messages: number,
): Promise<Round> {
  const probe = probes.get(contender.name)
  if (!probe) throw new Error(`nobody looks at ${contender.name}`)
  // What came before is not of this round.
  await probe.ask('take 0')
  const cpuBeforeUs = await cpuMicroseconds(contender.pid)
  const start = performance.now()
  const sending: Promise<void>[] = []
  for (let i = 0; i < messages; i++) {
    const untilNextMs = start + (i * 1_000) / MESSAGES_PER_SECOND - performance.now()
    if (untilNextMs > 0) await new Promise((resolve) => setTimeout(resolve, untilNextMs))
    sending.push(publishNext(stage, contender, 1))
  }
  await Promise.all(sending)
  const latenciesMs: number[] = JSON.parse(await probe.ask(`take ${messages * PROBES}`))
  if (latenciesMs.length < messages * PROBES) {
    throw new Error(`only ${latenciesMs.length} of ${messages * PROBES} messages came from ${contender.name}`)
  }
  const elapsedMs = performance.now() - start
  return { latenciesMs, load: ((await cpuMicroseconds(contender.pid)) - cpuBeforeUs) / 1_000 / elapsedMs }
}

function report(samples: ReadonlyMap<ContenderName, readonly Round[]>) {
  const roundsOf = (name: ContenderName) => samples.get(name) ?? []
  /** A round in which the machine was disturbed does not make the figure. */
  const quantile = (name: ContenderName, share: number) =>
    medianOf(roundsOf(name).map(({ latenciesMs }) => quantileOf(latenciesMs, share)))
  const milliseconds: Record<string, Record<string, number>> = {}
  const rows = [...samples.keys()].map((name) => {
    const all = roundsOf(name).flatMap(({ latenciesMs }) => latenciesMs)
    const figures = {
      p50: quantile(name, 0.5),
      p99: quantile(name, 0.99),
      'p99 of all rounds': quantileOf(all, 0.99),
      max: quantileOf(all, 1),
    }
    milliseconds[name] = Object.fromEntries(Object.entries(figures).map(([key, ms]) => [key, roundRatio(ms)]))
    const load = medianOf(roundsOf(name).map((round) => round.load))
    return [name, ...Object.values(figures).map((ms) => ms.toFixed(1)), `${Math.round(load * 100)} %`]
  })
  printTable(['', 'p50', 'p99', 'p99 of all rounds', 'max', 'server’s CPU'], rows)
  const ratioOf = (share: number, other: ContenderName) =>
    roundRatio(quantile('sohbet', share) / quantile(other, share))
  return {
    ratios: {
      'sohbet/raw p99': ratioOf(0.99, 'raw'),
      'sohbet/raw p50': ratioOf(0.5, 'raw'),
      'sohbet/socketio p99': ratioOf(0.99, 'socketio'),
    },
    milliseconds,
  }
}
