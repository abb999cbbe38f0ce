// A room's stream as the delivery stories read it: every kind of item, and what must hold of all of them together.

import type { Client } from 'graphql-ws'
import { expect } from 'vitest'
import type { Person } from './seed.ts'
import { type Result, type Stream, subscribe, subscribeSse } from './stream.ts'

export const ROOM_EVENTS = `subscription ($roomId: ID!, $after: Int) {
  roomEvents(roomId: $roomId, after: $after) {
    __typename seq
    ... on MessageSent { message { id text clientMessageId author { name } } }
    ... on MemberJoined { user { id name } }
    ... on MemberLeft { user { id name } }
    ... on ResyncRequired { fromSeq }
  }
}`

export interface RoomItem {
  __typename: string
  seq: number
  fromSeq?: number
  message?: { id: string; text: string; clientMessageId: string | null; author: { name: string } }
  user?: { id: string; name: string }
}

export type RoomStream = Stream<Result<{ roomEvents: RoomItem }>>

/** Without `after` where it is null. */
export function openRoomEvents(client: Client, roomId: string, after: number | null = null): RoomStream {
  return subscribe(client, ROOM_EVENTS, { roomId, after })
}

export function openRoomEventsSse(url: string, { token }: Person, roomId: string, after: number | null = null) {
  return subscribeSse<{ roomEvents: RoomItem }>(url, token, ROOM_EVENTS, { roomId, after })
}

/** The item of a result that must not have an error. */
export function itemOf({ data, errors }: Result<{ roomEvents: RoomItem }>): RoomItem {
  if (errors || !data) throw new Error(`instead of an item: ${JSON.stringify(errors)}`)
  return data.roomEvents
}

/** An item in short, as `['MessageSent', 2, 'hello']`. */
export function brief(result: Result<{ roomEvents: RoomItem }>): (string | number)[] {
  const { __typename, seq, message, user } = itemOf(result)
  const what = message?.text ?? user?.name
  return what === undefined ? [__typename, seq] : [__typename, seq, what]
}

/** Takes items until the stream has caught up and stands at `seq`. */
export async function takeUpTo(stream: RoomStream, seq: number): Promise<RoomItem[]> {
  let caughtUp = false
  const taken = await stream.takeUntil((result) => {
    const item = itemOf(result)
    caughtUp ||= item.__typename === 'CaughtUp'
    return caughtUp && item.seq >= seq
  })
  return taken.map(itemOf)
}

/** Expects after+1, after+2, … up to `last`, each once and in order, with one CaughtUp among or behind them. */
export function expectWhole(items: readonly RoomItem[], after: number, last: number): void {
  const events = items.filter(({ __typename }) => __typename !== 'CaughtUp')
  expect(events.map(({ seq }) => seq)).toEqual(Array.from({ length: last - after }, (_, i) => after + 1 + i))
  expect(items.map(({ __typename }) => __typename)).not.toContain('ResyncRequired')
  const marks = items.flatMap((item, i) => (item.__typename === 'CaughtUp' ? [{ item, before: items[i - 1] }] : []))
  expect(marks).toHaveLength(1)
  for (const { item, before } of marks) expect(item.seq).toBe(before?.seq ?? after)
}
