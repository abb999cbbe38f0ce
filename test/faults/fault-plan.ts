// Injects faults at random, one of each lane at a time, every kind before any comes again.

import { setTimeout as delay } from 'node:timers/promises'
import { FAULT_KINDS, type FaultKind, type Stage } from './fault-kinds.ts'
import type { Random } from './random.ts'

export interface InjectedFault {
  readonly kind: string
  readonly atMs: number
  readonly tookMs: number
  /** What it met; null where it did not hit, then `failure` says why. */
  readonly met: string | null
  readonly failure: string | null
}

export interface PlanOptions {
  stage: Stage
  random: Random
  lastsMs: number
  /** Empty: all. */
  only: readonly string[]
  onFault: (fault: InjectedFault) => void
}

const PAUSE_MS = [200, 800] as const

export async function injectFaults({ stage, random, lastsMs, only, onFault }: PlanOptions): Promise<InjectedFault[]> {
  const kinds = FAULT_KINDS.filter(({ name }) => only.length === 0 || only.includes(name))
  if (kinds.length === 0) throw new Error(`there is no such fault; there are ${FAULT_KINDS.map(({ name }) => name)}`)
  const untilMs = performance.now() + lastsMs
  const faults: InjectedFault[] = []
  const lanes = Map.groupBy(kinds, ({ lane }) => lane).values()
  await Promise.all(
    [...lanes].map(async (lane) => {
      const own = random.fork()
      for (let bag: FaultKind[] = []; performance.now() < untilMs; await delay(own.integer(...PAUSE_MS))) {
        if (bag.length === 0) bag = own.shuffled(lane)
        const kind = bag.pop()
        if (!kind) continue
        const fault = await inject(kind, stage, own)
        faults.push(fault)
        onFault(fault)
      }
    }),
  )
  return faults
}

async function inject({ name, inject }: FaultKind, stage: Stage, random: Random): Promise<InjectedFault> {
  const atMs = performance.now()
  const told = (met: string | null, failure: string | null) => {
    return { kind: name, atMs, tookMs: performance.now() - atMs, met, failure }
  }
  try {
    return told(await inject(stage, random), null)
  } catch (error) {
    return told(null, error instanceof Error ? error.message : String(error))
  }
}
