import { beforeAll, describe, expect, it } from 'vitest'
import { post } from '../support/graphql-over-http.ts'
import { type Person, person } from '../support/seed.ts'
import { useNodes } from '../support/start-nodes.ts'

const HISTORY = `query ($id: ID!, $first: Int, $after: String, $last: Int, $before: String, $aroundSeq: Int) {
  room(id: $id) { messages(first: $first, after: $after, last: $last, before: $before, aroundSeq: $aroundSeq) {
    edges { cursor node { seq text replyTo { text author { name } } author { name } } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } } }`

interface History {
  edges: { cursor: string; node: { seq: number; text: string; replyTo: { text: string } | null } }[]
  pageInfo: { hasNextPage: boolean; hasPreviousPage: boolean; startCursor: string | null; endCursor: string | null }
}

const COUNT = 120

describe('history', () => {
  const nodes = useNodes()
  const url = () => nodes().urls[0] ?? ''
  let ada: Person
  let roomId: string

  const read = async (args: object, id = roomId) =>
    (await ada.do<{ room: { messages: History } }>(HISTORY, { id, ...args })).room.messages
  /** First and last number, and whether there is more before and after: all that a page says of itself. */
  const brief = ({ edges, pageInfo }: History) => {
    const numbers = edges.map(({ node }) => Number(node.text))
    expect(numbers).toEqual(numbers.map((_, i) => (numbers[0] ?? 0) + i))
    expect([pageInfo.startCursor, pageInfo.endCursor]).toEqual([edges[0]?.cursor ?? null, edges.at(-1)?.cursor ?? null])
    return [numbers[0] ?? null, numbers.at(-1) ?? null, pageInfo.hasPreviousPage, pageInfo.hasNextPage]
  }
  const cursorOf = async (number: number) => {
    const { edges } = await read({ aroundSeq: number + 1, first: 1 })
    expect(edges[0]?.node.text).toBe(String(number))
    return edges[0]?.cursor
  }
  const refusal = async (args: object) =>
    (await post(url(), HISTORY, { token: ada.token, variables: { id: roomId, ...args } })).errors[0]?.extensions

  beforeAll(async () => {
    ada = await person(url(), 'Ada')
    // Its join is seq 1: message n has seq n + 1.
    roomId = await ada.createRoom()
    for (let n = 1; n <= COUNT; n++) await ada.send(roomId, String(n))
  })

  it('is the newest 50, oldest to newest, where nothing else is asked for', async () => {
    expect(brief(await read({}))).toEqual([71, 120, true, false])
  })

  it('of an empty room is empty, from every side', async () => {
    const empty = await ada.createRoom()
    for (const args of [{}, { first: 5 }, { last: 5 }, { aroundSeq: 1 }, { first: 0 }, { last: 0 }]) {
      expect(brief(await read(args, empty))).toEqual([null, null, false, false])
    }
  })

  it('goes forward by first and after, with both ends told exactly', async () => {
    expect(brief(await read({ first: 100 }))).toEqual([1, 100, false, true])
    expect(brief(await read({ first: 3 }))).toEqual([1, 3, false, true])
    expect(brief(await read({ first: 3, after: await cursorOf(3) }))).toEqual([4, 6, true, true])
    expect(brief(await read({ first: 3, after: await cursorOf(117) }))).toEqual([118, 120, true, false])
    expect(brief(await read({ first: 3, after: await cursorOf(119) }))).toEqual([120, 120, true, false])
    expect(brief(await read({ first: 3, after: await cursorOf(120) }))).toEqual([null, null, true, false])
    expect(brief(await read({ after: await cursorOf(60) }))).toEqual([61, 110, true, true])
    expect(brief(await read({ first: 0 }))).toEqual([null, null, false, true])
  })

  it('goes backward by last and before, with both ends told exactly', async () => {
    expect(brief(await read({ last: 100 }))).toEqual([21, 120, true, false])
    expect(brief(await read({ last: 3 }))).toEqual([118, 120, true, false])
    expect(brief(await read({ last: 3, before: await cursorOf(118) }))).toEqual([115, 117, true, true])
    expect(brief(await read({ last: 3, before: await cursorOf(4) }))).toEqual([1, 3, false, true])
    expect(brief(await read({ last: 3, before: await cursorOf(2) }))).toEqual([1, 1, false, true])
    expect(brief(await read({ last: 3, before: await cursorOf(1) }))).toEqual([null, null, false, true])
    expect(brief(await read({ before: await cursorOf(60) }))).toEqual([10, 59, true, true])
    expect(brief(await read({ last: 0 }))).toEqual([null, null, true, false])
  })

  it('takes both bounds at once, from either end', async () => {
    const [after, before] = [await cursorOf(10), await cursorOf(20)]
    expect(brief(await read({ after, before }))).toEqual([11, 19, true, true])
    expect(brief(await read({ after, before, first: 4 }))).toEqual([11, 14, true, true])
    expect(brief(await read({ after, before, last: 4 }))).toEqual([16, 19, true, true])
    expect(brief(await read({ after, before, first: 50 }))).toEqual([11, 19, true, true])
    expect(brief(await read({ first: 50, before }))).toEqual([1, 19, false, true])
    expect(brief(await read({ last: 50, after }))).toEqual([71, 120, true, false])
    expect(brief(await read({ last: 5, after: before, before: after }))).toEqual([null, null, true, true])
  })

  it('opens a window around a seq, at the start, in the middle, at the end and beyond', async () => {
    expect(brief(await read({ aroundSeq: 61, first: 10 }))).toEqual([55, 64, true, true])
    expect(brief(await read({ aroundSeq: 61, first: 1 }))).toEqual([60, 60, true, true])
    expect(brief(await read({ aroundSeq: 61 }))).toEqual([35, 84, true, true])
    for (const aroundSeq of [0, 1, 2, 3]) {
      expect(brief(await read({ aroundSeq, first: 10 }))).toEqual([1, 10, false, true])
    }
    for (const aroundSeq of [119, 121, 122, 5_000, 2_147_483_647]) {
      expect(brief(await read({ aroundSeq, first: 10 }))).toEqual([111, 120, true, false])
    }
    expect(brief(await read({ aroundSeq: 61, first: 0 }))).toEqual([null, null, true, true])
  })

  it('is walked to either end with each message once, while others send', async () => {
    const room = await ada.createRoom()
    for (let n = 1; n <= 30; n++) await ada.send(room, String(n))
    let number = 30
    const walk = async (start: object, next: (info: History['pageInfo']) => object | null) => {
      const numbers: number[] = []
      let pages = 0
      for (let args: object | null = start; args !== null && pages < 50; pages++) {
        const { edges, pageInfo } = await read(args, room)
        numbers.push(...edges.map(({ node }) => Number(node.text)))
        // Two more for each of the first pages only, so that the walk has an end.
        if (pages < 4) await Promise.all([ada.send(room, String(++number)), ada.send(room, String(++number))])
        args = next(pageInfo)
      }
      return numbers
    }
    const forward = await walk({ first: 7 }, ({ hasNextPage, endCursor }) =>
      hasNextPage ? { first: 7, after: endCursor } : null,
    )
    const backward = await walk({ last: 7 }, ({ hasPreviousPage, startCursor }) =>
      hasPreviousPage ? { last: 7, before: startCursor } : null,
    )
    const whole = (upTo: number) => Array.from({ length: upTo }, (_, i) => i + 1)
    const ascending = (numbers: number[]) => [...numbers].sort((a, b) => a - b)
    expect(ascending(forward)).toEqual(whole(38))
    // What was sent after the walk began stands after its first page.
    expect(ascending(backward)).toEqual(whole(38))
  })

  it('quotes what messages reply to', async () => {
    const room = await ada.createRoom()
    const { id } = await ada.send(room, 'Tea?')
    await ada.send(room, 'Please', { replyToId: id })
    const { edges } = await read({}, room)
    expect(edges.map(({ node }) => node.replyTo)).toEqual([null, { text: 'Tea?', author: { name: 'Ada' } }])
  })

  it('is for everybody in a public room, for members else', async () => {
    const bo = await person(url(), 'Bo')
    const hidden = await ada.createRoom({ kind: 'PRIVATE' })
    await ada.send(hidden, 'secret')
    expect(await bo.do(HISTORY, { id: hidden })).toEqual({ room: null })
    expect(await bo.do<{ room: { messages: History } }>(HISTORY, { id: roomId, last: 1 })).toMatchObject({
      room: { messages: { edges: [{ node: { text: '120' } }] } },
    })
  })

  describe('refuses, naming the argument,', () => {
    it('pages that are too long or of negative length, with the limit', async () => {
      for (const size of [-1, 101, 2_147_483_647]) {
        for (const [field, more] of [
          ['first', {}],
          ['last', {}],
          ['first', { aroundSeq: 5 }],
        ] as const) {
          const extensions = await refusal({ [field]: size, ...more })
          expect([size, extensions]).toEqual([
            size,
            expect.objectContaining({ code: 'BAD_USER_INPUT', field, limit: 100 }),
          ])
        }
      }
    })

    it('cursors that it has not given', async () => {
      const cursors = [
        'nonsense',
        '',
        btoa('seq:1'),
        btoa('[-1]'),
        btoa('[2147483648]'),
        btoa('[1,2]'),
        btoa('["1"]'),
        btoa('[1e400]'),
        'x'.repeat(10_000),
        '\u0000',
        '\ud800',
      ]
      for (const cursor of cursors) {
        for (const field of ['after', 'before']) {
          const extensions = await refusal({ [field]: cursor })
          expect([cursor, extensions]).toEqual([cursor, expect.objectContaining({ code: 'BAD_USER_INPUT', field })])
        }
      }
    })

    it('arguments that contradict each other', async () => {
      const cursor = await cursorOf(5)
      expect(await refusal({ first: 1, last: 1 })).toMatchObject({ code: 'BAD_USER_INPUT', field: 'last' })
      for (const more of [{ after: cursor }, { before: cursor }, { last: 5 }]) {
        expect(await refusal({ aroundSeq: 5, ...more })).toMatchObject({ code: 'BAD_USER_INPUT', field: 'aroundSeq' })
      }
      expect(await refusal({ aroundSeq: -1 })).toMatchObject({ code: 'BAD_USER_INPUT', field: 'aroundSeq', limit: 0 })
    })
  })
})
