import { afterEach, describe, expect, it } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { post } from '../support/graphql-over-http.ts'
import { type Person, person, stopAll } from '../support/seed.ts'
import { useNodes } from '../support/start-nodes.ts'
import { subscribe } from '../support/stream.ts'

interface Page<Node> {
  edges: { cursor: string; node: Node }[]
  pageInfo: { hasNextPage: boolean; hasPreviousPage: boolean; startCursor: string | null; endCursor: string | null }
}
type PageArgs = { first?: number; after?: string | null; last?: number; before?: string | null }

const PAGE = 'pageInfo { hasNextPage hasPreviousPage startCursor endCursor }'
const ROOMS = `query ($first: Int, $after: String, $last: Int, $before: String, $search: String, $joined: Boolean) {
  rooms(first: $first, after: $after, last: $last, before: $before, search: $search, joined: $joined) {
    edges { cursor node { id name } } ${PAGE} } }`
const MEMBERS = `query ($id: ID!, $first: Int, $after: String, $last: Int, $before: String) { room(id: $id) {
  members(first: $first, after: $after, last: $last, before: $before) {
    edges { cursor node { role user { name } } } ${PAGE} } } }`
const ACTIVE = `query ($first: Int, $after: String, $last: Int, $before: String) {
  activeRooms(first: $first, after: $after, last: $last, before: $before) {
    edges { cursor node { name presence { count users { user { name } state } } } } ${PAGE} } }`

const namesOf = ({ edges }: Page<{ name: string }>) => edges.map(({ node }) => node.name)

/** Walks a connection to its end, two objects at a time, and checks both flags of every page on the way. */
async function walk<Node>(
  read: (args: PageArgs) => Promise<Page<Node>>,
  direction: 'forward' | 'backward',
): Promise<Node[]> {
  const found: Node[] = []
  for (let cursor: string | null = null, pages = 0; pages < 50; pages++) {
    const page: Page<Node> = await read(
      direction === 'forward' ? { first: 2, after: cursor } : { last: 2, before: cursor },
    )
    const nodes = page.edges.map(({ node }) => node)
    const { hasNextPage, hasPreviousPage, startCursor, endCursor } = page.pageInfo
    expect([startCursor, endCursor]).toEqual([page.edges[0]?.cursor ?? null, page.edges.at(-1)?.cursor ?? null])
    if (direction === 'forward') {
      found.push(...nodes)
      expect(hasPreviousPage).toBe(pages > 0)
      if (!hasNextPage) return found
      cursor = endCursor
    } else {
      found.unshift(...nodes)
      expect(hasNextPage).toBe(pages > 0)
      if (!hasPreviousPage) return found
      cursor = startCursor
    }
  }
  throw new Error('the connection has no end')
}

