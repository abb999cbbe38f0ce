import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { checkHistory, countViolations } from './checker.ts'
import type { History, SeenItem, StoredEvent, StoredRoom, StreamHistory } from './history.ts'
import { type ModelOptions, makeCorrectHistory } from './history-model.ts'
import { expectCaught, OPTIONS, type Planting, pickWhere } from './planting.ts'
import type { Random } from './random.ts'
import { describeViolation } from './violation.ts'

const isEvent = ({ type }: SeenItem) => type !== 'CaughtUp'
const openingsOf = (history: History) => history.streams.flatMap(({ openings }) => openings)

/** Changes what an opening holds; the model's lists are not readonly to its own tests. */
function planInOpening(
  change: (items: SeenItem[], at: number) => void,
  fits: (items: SeenItem[], at: number) => boolean,
) {
  return (history: History, random: Random) => {
    const places = openingsOf(history).flatMap(({ items }) =>
      items.flatMap((_, at) => (fits(items, at) ? [{ items, at }] : [])),
    )
    if (places.length === 0) return null
    const { items, at } = random.pick(places)
    change(items, at)
    return true
  }
}

describe('the checker', () => {
  it('finds nothing in histories where every promise was kept', () => {
    const check = (options: ModelOptions) => {
      expect(checkHistory(makeCorrectHistory(options))).toEqual([])
    }
    fc.assert(fc.property(OPTIONS, check), { numRuns: 500 })
  })

  it('catches an event that a stream passed over', () => {
    const isPassedOver = (items: SeenItem[], at: number) => {
      const [here, next] = [items[at], items[at + 1]]
      return here !== undefined && next !== undefined && isEvent(here)
    }
    expectCaught(
      planInOpening((items, at) => items.splice(at, 1), isPassedOver),
      'lost',
    )
  })

  it('catches an event that got lost between one opening and the next', () => {
    const plant: Planting = ({ streams }, random) => {
      const resumed = streams.flatMap(({ openings }) =>
        openings.flatMap((opening, index) => {
          const last = opening.items.at(-1)
          const next = openings[index + 1]
          return last && isEvent(last) && next?.after === last.seq && next.end !== 'refused' ? [opening] : []
        }),
      )
      if (resumed.length === 0) return null
      // The client goes on behind it all the same, as if it had got it.
      random.pick(resumed).items.pop()
      return true
    }
    expectCaught(plant, 'lost')
  })

  it('catches a stream that does not come to the head', () => {
    const plant: Planting = ({ streams }, random) => {
      const stream = pickWhere(streams, (each) => each.mustReachHead && readsLast(each) !== null, random)
      if (!stream) return null
      readsLast(stream)?.items.splice(-1)
      return true
    }
    const readsLast = ({ openings }: StreamHistory) => {
      const last = openings.at(-1)
      const item = last?.items.at(-1)
      return last && item && isEvent(item) ? last : null
    }
    expectCaught(plant, 'lost')
  })

  it('catches an acknowledged message that the database does not hold', () => {
    const plant: Planting = ({ sends, rooms }, random) => {
      const stored = new Set(rooms.flatMap(({ events }) => events.map(({ clientMessageId }) => clientMessageId)))
      const send = pickWhere(sends, ({ clientMessageId }) => !stored.has(clientMessageId), random)
      send?.acks.push({ seq: 1, id: 'a message' })
      return send !== null
    }
    expectCaught(plant, 'lost')
  })

  it('catches an event that comes again', () => {
    const again = planInOpening(
      (items, at) => items.splice(at, 0, ...items.slice(at, at + 1)),
      (items, at) => items.slice(at, at + 1).every(isEvent),
    )
    expectCaught(again, 'doubled')
  })

  it('catches an event that comes again after a resumption', () => {
    const plant: Planting = (history, random) => {
      const opening = pickWhere(openingsOf(history), ({ after, items }) => Boolean(after) && items.length > 0, random)
      const stream = history.streams.find(({ openings }) => opening && openings.includes(opening))
      const stored = history.rooms.find(({ room }) => room === stream?.room)
      const row = stored?.events.find(({ seq }) => seq === opening?.after)
      if (!opening || !row) return null
      opening.items.unshift({ ...row, atMs: opening.items[0]?.atMs ?? 0 })
      return true
    }
    expectCaught(plant, 'doubled')
  })

  it('catches two events in the wrong order', () => {
    const swap = planInOpening(
      (items, at) => items.splice(at, 2, ...items.slice(at, at + 2).toReversed()),
      (items, at) => items.slice(at, at + 2).length === 2 && items.slice(at, at + 2).every(isEvent),
    )
    expectCaught(swap, 'reordered')
  })

  it('catches what reaches a stream after its user has left', () => {
    const plant: Planting = ({ streams, rooms }, random) => {
      const ended = streams.flatMap((stream) => {
        const events = rooms.find(({ room }) => room === stream.room)?.events ?? []
        return stream.openings.flatMap((opening) => {
          const next = events[opening.items.at(-1)?.seq ?? events.length]
          return opening.end === 'completed' && next ? [{ opening, next }] : []
        })
      })
      if (ended.length === 0) return null
      const { opening, next } = random.pick(ended)
      opening.items.push({ ...next, atMs: opening.items.at(-1)?.atMs ?? 0 })
      return true
    }
    expectCaught(plant, 'leaked')
  })

  it('catches what reaches a stream after its user was added again, where that stream should have ended', () => {
    const plant: Planting = ({ streams, rooms, memberships }, random) => {
      const last = Math.max(0, ...memberships.map(({ startedAtMs }) => startedAtMs)) + 1_000
      const ended = streams.flatMap((stream) => {
        const events = rooms.find(({ room }) => room === stream.room)?.events ?? []
        const leaves = memberships.filter(
          ({ room, user, kind }) => room === stream.room && user === stream.user && kind === 'leave',
        )
        return stream.openings.flatMap((opening) => {
          const leave = leaves.find(({ startedAtMs }) => startedAtMs >= opening.openedAtMs)
          const wasAccepted = leave && opening.items[0] && opening.items[0].atMs < leave.startedAtMs
          const next = events[opening.items.at(-1)?.seq ?? events.length]
          const isFit = opening.end === 'completed' && wasAccepted && stream.mustReachHead
          return isFit && next ? [{ opening, next }] : []
        })
      })
      if (ended.length === 0) return null
      const { opening, next } = random.pick(ended)
      opening.items.push({ ...next, atMs: last })
      return true
    }
    expectCaught(plant, 'leaked')
  })

  it('catches what reaches somebody who was never a member', () => {
    const plant: Planting = ({ streams, rooms }, random) => {
      const stored = pickWhere(rooms, ({ isPrivate }) => isPrivate, random)
      const joined = new Set(stored?.events.map(({ user }) => user))
      const outside = ({ room, user }: StreamHistory) => room === stored?.room && !joined.has(user)
      const [stream, row] = [pickWhere(streams, outside, random), stored?.events[0]]
      if (!stream || !row) return null
      stream.openings.push({ openedAtMs: 0, after: 0, items: [{ ...row, atMs: 1 }], end: 'cut' })
      return true
    }
    expectCaught(plant, 'leaked')
  })

  it('catches an event that the database has otherwise, or not at all', () => {
    const other = planInOpening(
      (items, at) => items.splice(at, 1, ...items.slice(at, at + 1).map((item) => ({ ...item, id: 'another' }))),
      (items, at) => items.slice(at, at + 1).every(isEvent),
    )
    expectCaught(other, 'foreign')
  })

  /** Adds a row at the head of a room's log, or beyond it; nobody need have read it. */
  const withRow = (make: (room: StoredRoom) => Partial<StoredEvent> | undefined, newHead: (head: number) => number) => {
    return ({ streams, rooms }: History, random: Random) => {
      for (const stream of streams) stream.mustReachHead = false
      const room = random.pick(rooms)
      const row = make(room)
      if (!row) return null
      const blank = { type: 'RoomUpdated', id: null, user: null, actor: null, clientMessageId: null }
      const lastSeq = newHead(room.lastSeq)
      // The model's rooms are not readonly to its own tests.
      return (
        Object.assign(room, { lastSeq, events: [...room.events, { ...blank, seq: room.lastSeq + 1, ...row }] }) && true
      )
    }
  }
  const oneMore = (head: number) => head + 1

  it('catches a gap in the log', () => {
    expectCaught(
      withRow(
        ({ lastSeq }) => ({ seq: lastSeq + 2 }),
        (head) => head + 2,
      ),
      'gap',
    )
  })

  it('catches a log that goes beyond its head', () => {
    expectCaught(
      withRow(
        () => ({}),
        (head) => head,
      ),
      'gap',
    )
  })

  it('catches a message that the database holds twice', () => {
    const findMessage = ({ events }: StoredRoom) => events.find(({ type }) => type === 'MessageSent')
    const itsDouble = (room: StoredRoom) => {
      const message = findMessage(room)
      return message && { ...message, seq: room.lastSeq + 1, id: 'its double' }
    }
    expectCaught(withRow(itsDouble, oneMore), 'doubled')
  })

  it('catches a seq that the database holds twice', () => {
    expectCaught(
      withRow(
        ({ lastSeq }) => ({ seq: lastSeq }),
        (head) => head,
      ),
      'doubled',
    )
  })

  it('catches a message that nobody has sent', () => {
    const message = { type: 'MessageSent', id: 'x', user: 'user0', actor: 'user0', clientMessageId: 'x' }
    expectCaught(
      withRow(() => message, oneMore),
      'foreign',
    )
  })

  it('catches an answer that names another message', () => {
    const plant: Planting = (history, random) => {
      const send = pickWhere(history.sends, ({ acks }) => acks.length > 0, random)
      const first = send?.acks[0]
      if (!first) return null
      send.acks[0] = { ...first, seq: first.seq + 1 }
      return true
    }
    expectCaught(plant, 'contradiction')
  })

  it('catches a ghost, and somebody who is not seen', () => {
    const change = (to: (said: readonly string[]) => readonly string[]): Planting => {
      return ({ presence }, random) => {
        const report = pickWhere(presence, ({ said }) => said.length > 0, random)
        // The model's lists are not readonly to its own tests.
        if (report) Object.assign(report, { said: to(report.said) })
        return report !== null
      }
    }
    expectCaught(
      change((said) => [...said, 'a ghost']),
      'ghost',
    )
    expectCaught(
      change((said) => said.slice(1)),
      'unseen',
    )
  })

  it('shows the shortest history of a violation, and counts what it is about', () => {
    const history = structuredClone(makeCorrectHistory({ seed: 4, users: 3, rooms: 1, steps: 400 }))
    const opening = openingsOf(history).find(({ items }) => items.filter(isEvent).length > 20)
    const gone = opening?.items.splice(10, 2).map(({ seq }) => seq)
    const [violation, ...others] = checkHistory(history)
    expect(others).toEqual([])
    expect(violation).toMatchObject({ kind: 'lost', seqs: gone })
    expect(countViolations(violation ? [violation] : [])).toMatchObject({ lost: 2, doubled: 0 })
    const text = violation ? describeViolation(violation, history) : ''
    expect(text).toMatch(/^LOST in room room0: a stream passed over events/)
    expect(text.split('\n').length).toBeLessThan(30)
    for (const seq of gone ?? []) expect(text).toContain(`\n    ${seq} `)
  })
})
