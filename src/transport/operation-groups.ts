// Subscribers of this node whose operation is the same form one group: an event is executed and serialised once for all of
// them. Invariants: what a member gets is what executing their operation alone would give, so a group never mixes viewers
// unless the selection reads nothing that depends on the viewer, and then it runs with a context that refuses to tell one;
// a group lives from its first member to its last, and what all groups keep of results is bounded.

import type { ExecutionArgs, ExecutionResult, GraphQLError, GraphQLSchema } from 'graphql'
import type { Context } from '../graphql/context.ts'
import { createEventExecution, type ExecuteEvent, isPromise } from './event-execution.ts'
import { MemoryBudget } from './memory-budget.ts'
import { type AnalyzeOperation, createOperationAnalysis } from './operation-analysis.ts'

/** What all groups of a node may keep of results together, in bytes of their JSON. */
const BUDGET_BYTES = 32 * 1024 * 1024
/** Results that a group keeps while members may be catching up: as many as a feed has recent entries. */
const MAX_RESULTS = 256
/** How long after somebody has joined that may be, in milliseconds. */
const CATCHING_UP_MS = 10_000
/** Results that it keeps else, or when the node's budget is spent: what one turn may bring. */
const MIN_RESULTS = 16

export interface SubscriptionArgs extends ExecutionArgs {
  contextValue: Context
}

export type PresentError = (error: unknown, requestId: string) => GraphQLError

/** What an event is for a group's members. */
export class SharedResult {
  /** The result as JSON, and the brace that ends the message around it. */
  readonly payload: Buffer
  #result: ExecutionResult | null

  constructor(json: string, result: ExecutionResult | null) {
    this.payload = Buffer.from(`${json}}`)
    this.#result = result
  }

  get hasErrors(): boolean {
    return this.#result?.errors !== undefined
  }

  /** For those who do not take bytes. */
  get result(): ExecutionResult {
    this.#result ??= JSON.parse(this.payload.toString('utf8', 0, this.payload.length - 1)) as ExecutionResult // it was one
    return this.#result
  }
}

export class OperationGroups {
  readonly #analyze: AnalyzeOperation
  readonly #prepare: (args: Omit<SubscriptionArgs, 'schema'>) => ExecuteEvent
  readonly present: PresentError
  readonly #budget = new MemoryBudget(BUDGET_BYTES)
  readonly #groups = new Map<string, OperationGroup>()

  constructor(schema: GraphQLSchema, present: PresentError) {
    this.#analyze = createOperationAnalysis(schema)
    this.#prepare = createEventExecution(schema)
    this.present = present
  }

  get size(): number {
    return this.#groups.size
  }

  /** The group of the operation, with one member more. Whoever joins calls `leave` once. */
  join(args: SubscriptionArgs): OperationGroup {
    const { key, viewerDependent } = this.#identify(args)
    const group = this.#groups.get(key) ?? this.#open(key, viewerDependent, args)
    group.join()
    return group
  }

  leave(group: OperationGroup): void {
    group.members--
    if (group.members > 0) return
    this.#groups.delete(group.key)
    group.close()
  }

  #open(key: string, viewerDependent: boolean, args: SubscriptionArgs): OperationGroup {
    const { document, operationName, variableValues } = args
    const contextValue = viewerDependent ? args.contextValue : withoutViewer(args.contextValue)
    const execute = this.#prepare({ document, operationName, variableValues, contextValue })
    const run = (event: unknown): SharedResult | Promise<SharedResult> => {
      const executed = execute(event)
      if (typeof executed === 'string') return new SharedResult(`{"data":${executed}}`, null)
      return isPromise(executed) ? executed.then(finish) : finish(executed)
    }
    const finish = (result: ExecutionResult) => this.#finish(result, contextValue.requestId)
    const group = new OperationGroup({ key, run, isLasting: !viewerDependent, budget: this.#budget })
    this.#groups.set(key, group)
    return group
  }

  #finish({ data, errors, extensions }: ExecutionResult, requestId: string): SharedResult {
    const result: ExecutionResult = {
      ...(data !== undefined && { data }),
      ...(errors && { errors: errors.map((error) => this.present(error, requestId)) }),
      ...(extensions && { extensions }),
    }
    return new SharedResult(JSON.stringify(result), result)
  }

