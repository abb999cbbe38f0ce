// A deleted message is gone for everybody; its place in the log stays.

import { isDeepStrictEqual } from 'node:util'
import { afterEach, describe, expect, it } from 'vitest'
import { attempt } from '../support/attempt.ts'
import { type Person, person, stopAll } from '../support/seed.ts'
import { useNodes } from '../support/start-nodes.ts'
import { subscribe } from '../support/stream.ts'

const LOG = `subscription ($id: ID!, $after: Int) { roomEvents(roomId: $id, after: $after) {
  __typename seq
  ... on MessageSent { message { id text deletedAt mentions { start } } }
  ... on MessageDeleted { messageId messageSeq actor { name } }
} }`

const QUOTES = `subscription ($id: ID!, $after: Int) { roomEvents(roomId: $id, after: $after) {
  seq ... on MessageSent { message { text replyTo { text isDeleted } } }
} }`

describe('deleting a message', () => {
  const nodes = useNodes()
  const url = () => nodes().urls[0] ?? ''
  afterEach(stopAll)

  const scene = async (input: object = {}) => {
    const people = await Promise.all(['Ada', 'Bo', 'Cy'].map((name) => person(url(), name)))
    const [ada, bo, cy] = people as [Person, Person, Person]
    const roomId = await ada.createRoom({ memberIds: [bo.id, cy.id], ...input })
    return { ada, bo, cy, roomId }
  }
  const remove = (who: Person, messageId: string) =>
    attempt<{ messageId: string }>(url(), who, 'deleteMessage', { messageId }, 'messageId')

  it('keeps its text from whoever asks for it from then on, also where it was just live', async () => {
    const { ada, bo, cy, roomId } = await scene()
    const live = subscribe(ada.connect(), LOG, { id: roomId })
    await live.next()
    const { id, seq } = await bo.send(roomId, 'a secret')
    const reply = await ada.send(roomId, 'what?', { replyToId: id })
    for (const text of ['a secret', 'what?']) {
      expect((await live.next()).data?.roomEvents).toMatchObject({ message: { text } })
    }
    await remove(bo, id)
    expect((await live.next()).data?.roomEvents).toMatchObject({ __typename: 'MessageDeleted' })
    const later = subscribe(cy.connect(), QUOTES, { id: roomId, after: seq - 1 })
    expect((await later.next()).data?.roomEvents).toEqual({ seq, message: { text: '', replyTo: null } })
    const quoting = { seq: reply.seq, message: { text: 'what?', replyTo: { text: '', isDeleted: true } } }
    expect((await later.next()).data?.roomEvents).toEqual(quoting)
  })

  it('leaves it to be replied to, as one that was deleted', async () => {
    const { ada, bo, roomId } = await scene()
    const live = subscribe(bo.connect(), QUOTES, { id: roomId })
    await live.next()
    const [gone, kept] = [await bo.send(roomId, 'a secret'), await bo.send(roomId, 'kept')]
    await remove(bo, gone.id)
    await live.take(3)
    const quotes = [
      { replyTo: gone, quote: { text: '', isDeleted: true } },
      { replyTo: kept, quote: { text: 'kept', isDeleted: false } },
    ]
    // By themselves, and in a group.
    for (const { replyTo, quote } of quotes) {
      await ada.send(roomId, 'and?', { replyToId: replyTo.id })
      expect((await live.next()).data?.roomEvents).toMatchObject({ message: { replyTo: quote } })
    }
    const together = Array.from({ length: 20 }, (_, i) => quotes[i % 2])
    await Promise.all(together.map((one) => ada.send(roomId, 'and?', { replyToId: one?.replyTo.id })))
    const shown = (await live.take(20)).map(({ data }) => data?.roomEvents)
    for (const { quote } of quotes) {
      expect(shown.filter((item) => isDeepStrictEqual(Object(item).message.replyTo, quote))).toHaveLength(10)
    }
  })

  it('empties it in history, in replies to it and in the log, and tells whoever is there', async () => {
    const { ada, bo, roomId } = await scene()
    const { id, seq } = await bo.send(roomId, 'a secret for @Ada')
    await ada.send(roomId, 'what?', { replyToId: id })
    const live = subscribe(ada.connect(), LOG, { id: roomId, after: seq + 1 })
    expect((await live.next()).data?.roomEvents).toMatchObject({ __typename: 'CaughtUp' })
    expect(await remove(bo, id)).toMatchObject({ messageId: id })
    expect((await live.next()).data?.roomEvents).toEqual({
      ...{ __typename: 'MessageDeleted', seq: seq + 2 },
      ...{ messageId: id, messageSeq: seq, actor: { name: 'Bo' } },
    })
    const query = `query ($id: ID!) { room(id: $id) { messages {
      edges { node { id text deletedAt mentions { start } replyTo { text isDeleted } } } } } }`
    const { room } = await ada.do<{ room: { messages: { edges: { node: object }[] } } }>(query, { id: roomId })
    expect(room.messages.edges.map(({ node }) => node)).toEqual([
      { id, text: '', deletedAt: expect.any(String), mentions: [], replyTo: null },
      expect.objectContaining({ text: 'what?', deletedAt: null, replyTo: { text: '', isDeleted: true } }),
    ])
    // A node that has not seen it live.
    const replay = subscribe(ada.connect(), LOG, { id: roomId, after: seq - 1 })
    expect(JSON.stringify(await replay.take(3))).not.toContain('__typename":"CaughtUp')
  })

  it('changes nothing the second time', async () => {
    const { ada, roomId } = await scene()
    const { id } = await ada.send(roomId, 'oops')
    await Promise.all([remove(ada, id), remove(ada, id), remove(ada, id)])
    const { room } = await ada.do<{ room: { lastSeq: number } }>('query ($id: ID!) { room(id: $id) { lastSeq } }', {
      id: roomId,
    })
    expect(room.lastSeq).toBe((await ada.send(roomId, 'next')).seq - 1)
    expect(await remove(ada, id)).toMatchObject({ messageId: id })
  })

  it('is for its author, owners and moderators', async () => {
    const { ada, bo, cy, roomId } = await scene()
    const { id } = await bo.send(roomId, 'mine')
    expect(await remove(cy, id)).toMatchObject({ code: 'FORBIDDEN' })
    expect(await remove(ada, id)).toMatchObject({ messageId: id })
    const other = await bo.send(roomId, 'mine as well')
    await bo.leave(roomId)
    expect(await remove(bo, other.id)).toMatchObject({ code: 'NOT_A_MEMBER' })
  })

  it('is for its author alone in a direct room', async () => {
    const [ada, bo] = [await person(url(), 'Ada'), await person(url(), 'Bo')]
    const roomId = await ada.createRoom({ kind: 'DIRECT', name: undefined, memberIds: [bo.id] })
    const { id } = await bo.send(roomId, 'between us')
    expect(await remove(ada, id)).toMatchObject({ code: 'FORBIDDEN' })
    expect(await remove(bo, id)).toMatchObject({ messageId: id })
  })

  it('looks the same whether it is absent or in a room that is not theirs', async () => {
    const { ada, roomId } = await scene({ kind: 'PRIVATE' })
    const { id } = await ada.send(roomId, 'secret')
    const eve = await person(url(), 'Eve')
    const absent = await remove(eve, Buffer.from('Message:01890000-0000-7000-8000-000000000000').toString('base64url'))
    expect(absent.code).toBe('NOT_FOUND')
    expect(await remove(eve, id)).toEqual(absent)
  })

  it('is refused in an archived room', async () => {
    const { ada, roomId } = await scene()
    const { id } = await ada.send(roomId, 'kept')
    await attempt(url(), ada, 'archiveRoom', { roomId })
    expect(await remove(ada, id)).toMatchObject({ code: 'ROOM_ARCHIVED' })
  })

  it('and sending it again returns what is left', async () => {
    const { ada, roomId } = await scene()
    const first = await ada.send(roomId, 'once', { clientMessageId: 'one' })
    await remove(ada, first.id)
    const again = await attempt<{ sentMessage: { id: string; text: string } }>(
      ...[url(), ada, 'sendMessage', { roomId, text: 'once', clientMessageId: 'one' }],
      'sentMessage { id text deletedAt }',
    )
    expect(again).toMatchObject({ sentMessage: { id: first.id, text: '', deletedAt: expect.any(String) } })
  })
})
