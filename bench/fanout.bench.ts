// What it costs a server to deliver one message to one subscriber: CPU time of its process per frame delivered, with the
// same messages to the same light client in interleaved rounds of one run. Without flags: one room whose subscribers have
// the same operation, flat and rich; --rooms N: many rooms of two; --operations N: every subscriber another selection.

import {
  type Arena,
  audienceOf,
  clearStage,
  clientOf,
  openArena,
  publishNext,
  type Stage,
  setStage,
} from './support/arena.ts'
import type { BenchOptions } from './support/bench-options.ts'
import { comparatorVersions } from './support/comparators.ts'
import type { Contender, ContenderName } from './support/contenders.ts'
import { describeEnvironment, printTable } from './support/machine.ts'
import { cpuMicroseconds } from './support/processes.ts'
import { flatScenario, operationsScenario, richScenario, roomsScenario, type Scenario } from './support/scenarios.ts'
import { medianOf, roundRatio } from './support/statistics.ts'

/** One measurement: who, with how many messages at once, and the ratios that come of it. */
interface Comparison {
  scenario: Scenario
  atOnce: number
  contenders: ContenderName[]
  /** Dividend, divisor, and what is said after them in the name of the ratio. */
  ratios: [ContenderName, ContenderName, string][]
}

interface Cost {
  microseconds: number
  wallMs: number
  /** Of the light client's processor, how much it used: well below 1, or it was the bottleneck. */
  clientLoad: number
}

interface Plan {
  rounds: number
  /** CPU time of a server that one measurement should take: the clock of processes ticks every ten milliseconds. */
  cpuMs: number
  /** And the time that it may take at most. */
  maxWallMs: number
}

interface Results {
  ratios: Record<string, number>
  /** CPU per delivery, by comparison and contender. */
  microseconds: Record<string, Record<string, number>>
  /** CPU per second while nothing is said, by scenario and contender. Contained in the above, not taken off. */
  idle: Record<string, Record<string, number>>
}

export async function run(options: BenchOptions): Promise<void> {
  const plan = options.quick
    ? { rounds: 3, cpuMs: 300, maxWallMs: 1_500 }
    : { rounds: 7, cpuMs: 1_000, maxWallMs: 6_000 }
  const comparisons = chooseComparisons(options)
  const scenarios = [...new Set(comparisons.map(({ scenario }) => scenario))]
  const arena = await openArena([...new Set(comparisons.flatMap(({ contenders }) => contenders))], scenarios)
  const results: Results = { ratios: {}, microseconds: {}, idle: {} }
  try {
    for (const scenario of scenarios) {
      const own = comparisons.filter((comparison) => comparison.scenario === scenario)
      await play(arena, own, plan, results)
    }
  } finally {
    await arena.stop()
  }
  const result = { bench: 'fanout', ...describeEnvironment(), rounds: plan.rounds, ...results }
  process.stdout.write(`RESULT ${JSON.stringify({ ...result, versions: await comparatorVersions() })}\n`)
}

/** All comparisons of one scenario, with the same subscribers. */
async function play(arena: Arena, comparisons: readonly Comparison[], plan: Plan, results: Results): Promise<void> {
  const [first] = comparisons
  if (!first) return
  const stage = await setStage(arena, first.scenario, [...new Set(comparisons.flatMap((each) => each.contenders))])
  for (const comparison of comparisons) {
    const costs = await compare(stage, comparison, plan)
    results.microseconds[titleOf(comparison)] = report(comparison, costs)
    for (const [dividend, divisor, suffix] of comparison.ratios) {
      const ratio = medianCost(costs, dividend) / medianCost(costs, divisor)
      results.ratios[`${dividend}/${divisor}${suffix}`] = roundRatio(ratio)
    }
  }
  results.idle[first.scenario.name] = await reportIdle(stage)
  await clearStage(stage)
}

function chooseComparisons({ quick, subscribers: given, rooms, operations }: BenchOptions): Comparison[] {
  const subscribers = given ?? (quick ? 200 : 1_000)
  if (rooms !== null) {
    const contenders: ContenderName[] = ['raw', 'sohbet', 'yoga', 'apollo']
    const ratios: Comparison['ratios'] = [
      ['sohbet', 'raw', ' rooms'],
      ['yoga', 'sohbet', ' rooms'],
      ['apollo', 'sohbet', ' rooms'],
    ]
    // Sixteen of the rooms have a message at the same time.
    return [{ scenario: roomsScenario(rooms, 2), atOnce: Math.min(16, rooms), contenders, ratios }]
  }
  if (operations !== null) {
    const ratios: Comparison['ratios'] = [
      ['sohbet', 'raw', ' operations'],
      ['yoga', 'sohbet', ' operations'],
    ]
    const scenario = operationsScenario(operations, given ?? operations)
    return [{ scenario, atOnce: 1, contenders: ['raw', 'sohbet', 'yoga'], ratios }]
  }
  const flat = flatScenario(subscribers)
  const ordinary: ContenderName[] = ['apollo', 'mercurius', 'yoga']
  return [
    {
      scenario: flat,
      atOnce: 1,
      contenders: ['raw', 'sohbet', 'socketio', ...ordinary],
      ratios: [
        ['sohbet', 'raw', ''],
        ['sohbet', 'socketio', ''],
        ...ordinary.map((name): Comparison['ratios'][0] => [name, 'sohbet', '']),
      ],
    },
    { scenario: flat, atOnce: 16, contenders: ['raw', 'sohbet'], ratios: [['sohbet', 'raw', ' at 16']] },
    {
      scenario: richScenario(subscribers),
      atOnce: 1,
      contenders: ['raw', 'sohbet', ...ordinary],
      ratios: [
        ['sohbet', 'raw', ' rich'],
        ...ordinary.map((name): Comparison['ratios'][0] => [name, 'sohbet', ' rich']),
      ],
    },
  ]
}

