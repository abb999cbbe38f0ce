// Mentions are resolved when a message is sent, stored with their ranges, and the same in the answer, live and in history.

import { afterEach, describe, expect, it } from 'vitest'
import { type Person, person, stopAll } from '../support/seed.ts'
import { useNodes } from '../support/start-nodes.ts'
import { subscribe } from '../support/stream.ts'

const MENTIONS = 'text mentions { start length user { id name } }'

interface Mentioned {
  text: string
  mentions: { start: number; length: number; user: { id: string; name: string } | null }[]
}

describe('mentions', () => {
  const nodes = useNodes()
  const url = () => nodes().urls[0] ?? ''
  afterEach(stopAll)

  const send = async (who: Person, roomId: string, text: string, clientMessageId: string | null = null) => {
    const { sendMessage } = await who.do<{ sendMessage: { sentMessage: Mentioned } }>(
      `mutation ($input: SendMessageInput!) { sendMessage(input: $input) {
        ... on SendMessageSuccess { sentMessage { ${MENTIONS} } } ... on Error { message } } }`,
      { input: { roomId, text, clientMessageId } },
    )
    return sendMessage.sentMessage
  }
  const shown = ({ text, mentions }: Mentioned) =>
    mentions.map(({ start, length, user }) => [text.slice(start, start + length), user?.id ?? 'room'])

  it('are the members whose names stand behind an @, and @room', async () => {
    const [ada, bo, eve] = [await person(url(), 'Ada'), await person(url(), 'Bo Diddley'), await person(url(), 'Eve')]
    const roomId = await ada.createRoom({ memberIds: [bo.id] })
    const text = '  👩‍🚀 @bo diddley, @Eve is not here; @room!  '
    const expected = [
      ['@bo diddley', bo.id],
      ['@room', 'room'],
    ]
    const live = subscribe(
      bo.connect(),
      `subscription ($id: ID!) { messageAdded(roomId: $id, after: 0) { ${MENTIONS} } }`,
      {
        id: roomId,
      },
    )
    const sent = await send(ada, roomId, text)
    expect(shown(sent)).toEqual(expected)
    expect((await live.next()).data?.messageAdded).toEqual(sent)
    // Whoever joins later was not meant.
    await eve.join(roomId)
    const query = `query ($id: ID!) { room(id: $id) { messages { edges { node { ${MENTIONS} } } } } }`
    const { room } = await eve.do<{ room: { messages: { edges: { node: Mentioned }[] } } }>(query, { id: roomId })
    expect(room.messages.edges.map(({ node }) => node)).toEqual([sent])
  })

  it('of a message that is sent again are those of the first time', async () => {
    const [ada, bo] = [await person(url(), 'Ada'), await person(url(), 'Bo')]
    const roomId = await ada.createRoom({ memberIds: [bo.id] })
    const first = await send(ada, roomId, 'hi @Bo', 'one')
    await bo.leave(roomId)
    expect(await send(ada, roomId, 'hi @Bo', 'one')).toEqual(first)
    expect(shown(await send(ada, roomId, 'hi @Bo', 'two'))).toEqual([])
  })

  it('are resolved for messages that are stored together as for one alone', async () => {
    const [ada, bo] = [await person(url(), 'Ada'), await person(url(), 'Bo')]
    const roomId = await ada.createRoom({ memberIds: [bo.id] })
    const texts = Array.from({ length: 40 }, (_, i) => (i % 3 === 0 ? `${i} @Bo and @Ada` : `${i}`))
    const sent = await Promise.all(texts.map((text) => send(ada, roomId, text)))
    expect(sent.map(({ mentions }) => mentions.length)).toEqual(texts.map((text) => (text.includes('@') ? 2 : 0)))
  })
})
