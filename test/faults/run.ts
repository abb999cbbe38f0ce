// node test/faults/run.ts [--seed N] [--seconds S] [--clients N] [--rooms N] [--nodes N] [--only KIND,KIND]
// Real processes, real faults, and a checker that knows only what clients saw and what the database holds. Ends with one
// line `FAULTS {…}`; exits with 1 on any violation, and when a fault did not hit. Needs the built server and redis-server.

import { inspect, parseArgs } from 'node:util'
import { checkHistory, countViolations } from './checker.ts'
import { comparePresence, readFiles, readToHead, settleNotifications, settleSends } from './convergence.ts'
import { type InjectedFault, injectFaults } from './fault-plan.ts'
import { type History, MARKS, type NotificationHistory } from './history.ts'
import { Random } from './random.ts'
import { openStage, type Stage } from './stage.ts'
import { Town } from './town.ts'
import { describeViolation } from './violation.ts'

/** What comes after the faults takes its time, but not for ever. */
const CLOSING_TIMEOUT_MS = 240_000
const SHOWN_VIOLATIONS = 10
const SHOWN_SURPRISES = 10

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(Math.floor(Math.random() * 1_000_000)) },
    seconds: { type: 'string', default: '35' },
    clients: { type: 'string', default: '200' },
    rooms: { type: 'string', default: '24' },
    nodes: { type: 'string', default: '3' },
    only: { type: 'string', default: '' },
  },
})
const seed = readNumber('seed', 0)
const lastsMs = readNumber('seconds', 1) * 1_000
const startedAtMs = performance.now()

let stage: Stage | null = null
let town: Town | null = null
/** What no fault explains: a node that ended by itself. */
const accidents: string[] = []
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void endWith(1))
setTimeout(() => {
  say('the run does not come to its end')
  void endWith(1)
}, lastsMs + CLOSING_TIMEOUT_MS).unref()
try {
  const onAccident = (what: string) => {
    say(what)
    accidents.push(what)
  }
  stage = await openStage(readNumber('nodes', 2), onAccident)
  await endWith(await run(stage))
} catch (error) {
  say(inspect(error))
  await endWith(1)
}

async function run({ cluster, places, receivers, folders }: Stage): Promise<number> {
  const random = new Random(seed)
  say(`seed ${seed}: ${values.nodes} nodes, ${values.clients} clients in ${values.rooms} rooms`)
  const options = {
    clients: readNumber('clients', 10),
    rooms: readNumber('rooms', 2),
    roomsPerClient: 3,
    sendEveryMs: 1_200,
    breakEveryMs: 8_000,
  }
  const people = await Town.found(cluster, places, random.fork(), options)
  town = people
  people.start()
  say('all clients are on their way')
  const acknowledged = () => countSends(people, ({ acks }) => acks.length > 0)
  const only = values.only.split(',').filter(Boolean)
  const faults = await injectFaults({
    stage: { cluster, receivers, acknowledged },
    random: random.fork(),
    lastsMs,
    only,
    onFault: sayFault,
  })
  cluster.heal()
  say('the faults are over')
  await people.calmDown()
  const isSettled = await settleSends(people.clients)
  const rooms = await readToHead(cluster, people)
  say('everybody has read up to the head, or has had the time to')
  const presence = await comparePresence(cluster, people)
  const notifications = await settleNotifications(cluster, people, places)
  say('everybody was told of everything, or has waited long enough')
  const files = await readFiles(cluster, people, folders)
  const { changes: memberships } = people
  const streams = people.clients.flatMap((client) => client.streams)
  const sends = [...people.firstSends, ...people.clients.flatMap((client) => client.sends)]
  const failures = [
    ...faults.flatMap(({ kind, failure }) => (failure === null ? [] : [`${kind} did not hit: ${failure}`])),
    ...accidents.map((what) => what.split('\n', 1).join()),
    ...people.failures,
    ...receivers.flatMap(({ surprises }) => surprises),
    ...(isSettled ? [] : ['some sends did not come to an end']),
  ]
  return report({ streams, sends, memberships, rooms, presence, notifications, files }, faults, failures)
}