const titleOf = ({ scenario, atOnce }: Comparison) => `${scenario.name}, ${atOnce} at once`

/** The costs of each contender, one per round; the two rounds that warm up are not counted. */
async function compare(stage: Stage, comparison: Comparison, plan: Plan): Promise<Map<ContenderName, Cost[]>> {
  const { atOnce } = comparison
  const contenders = stage.arena.contenders.filter(({ name }) => comparison.contenders.includes(name))
  const costs = new Map<ContenderName, Cost[]>(contenders.map(({ name }) => [name, []]))
  const bursts = new Map<ContenderName, number>(contenders.map(({ name }) => [name, FIRST_BURSTS]))
  for (let round = -2; round < plan.rounds; round++) {
    for (const contender of contenders) {
      const { name } = contender
      const before = bursts.get(name) ?? FIRST_BURSTS
      const cost = await measure(stage, contender, { bursts: before, atOnce })
      if (round >= 0) costs.get(name)?.push(cost)
      else bursts.set(name, burstsFor(plan, before, cost, atOnce * audienceOf(stage)))
    }
  }
  return costs
}

const FIRST_BURSTS = 16

function burstsFor({ cpuMs, maxWallMs }: Plan, bursts: number, cost: Cost, deliveries: number): number {
  const byCpu = (cpuMs * 1_000) / Math.max(cost.microseconds * deliveries, 1)
  const byTime = (maxWallMs * bursts) / cost.wallMs
  return Math.ceil(Math.max(Math.min(byCpu, byTime), 4))
}

/** One burst after the other: the next begins when every subscriber has the last. */
async function measure(
  stage: Stage,
  contender: Contender,
  { bursts, atOnce }: { bursts: number; atOnce: number },
): Promise<Cost> {
  const client = clientOf(stage, contender)
  const readings = async () => {
    const [serverUs, clientUs] = await Promise.all([cpuMicroseconds(contender.pid), cpuMicroseconds(client.pid)])
    return { serverUs, clientUs, timeMs: performance.now() }
  }
  const deliveries = atOnce * audienceOf(stage)
  let { frames } = await client.counts()
  const before = await readings()
  for (let burst = 0; burst < bursts; burst++) {
    frames += deliveries
    await publishNext(stage, contender, atOnce)
    await client.untilFrames(frames)
  }
  const after = await readings()
  const wallMs = after.timeMs - before.timeMs
  return {
    microseconds: (after.serverUs - before.serverUs) / (bursts * deliveries),
    wallMs,
    clientLoad: (after.clientUs - before.clientUs) / 1_000 / wallMs,
  }
}

const IDLE_MS = 5_000

async function reportIdle({ arena, clients }: Stage): Promise<Record<string, number>> {
  const present = arena.contenders.filter(({ name }) => clients.has(name))
  const readAll = () => Promise.all(present.map(({ pid }) => cpuMicroseconds(pid)))
  const before = await readAll()
  await new Promise((resolve) => setTimeout(resolve, IDLE_MS))
  const after = await readAll()
  const idle = present.map(({ name }, index): [string, number] => {
    const usedUs = (after[index] ?? 0) - (before[index] ?? 0)
    return [name, Number((usedUs / IDLE_MS).toFixed(1))]
  })
  const words = idle.map(([name, ms]) => `${name} ${ms}`).join(', ')
  process.stdout.write(`Idle, with its subscribers connected, ms CPU a second: ${words}\n`)
  return Object.fromEntries(idle)
}

const medianCost = (costs: ReadonlyMap<ContenderName, readonly Cost[]>, name: ContenderName) =>
  medianOf((costs.get(name) ?? []).map(({ microseconds }) => microseconds))

function report(comparison: Comparison, costs: ReadonlyMap<ContenderName, readonly Cost[]>): Record<string, number> {
  const { scenario } = comparison
  process.stdout.write(
    `\n${titleOf(comparison)}: ${scenario.subscribers} subscribers, ${scenario.rooms.length} room(s), ` +
      `${scenario.selections.length} operation(s); CPU µs of the server per delivery\n`,
  )
  const raw = medianCost(costs, 'raw')
  const medians: Record<string, number> = {}
  const rows = [...costs].map(([name, rounds]) => {
    const all = rounds.map(({ microseconds }) => microseconds)
    const median = medianCost(costs, name)
    medians[name] = Number(median.toFixed(2))
    const load = Math.max(...rounds.map(({ clientLoad }) => clientLoad))
    return [
      name,
      median.toFixed(2),
      (median / raw).toFixed(2),
      `${Math.min(...all).toFixed(2)}–${Math.max(...all).toFixed(2)}`,
      `${Math.round(load * 100)} %`,
    ]
  })
  printTable(['', 'median', '× raw', 'min–max', 'client’s CPU'], rows)
  return medians
}