  #identify({ document, operationName, variableValues, contextValue }: SubscriptionArgs) {
    const { id, viewerDependent, variables: declared, resumeVariable } = this.#analyze(document, operationName)
    const given = variableValues ?? {}
    // A variable that is not given may have a default: that is not the same as null.
    const variables = declared
      .filter((name) => name !== resumeVariable)
      .map((name) => (Object.hasOwn(given, name) ? [name, given[name]] : [name]))
    const viewer = viewerDependent ? (contextValue.viewer?.userId ?? '') : null
    return { key: JSON.stringify([id, viewer, variables]), viewerDependent }
  }
}

interface GroupOptions {
  key: string
  run: (event: unknown) => SharedResult | Promise<SharedResult>
  /** Whether a result stays true. What a viewer may see changes: whoever asks later has it executed anew. */
  isLasting: boolean
  budget: MemoryBudget
}

interface Kept {
  readonly result: SharedResult | Promise<SharedResult>
  /** Members that have it. */
  takers: number
}

export class OperationGroup {
  readonly key: string
  members = 0
  #joinedAtMs = 0
  readonly #run: GroupOptions['run']
  readonly #isLasting: boolean
  readonly #budget: MemoryBudget
  /** By event, which is the same object for all who read a feed at the same time; oldest first. */
  readonly #results = new Map<object, Kept>()

  constructor({ key, run, isLasting, budget }: GroupOptions) {
    this.key = key
    this.#run = run
    this.#isLasting = isLasting
    this.#budget = budget
  }

  join(): void {
    this.members++
    this.#joinedAtMs = performance.now()
  }

  /** Each member asks once: alone, nobody else will ask. */
  resultOf(event: unknown): SharedResult | Promise<SharedResult> {
    const isAlone = this.members === 1 && this.#results.size === 0
    if (isAlone || typeof event !== 'object' || event === null) return this.#run(event)
    const kept = this.#results.get(event)
    if (kept) return this.#give(event, kept)
    const result = this.#run(event)
    if (this.members > 1) this.#keep(event, { result, takers: 1 })
    return result
  }

  close(): void {
    for (const event of [...this.#results.keys()]) this.#forget(event)
  }

  /** What all members have is kept for those only who are still to come, while that is likely. */
  #give(event: object, kept: Kept): Kept['result'] {
    kept.takers++
    if (kept.takers >= this.members && !isPromise(kept.result) && !this.#isCatchingUp()) this.#forget(event)
    return kept.result
  }

  #keep(event: object, kept: Kept): void {
    const { result } = kept
    if (!isPromise(result)) {
      // A failure passes.
      if (this.#isLasting && !result.hasErrors) this.#store(event, kept, result)
      return
    }
    this.#results.set(event, kept)
    result.then(
      (settled) => {
        if (this.#results.get(event) !== kept) return
        this.#results.delete(event)
        if (this.members > kept.takers || this.#isCatchingUp()) {
          this.#keep(event, { result: settled, takers: kept.takers })
        }
      },
      () => this.#results.delete(event),
    )
  }

  #store(event: object, kept: Kept, { payload }: SharedResult): void {
    this.#results.set(event, kept)
    this.#budget.take(payload.length)
    const most = this.#isCatchingUp() && !this.#budget.spent ? MAX_RESULTS : MIN_RESULTS
    for (const oldest of this.#results.keys()) {
      if (this.#results.size <= most) return
      this.#forget(oldest)
    }
  }

  #isCatchingUp(): boolean {
    return performance.now() - this.#joinedAtMs < CATCHING_UP_MS
  }

  #forget(event: object): void {
    const kept = this.#results.get(event)
    this.#results.delete(event)
    if (kept && !isPromise(kept.result)) this.#budget.give(kept.result.payload.length)
  }
}

/** The context of a shared execution: reading the viewer there is a defect (the field lacks `viewerDependent`). */
function withoutViewer(context: Context): Context {
  return Object.create(context, {
    session: { value: null },
    viewer: {
      get() {
        throw new Error('a field that is not declared viewerDependent has read the viewer')
      },
    },
  })
}
