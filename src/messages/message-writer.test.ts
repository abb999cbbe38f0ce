// The invariant: every send gets its own outcome, after the commit that holds it; sends are appended in the order in
// which they came; and no more than a bounded number of them wait.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { GateError } from '../platform/errors.ts'
import type { RoomRecord } from '../rooms/room-record.ts'
import type { AppendOutcome, NewMessage } from './append-messages.ts'
import { MessageWriter } from './message-writer.ts'

const MAX_GROUP = 256
const MAX_QUEUED = 20_000

class DataError extends Error {}
class LockError extends Error {}

function message(id: string, roomId = 'room'): NewMessage {
  return {
    id,
    roomId,
    authorId: 'ada',
    text: id,
    replyToId: null,
    clientMessageId: null,
    mentions: [],
    attachments: [],
  }
}

/** A table that takes its time, refuses messages called bad as a whole statement does, and can be away. */
class Table {
  readonly rows: string[] = []
  readonly groups: number[] = []
  readonly writer = new MessageWriter(
    (messages) => this.#append(messages),
    (error) => (error instanceof DataError ? 'message' : error instanceof LockError ? 'room' : 'database'),
  )
  stuckRoom: string | null = null
  #away = 0

  failNext(): void {
    this.#away++
  }

  async #append(messages: readonly NewMessage[]): Promise<AppendOutcome[]> {
    this.groups.push(messages.length)
    await new Promise<void>((resolve) => setImmediate(resolve))
    if (this.#away > 0) {
      this.#away--
      throw new Error('the database is away')
    }
    if (messages.some(({ roomId }) => roomId === this.stuckRoom)) throw new LockError('the room is locked')
    if (messages.some(({ id }) => id.startsWith('bad'))) throw new DataError('a message is bad')
    this.rows.push(...messages.map(({ id }) => id))
    return messages.map(({ id }) => sent(id, this.rows.indexOf(id) + 1))
  }
}

const NOTHING_ELSE = { clientMessageId: null, replyTo: null, mentions: [], attachments: [], deletedAt: null }

function sent(id: string, seq: number): AppendOutcome {
  const author = { id: 'ada', name: 'Ada', avatarUrl: null, statusText: null, lastSeenAt: '' }
  const place = { slug: null, topic: null, createdAt: '', archivedAt: null, lastActivityAt: '', memberCount: 1 }
  const room: RoomRecord = { id: 'room', kind: 'PUBLIC', name: 'Room', lastSeq: seq, ...place }
  const rest = { roomId: 'room', room, author, text: id, createdAt: '', ...NOTHING_ELSE }
  return { outcome: 'SENT', message: { id, seq, ...rest } }
}

/** Like the result of a send: the seq of the very message, or the error's message. */
async function write({ writer, rows }: Table, id: string, roomId?: string): Promise<number | string> {
  try {
    const result = await writer.write(message(id, roomId))
    expect(rows).toContain(id)
    return result.outcome === 'SENT' && result.message.id === id ? result.message.seq : result.outcome
  } catch (error) {
    return error instanceof Error ? error.message : 'no error'
  }
}

describe('the message writer', () => {
  it('writes a lone send by itself, and what arrives meanwhile in one next group', async () => {
    const table = new Table()
    const ids = Array.from({ length: 600 }, (_, i) => `m${i}`)
    const seqs = await Promise.all(ids.map((id) => write(table, id)))
    expect(seqs).toEqual(ids.map((_, i) => i + 1))
    expect(table.rows).toEqual(ids)
    expect(table.groups).toEqual([1, MAX_GROUP, MAX_GROUP, 600 - 1 - 2 * MAX_GROUP])
  })

  it('takes who sends again at once with those who came meanwhile', async () => {
    const table = new Table()
    const senders = ['a', 'b', 'c'].map(async (name) => {
      for (let i = 0; i < 3; i++) await write(table, `${name}${i}`)
    })
    await Promise.all(senders)
    expect(table.groups).toEqual([1, 2, 3, 3])
  })

  it('lets one bad message fail alone', async () => {
    const table = new Table()
    const results = await Promise.all(['a', 'b', 'bad', 'c'].map((id) => write(table, id)))
    expect(results).toEqual([1, 2, 'a message is bad', 3])
  })

  it('fails all who wait when the database is away, rather than one timeout after another, and goes on with the next', async () => {
    const table = new Table()
    const first = write(table, 'a')
    table.failNext()
    expect(await Promise.all([first, write(table, 'b'), write(table, 'c')])).toEqual(
      Array(3).fill('the database is away'),
    )
    expect(table.groups).toEqual([1])
    table.failNext()
    expect(await write(table, 'd')).toBe('the database is away')
    expect(await write(table, 'e')).toBe(1)
  })

  it('lets a room whose lock is held fail alone', async () => {
    const table = new Table()
    table.stuckRoom = 'stuck'
    const first = write(table, 'first')
    const behind = ['a', 'b', 'c'].map((id, i) => write(table, id, i === 1 ? 'stuck' : 'room'))
    expect(await Promise.all([first, ...behind])).toEqual([1, 2, 'the room is locked', 3])
  })

  it('refuses, retryably, more sends than it may keep', async () => {
    const table = new Table()
    const kept = Array.from({ length: MAX_QUEUED + 1 }, (_, i) => table.writer.write(message(`m${i}`)))
    const refused = await table.writer.write(message('one too many')).catch((error: unknown) => error)
    expect(refused).toBeInstanceOf(GateError)
    expect(refused).toMatchObject({ code: 'UNAVAILABLE', retryable: true })
    await Promise.all(kept)
    expect(table.rows).toHaveLength(MAX_QUEUED + 1)
  })

  it('gives every send its own outcome, whatever comes and fails in between', async () => {
    const send = fc.record({ bad: fc.boolean(), away: fc.integer({ min: 0, max: 9 }), pause: fc.boolean() })
    const property = fc.asyncProperty(fc.array(send, { maxLength: 60, size: 'max' }), async (plan) => {
      const table = new Table()
      const results: Promise<number | string>[] = []
      for (const [i, { bad, away, pause }] of plan.entries()) {
        if (away === 0) table.failNext()
        results.push(write(table, bad ? `bad${i}` : `good${i}`))
        if (pause) await new Promise<void>((resolve) => setImmediate(resolve))
      }
      const outcomes = await Promise.all(results)
      const stored = outcomes.flatMap((outcome, i) => (typeof outcome === 'number' ? [`good${i}`] : []))
      expect(table.rows).toEqual(stored)
      expect(outcomes.filter((outcome) => typeof outcome === 'number')).toEqual(stored.map((_, i) => i + 1))
      const refused = outcomes.flatMap((outcome, i) => (outcome === 'a message is bad' ? [i] : []))
      expect(refused.filter((i) => !plan[i]?.bad)).toEqual([])
    })
    await fc.assert(property, { numRuns: 100 })
  })
})