function report(history: History, faults: readonly InjectedFault[], failures: readonly string[]): number {
  const violations = checkHistory(history)
  for (const violation of violations.slice(0, SHOWN_VIOLATIONS)) {
    process.stdout.write(`${describeViolation(violation, history)}\n`)
  }
  if (violations.length > SHOWN_VIOLATIONS) say(`and ${violations.length - SHOWN_VIOLATIONS} more violations`)
  for (const failure of failures) say(failure)
  saySurprises()
  const counts = countViolations(violations)
  const hits = faults.filter(({ met }) => met !== null)
  const openings = history.streams.flatMap((stream) => stream.openings)
  const delivered = openings.reduce((sum, { items }) => sum + items.filter(({ type }) => !MARKS.has(type)).length, 0)
  const ends = Map.groupBy(openings, ({ end }) => end)
  say(`openings of streams: ${[...ends].map(([end, all]) => `${all.length} ${end}`).join(', ')}`)
  say(`changes of memberships: ${history.memberships.length}; presence compared ${history.presence.length} times`)
  const attempts = history.sends.reduce((sum, send) => sum + send.attempts, 0)
  const figures = {
    sent: history.sends.length,
    acknowledged: history.sends.filter(({ acks }) => acks.length > 0).length,
    attempts,
    delivered,
    faults: hits.length,
    kinds: new Set(hits.map(({ kind }) => kind)).size,
    resumes: openings.filter(({ after, items }) => (after ?? 0) > 0 && items.length > 0).length,
    lost: counts.lost,
    doubled: counts.doubled,
    reordered: counts.reordered,
    leaked: counts.leaked,
    ghosts: counts.ghost,
    unseen: counts.unseen,
    gaps: counts.gap,
    contradictions: counts.contradiction,
    foreign: counts.foreign,
    ...figuresOf(history.notifications),
    files: history.files.stored.filter(({ message }) => message !== null).length,
    notificationsLost: counts.untold,
    notificationsDoubled: counts.retold,
    misdirected: counts.misdirected,
    miscounted: counts.miscounted,
    pending: counts.pending,
    filesLost: counts.fileLost,
    orphans: counts.orphan,
    seconds: Math.round((performance.now() - startedAtMs) / 1_000),
    seed,
  }
  process.stdout.write(`FAULTS ${JSON.stringify(figures)}\n`)
  return violations.length === 0 && failures.length === 0 ? 0 : 1
}

/** How many events people were told of, by how many requests, and how many of those said what was said before. */
function figuresOf({ stored, received }: NotificationHistory) {
  const distinct = new Set(received.map(({ target, identity }) => `${target} ${identity}`))
  return {
    notifications: stored.reduce((sum, { count }) => sum + count, 0),
    deliveries: distinct.size,
    redeliveries: received.length - distinct.size,
  }
}

/** Not violations, for nothing was lost; but no correct server answers so. */
function saySurprises(): void {
  const surprises = town?.clients.flatMap((client) => client.surprises) ?? []
  const counts = Map.groupBy(surprises, (text) => text.replaceAll(/[0-9a-f-]{36}/g, '…'))
  for (const [text, all] of [...counts].slice(0, SHOWN_SURPRISES)) say(`surprise, ${all.length} times: ${text}`)
}

function sayFault({ kind, tookMs, met, failure }: InjectedFault): void {
  say(`${failure === null ? 'hit' : 'MISSED'} ${kind} (${Math.round(tookMs)} ms): ${met ?? failure}`)
}

function countSends(people: Town, fits: (send: { acks: readonly unknown[] }) => boolean): number {
  return people.clients.reduce((sum, { sends }) => sum + sends.filter(fits).length, 0)
}

function say(text: string): void {
  process.stdout.write(`${((performance.now() - startedAtMs) / 1_000).toFixed(1).padStart(6)} s  ${text}\n`)
}

function readNumber(name: 'seed' | 'seconds' | 'clients' | 'rooms' | 'nodes', min: number): number {
  const value = Number(values[name])
  if (Number.isSafeInteger(value) && value >= min) return value
  process.stderr.write(`--${name} takes a whole number from ${min} on\n`)
  process.exit(1)
}

/** Whatever was started ends first; what is only starting ends with this process. */
async function endWith(exitCode: number): Promise<void> {
  await town?.close()
  await stage?.close()
  process.exit(exitCode)
}