describe('lists of rooms', () => {
  const nodes = useNodes()
  const url = () => nodes().urls[0] ?? ''
  const newcomer = (name = 'Ada') => person(url(), name)
  afterEach(stopAll)

  const list = async (who: Person, args: object) => (await who.do<{ rooms: Page<{ name: string }> }>(ROOMS, args)).rooms
  const find = async (who: Person, search: string) => namesOf(await list(who, { search }))
  const errorOf = async (who: Person, query: string, variables: object) => {
    const { errors } = await post(url(), query, { token: who.token, variables })
    return errors[0]?.extensions
  }

  it('search folds case, diacritics and the Turkish i, in names and topics', async () => {
    const ada = await newcomer()
    await ada.createRoom({ name: 'Çay Odası', topic: 'İstanbul ŞEHRİ' })
    await ada.createRoom({ name: 'Crème brûlée' })
    for (const search of [
      'çay',
      'CAY ODASI',
      'cay odası',
      'ÇAY',
      'istanbul',
      'ISTANBUL',
      'şehri',
      'sehrı',
      ' odasi ',
    ]) {
      expect([search, await find(ada, search)]).toEqual([search, ['Çay Odası']])
    }
    for (const search of ['creme BRULEE', 'Crème', 'cre\u0300me']) {
      expect([search, await find(ada, search)]).toEqual([search, ['Crème brûlée']])
    }
    expect(await find(ada, 'kahve')).toEqual([])
  })

  it('search takes the wildcards of LIKE as they are written', async () => {
    const ada = await newcomer()
    await ada.createRoom({ name: '100% cotton' })
    await ada.createRoom({ name: 'snake_case' })
    await ada.createRoom({ name: 'back\\slash' })
    await ada.createRoom({ name: 'plain' })
    expect(await find(ada, '%')).toEqual(['100% cotton'])
    expect(await find(ada, '_')).toEqual(['snake_case'])
    expect(await find(ada, '\\')).toEqual(['back\\slash'])
    expect(await find(ada, 'p%n')).toEqual([])
    expect(await find(ada, 'pla_n')).toEqual([])
  })

  it('shows public rooms and one’s own, or only those one has joined', async () => {
    const [ada, bo] = [await newcomer(), await newcomer('Bo')]
    await ada.createRoom({ name: 'zebra public' })
    await ada.createRoom({ name: 'zebra private', kind: 'PRIVATE' })
    await ada.createRoom({ name: 'zebra shared', kind: 'PRIVATE', memberIds: [bo.id] })
    await ada.createRoom({ name: 'zebra direct', kind: 'DIRECT', memberIds: [bo.id] })
    expect(await find(ada, 'zebra')).toEqual(['zebra direct', 'zebra private', 'zebra public', 'zebra shared'])
    expect(await find(bo, 'zebra')).toEqual(['zebra direct', 'zebra public', 'zebra shared'])
    expect(await find(await newcomer('Cy'), 'zebra')).toEqual(['zebra public'])
    expect(namesOf(await list(bo, { joined: true }))).toEqual(['zebra direct', 'zebra shared'])
  })

  it('rooms are walked in both directions, each once, also where names are the same', async () => {
    const ada = await newcomer()
    const expected = ['walk a', 'walk b', 'walk b', 'walk b', 'walk c']
    for (const name of ['walk b', 'walk c', 'walk b', 'walk a', 'walk b']) await ada.createRoom({ name })
    const read = async (args: PageArgs) =>
      (await ada.do<{ rooms: Page<{ id: string; name: string }> }>(ROOMS, { ...args, search: 'walk' })).rooms
    const forward = await walk(read, 'forward')
    expect(forward.map(({ name }) => name)).toEqual(expected)
    expect(new Set(forward.map(({ id }) => id)).size).toBe(5)
    expect(await walk(read, 'backward')).toEqual(forward)
  })

  it('pages of members go on where they were when who stood at the cursor has left', async () => {
    // Guards: with a row as the cursor, the rest of the list seemed to be gone with it.
    const ada = await newcomer()
    const roomId = await ada.createRoom()
    const [bo, cy] = [await newcomer('Bo'), await newcomer('Cy')]
    await bo.join(roomId)
    await cy.join(roomId)
    const read = async (args: PageArgs) =>
      (await ada.do<{ room: { members: Page<{ user: { name: string } }> } }>(MEMBERS, { id: roomId, ...args })).room
        .members
    const first = await read({ first: 2 })
    await bo.leave(roomId)
    const second = await read({ first: 2, after: first.pageInfo.endCursor })
    expect(second.edges.map(({ node }) => node.user.name)).toEqual(['Cy'])
  })

  it('members are walked in both directions, in the order in which they joined', async () => {
    const ada = await newcomer()
    const roomId = await ada.createRoom()
    const names = ['Bo', 'Cy', 'Di', 'Eve', 'Flo']
    for (const name of names) await (await newcomer(name)).join(roomId)
    const read = async (args: PageArgs) =>
      (await ada.do<{ room: { members: Page<{ user: { name: string } }> } }>(MEMBERS, { id: roomId, ...args })).room
        .members
    const forward = await walk(read, 'forward')
    expect(forward.map(({ user }) => user.name)).toEqual(['Ada', ...names])
    expect(await walk(read, 'backward')).toEqual(forward)
  })

  it('active rooms are those with somebody present, liveliest first', async () => {
    const [ada, bo] = [await newcomer(), await newcomer('Bo')]
    const watch = 'subscription ($roomId: ID!) { roomEvents(roomId: $roomId) { __typename } }'
    const enter = async (who: Person, roomId: string) => {
      await subscribe(who.connect(), watch, { roomId }).next()
    }
    const active = async (who: Person, args: PageArgs = {}) =>
      (await who.do<{ activeRooms: Page<{ name: string; presence: { count: number } }> }>(ACTIVE, args)).activeRooms
    expect(await active(ada)).toMatchObject({ edges: [], pageInfo: { hasNextPage: false, hasPreviousPage: false } })

    const [quiet, lively, hidden] = [
      await ada.createRoom({ name: 'quiet' }),
      await ada.createRoom({ name: 'lively' }),
      await ada.createRoom({ name: 'hidden', kind: 'PRIVATE' }),
    ]
    await ada.createRoom({ name: 'empty' })
    await ada.send(quiet, 'the latest activity of all')
    for (const roomId of [quiet, lively, hidden]) await enter(ada, roomId)
    await enter(bo, lively)
    await eventually(async () => {
      const seen = await active(ada)
      expect(seen.edges.map(({ node }) => [node.name, node.presence.count])).toEqual([
        ['lively', 2],
        ['quiet', 1],
        ['hidden', 1],
      ])
    })
    expect(namesOf(await active(bo))).toEqual(['lively', 'quiet'])
    const page = await active(ada, { first: 1 })
    expect(page.edges[0]?.node).toMatchObject({
      presence: { users: [{ user: { name: 'Ada' }, state: 'ONLINE' }, { user: { name: 'Bo' } }] },
    })
    expect(page.pageInfo).toMatchObject({ hasNextPage: true, hasPreviousPage: false })
    expect((await walk((args) => active(ada, args), 'forward')).map(({ name }) => name)).toEqual([
      'lively',
      'quiet',
      'hidden',
    ])
    expect((await walk((args) => active(ada, args), 'backward')).map(({ name }) => name)).toEqual([
      'lively',
      'quiet',
      'hidden',
    ])
  })

  describe('refuse, naming the argument and the limit,', () => {
    const lists = [
      ['rooms', ROOMS],
      ['members', MEMBERS],
      ['activeRooms', ACTIVE],
    ] as const
    for (const [name, query] of lists) {
      it(`pages of ${name} that are too long or of negative length`, async () => {
        const ada = await newcomer()
        const id = await ada.createRoom()
        for (const size of [-1, 101, 2_147_483_647]) {
          for (const field of ['first', 'last']) {
            const code = await errorOf(ada, query, { id, [field]: size })
            expect([field, size, code]).toEqual([
              field,
              size,
              expect.objectContaining({ code: 'BAD_USER_INPUT', field, limit: 100 }),
            ])
          }
        }
      })

      it(`cursors of ${name} that this list has not given`, async () => {
        const ada = await newcomer()
        const id = await ada.createRoom()
        const cursors = [
          'nonsense',
          '',
          'GPC:S:x',
          btoa('GPC:S:x'),
          btoa('GPC:N:1'),
          btoa('GPC:J:{'),
          btoa('OffsetConnection:'),
          btoa('OffsetConnection:-5'),
          btoa('seq:1'),
          '\u0000',
          '\ud800',
        ]
        for (const cursor of cursors) {
          for (const [field, size] of [
            ['after', 'first'],
            ['before', 'last'],
          ] as const) {
            const code = await errorOf(ada, query, { id, [field]: cursor, [size]: 5 })
            expect([cursor, code]).toEqual([cursor, expect.objectContaining({ code: 'BAD_USER_INPUT', field })])
          }
        }
      })

      it(`arguments of ${name} that contradict each other`, async () => {
        const ada = await newcomer()
        const id = await ada.createRoom()
        expect(await errorOf(ada, query, { id, first: 1, last: 1 })).toMatchObject({
          code: 'BAD_USER_INPUT',
          field: 'last',
        })
      })
    }
  })
})
