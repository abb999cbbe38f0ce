import { beforeAll, describe, expect, it } from 'vitest'
import { post } from '../support/graphql-over-http.ts'
import { type Person, person } from '../support/seed.ts'
import { useNodes } from '../support/start-nodes.ts'

const NODE = `query ($id: ID!) { node(id: $id) { __typename id
  ... on User { name } ... on Room { name } ... on Message { text room { name } author { name } } } }`

const globalId = (text: string) => Buffer.from(text).toString('base64url')
const UNUSED = '018f0000-0000-7000-8000-000000000000'

describe('node', () => {
  const nodes = useNodes()
  const url = () => nodes().urls[0] ?? ''
  let ada: Person
  let bo: Person
  const find = async (who: Person, id: string) => (await who.do<{ node: object | null }>(NODE, { id })).node

  beforeAll(async () => {
    ada = await person(url(), 'Ada')
    bo = await person(url(), 'Bo')
  })

  it('finds users, rooms and messages by the ids that other objects gave', async () => {
    const roomId = await ada.createRoom({ name: 'Open' })
    const { id } = await ada.send(roomId, 'hello')
    expect(await find(bo, ada.id)).toEqual({ __typename: 'User', id: ada.id, name: 'Ada' })
    expect(await find(bo, roomId)).toEqual({ __typename: 'Room', id: roomId, name: 'Open' })
    const message = { __typename: 'Message', id, text: 'hello', room: { name: 'Open' }, author: { name: 'Ada' } }
    expect(await find(bo, id)).toEqual(message)
  })

  // Guards: an id of a room that is not there, or not the viewer's, was once answered as a defect.
  it('shows no private or direct room, and none of their messages, to anybody else', async () => {
    for (const kind of ['PRIVATE', 'DIRECT']) {
      const other = await person(url(), 'Cy')
      const roomId = await ada.createRoom({ kind, memberIds: [other.id] })
      const { id } = await ada.send(roomId, 'secret')
      expect([await find(bo, roomId), await find(bo, id)]).toEqual([null, null])
      expect(await find(other, id)).toMatchObject({ text: 'secret' })
      const query = 'query ($id: ID!) { room(id: $id) { name } }'
      expect(await bo.do(query, { id: roomId })).toEqual({ room: null })
    }
  })

  it('shows nothing any more to who has left', async () => {
    const roomId = await ada.createRoom({ kind: 'PRIVATE', memberIds: [bo.id] })
    const { id } = await ada.send(roomId, 'secret')
    expect(await find(bo, id)).toMatchObject({ text: 'secret' })
    await bo.leave(roomId)
    expect([await find(bo, roomId), await find(bo, id)]).toEqual([null, null])
  })

  it('is null for ids of nothing', async () => {
    for (const type of ['User', 'Room', 'Message']) expect(await find(ada, globalId(`${type}:${UNUSED}`))).toBeNull()
  })

  it('refuses ids of types that are no nodes', async () => {
    for (const type of ['Membership', 'Query', 'MessageQuote', 'constructor', 'Nothing']) {
      const { errors } = await post(url(), NODE, { token: ada.token, variables: { id: globalId(`${type}:${UNUSED}`) } })
      expect([type, errors[0]?.extensions.code]).toEqual([type, 'BAD_USER_INPUT'])
    }
  })

  it('refuses what never was an id, naming the argument', async () => {
    for (const id of [
      '',
      'nonsense',
      ada.id.slice(0, -4),
      globalId('User:1'),
      globalId(`User:${UNUSED}:x`),
      globalId(`User:${UNUSED.toUpperCase()}`),
      'x'.repeat(5_000),
      '\u0000',
      '\ud800',
    ]) {
      const { data, errors } = await post(url(), NODE, { token: ada.token, variables: { id } })
      expect([id, data, errors[0]?.extensions]).toEqual([
        id,
        { node: null },
        expect.objectContaining({ code: 'BAD_USER_INPUT', field: 'id' }),
      ])
    }
  })

  it('room takes an id of a Room or a slug, and one of them only', async () => {
    const id = await ada.createRoom({ slug: 'by-slug', name: 'By slug' })
    const query = 'query ($id: ID, $slug: String) { room(id: $id, slug: $slug) { name } }'
    for (const variables of [{ id }, { slug: 'by-slug' }]) {
      expect(await bo.do(query, variables)).toEqual({ room: { name: 'By slug' } })
    }
    expect(await bo.do(query, { slug: 'no-such-room' })).toEqual({ room: null })
    expect(await bo.do(query, { id: globalId(`Room:${UNUSED}`) })).toEqual({ room: null })
    for (const variables of [{}, { id, slug: 'by-slug' }, { id: ada.id }, { id: 'nonsense' }, { id: '' }]) {
      const { errors } = await post(url(), query, { token: bo.token, variables })
      expect([variables, errors[0]?.extensions]).toEqual([
        variables,
        expect.objectContaining({ code: 'BAD_USER_INPUT', field: 'id' }),
      ])
    }
  })
})
