import { afterEach, describe, expect, it } from 'vitest'
import { attempt } from '../support/attempt.ts'
import { eventually } from '../support/eventually.ts'
import { person, stopAll } from '../support/seed.ts'
import { useNodes } from '../support/start-nodes.ts'
import { countRows } from '../support/stored-rows.ts'
import { subscribe } from '../support/stream.ts'

const SENT = `presentCount sentMessage { id seq text clientMessageId createdAt roomId room { id lastSeq }
  author { id name } replyTo { id seq text author { name } } }`

interface Sent {
  presentCount: number | null
  sentMessage: {
    id: string
    seq: number
    text: string
    clientMessageId: string | null
    createdAt: string
    roomId: string
    room: { id: string; lastSeq: number }
    author: { id: string; name: string }
    replyTo: { id: string; seq: number; text: string; author: { name: string } } | null
  }
}

describe('sendMessage', () => {
  const nodes = useNodes()
  const url = () => nodes().urls[0] ?? ''
  const newcomer = (name = 'Ada') => person(url(), name)
  const send = (who: { token: string }, input: object) => attempt<Sent>(url(), who, 'sendMessage', input, SENT)
  afterEach(stopAll)

  it('returns the message with its seq, and trims it', async () => {
    const ada = await newcomer()
    const roomId = await ada.createRoom()
    const { sentMessage } = await send(ada, { roomId, text: '  two words\n', clientMessageId: ' mine ' })
    expect(sentMessage).toMatchObject({
      seq: 2,
      text: 'two words',
      clientMessageId: ' mine ',
      roomId,
      room: { id: roomId, lastSeq: 2 },
      author: { id: ada.id, name: 'Ada' },
      replyTo: null,
    })
    expect(sentMessage?.createdAt).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
  })

  it('says how many are present', async () => {
    const [ada, bo] = [await newcomer(), await newcomer('Bo')]
    const roomId = await ada.createRoom()
    expect((await send(ada, { roomId, text: 'alone' })).presentCount).toBe(0)
    const watch = 'subscription ($roomId: ID!) { roomEvents(roomId: $roomId) { seq } }'
    await Promise.all([ada, ada, bo].map((who) => subscribe(who.connect(), watch, { roomId }).next()))
    await eventually(async () => expect((await send(ada, { roomId, text: 'hello' })).presentCount).toBe(2))
  })

  it('keeps what people write, whatever script or sign', async () => {
    const ada = await newcomer()
    const roomId = await ada.createRoom()
    for (const text of [
      'ağaç İğne ıslık',
      '👩‍👩‍👧‍👦🏳️‍🌈',
      'שלום עולם',
      'a\tb\r\nc',
      '\\ " \' % $1 \\u0041',
      '\u0001\u007f',
      'e\u0301',
    ]) {
      expect((await send(ada, { roomId, text })).sentMessage?.text).toBe(text)
    }
  })

  it('quotes what it replies to', async () => {
    const [ada, bo] = [await newcomer(), await newcomer('Bo')]
    const roomId = await ada.createRoom()
    await bo.join(roomId)
    const question = await ada.send(roomId, 'Tea?')
    const { sentMessage } = await send(bo, { roomId, text: 'Please', replyToId: question.id })
    expect(sentMessage?.replyTo).toEqual({
      id: question.id,
      seq: question.seq,
      text: 'Tea?',
      author: { name: 'Ada' },
    })
  })

  it('refuses to reply to a message of another room, or to none', async () => {
    const ada = await newcomer()
    const [roomId, elsewhere] = [await ada.createRoom(), await ada.createRoom()]
    const other = await ada.send(elsewhere, 'there')
    const absent = Buffer.from('Message:018f0000-0000-7000-8000-000000000000').toString('base64url')
    for (const replyToId of [other.id, absent, roomId]) {
      const refused = await send(ada, { roomId, text: 'Yes', replyToId })
      expect(refused).toMatchObject({ code: 'VALIDATION_FAILED', issues: [{ path: 'input.replyToId' }] })
    }
    expect(await ada.do('query ($id: ID!) { room(id: $id) { lastSeq } }', { id: roomId })).toEqual({
      room: { lastSeq: 1 },
    })
  })

  it('is for members, and tells others no more than they may know', async () => {
    const [ada, bo] = [await newcomer(), await newcomer('Bo')]
    const [open, hidden] = [await ada.createRoom(), await ada.createRoom({ kind: 'PRIVATE' })]
    expect((await send(bo, { roomId: open, text: 'x' })).code).toBe('NOT_A_MEMBER')
    expect((await send(bo, { roomId: hidden, text: 'x' })).code).toBe('NOT_FOUND')
    await bo.join(open)
    expect((await send(bo, { roomId: open, text: 'x' })).sentMessage?.seq).toBe(3)
    await bo.leave(open)
    expect((await send(bo, { roomId: open, text: 'x' })).code).toBe('NOT_A_MEMBER')
  })

  it('answers the same message however often and concurrently it is retried', async () => {
    const ada = await newcomer()
    const roomId = await ada.createRoom()
    const before = await countRows(nodes().databaseUrl)
    const tries = await Promise.all(
      Array.from({ length: 30 }, (_, i) => send(ada, { roomId, text: `try ${i}`, clientMessageId: 'one' })),
    )
    const first = tries[0]?.sentMessage
    for (const { sentMessage } of tries) expect(sentMessage).toMatchObject({ id: first?.id, seq: 2, text: first?.text })
    const after = await countRows(nodes().databaseUrl)
    expect(after).toEqual({ ...before, messages: (before.messages ?? 0) + 1 })
  })

  it('tells apart the same clientMessageId of other authors and rooms', async () => {
    const [ada, bo] = [await newcomer(), await newcomer('Bo')]
    const [roomId, elsewhere] = [await ada.createRoom(), await ada.createRoom()]
    await bo.join(roomId)
    const clientMessageId = 'shared'
    const sent = [
      await send(ada, { roomId, text: 'of Ada', clientMessageId }),
      await send(bo, { roomId, text: 'of Bo', clientMessageId }),
      await send(ada, { roomId: elsewhere, text: 'elsewhere', clientMessageId }),
    ]
    expect(sent.map(({ sentMessage }) => sentMessage?.text)).toEqual(['of Ada', 'of Bo', 'elsewhere'])
  })

  it('numbers what many send at once without a gap', async () => {
    const ada = await newcomer()
    const roomId = await ada.createRoom()
    const seqs = await Promise.all(Array.from({ length: 60 }, async (_, i) => (await ada.send(roomId, `m${i}`)).seq))
    expect(seqs.sort((a, b) => a - b)).toEqual(Array.from({ length: 60 }, (_, i) => i + 2))
  })
})
