import { describe, expect, it } from 'vitest'
import { post } from '../support/graphql-over-http.ts'
import { person } from '../support/seed.ts'
import { signToken, useNodes } from '../support/start-nodes.ts'

describe('finding people and rooms', () => {
  const nodes = useNodes()
  const url = () => nodes().urls[0] ?? ''
  const USER = 'query ($subject: String!) { user(subject: $subject) { id name } }'

  it('a product finds its user by the `sub` that it signs, once they have signed in', async () => {
    const ada = await person(url(), 'Ada')
    expect(await ada.do(USER, { subject: 'product-42' })).toEqual({ user: null })
    await post(url(), '{ viewer { id } }', { token: await signToken('product-42', { name: 'Kim' }) })
    const { user } = await ada.do<{ user: { id: string; name: string } }>(USER, { subject: 'product-42' })
    expect(user.name).toBe('Kim')
    const room = await ada.createRoom({ kind: 'DIRECT', name: null, memberIds: [user.id] })
    expect(await ada.do('query ($id: ID!) { room(id: $id) { name } }', { id: room })).toEqual({
      room: { name: 'Ada, Kim' },
    })
  })

  it('rooms by activity: the latest first, page by page, in both directions', async () => {
    const ada = await person(url(), 'Ada')
    const rooms: string[] = []
    for (let i = 0; i < 5; i++) rooms.push(await ada.createRoom())
    const order = [rooms[2], rooms[0], rooms[4], rooms[1], rooms[3]]
    for (const room of order.toReversed()) await ada.send(room ?? '', 'hello')
    const PAGE = `query ($first: Int, $last: Int, $after: String, $before: String) {
      rooms(joined: true, orderBy: ACTIVITY, first: $first, last: $last, after: $after, before: $before) {
        edges { cursor node { id } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }`
    interface Page {
      rooms: {
        edges: { node: { id: string } }[]
        pageInfo: { hasNextPage: boolean; hasPreviousPage: boolean; startCursor: string; endCursor: string }
      }
    }
    const read = async (args: object) => {
      const { edges, pageInfo } = (await ada.do<Page>(PAGE, args)).rooms
      return { ids: edges.map(({ node }) => node.id), pageInfo }
    }
    const seen: string[] = []
    for (let args: object | null = { first: 2 }; args; ) {
      const { ids, pageInfo } = await read(args)
      seen.push(...ids)
      args = pageInfo.hasNextPage ? { first: 2, after: pageInfo.endCursor } : null
    }
    expect(seen).toEqual(order)
    const back: string[] = []
    for (let args: object | null = { last: 2 }; args; ) {
      const { ids, pageInfo } = await read(args)
      back.unshift(...ids)
      args = pageInfo.hasPreviousPage ? { last: 2, before: pageInfo.startCursor } : null
    }
    expect(back).toEqual(order)
    const { errors } = await post(url(), PAGE, { token: ada.token, variables: { after: 'WyJub3QiXQ' } })
    expect(errors[0]?.extensions).toMatchObject({ code: 'BAD_USER_INPUT', field: 'after' })
  })
})
