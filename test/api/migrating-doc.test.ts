// Runs everything that docs/migrating.md shows, and holds its table against the schema and against the old service.

import { buildSchema, isInterfaceType, isObjectType } from 'graphql'
import pg from 'pg'
import { afterEach, describe, expect, it } from 'vitest'
import { type CuttableProxy, startProxy } from '../support/cuttable-proxy.ts'
import { type Program, readDocument, runCurl, runProgram, snippetsOf, tableBelow } from '../support/document.ts'
import { eventually } from '../support/eventually.ts'
import { type Person, person, stopAll } from '../support/seed.ts'
import { TEST_SECRET, useNodes } from '../support/start-nodes.ts'
import { subscribe } from '../support/stream.ts'

const OLD_SERVICE = [
  ...['`GET /api/v1/sohbet/odalar`', '`POST /api/v1/sohbet/oda-olustur`', '`GET /api/v1/mesaj/gecmis/{oda_id}`'],
  ...['`WS /api/v1/ws/{kullanici_id}`', '`oda_katil`', '`oda_ayril`', '`mesaj_gonder`', '`oda_gecmisi`'],
  ...['`sistem`', '`katilim`', '`ayrilma`', '`oda_katilim`', '`mesaj`', '`GET /saglik`', '`/yetenekler`', '`/`'],
  ...['active users', 'active rooms', 'participants', 'Redis'].map((count) => `Engine status: ${count}`),
]

const markdown = await readDocument('docs/migrating.md')
const snippets = snippetsOf(markdown, 'migrating')
const nodes = useNodes({ nodes: 1, settings: { MAX_BODY_BYTES: '2000000' } })
const programs: Program[] = []
const proxies: CuttableProxy[] = []

afterEach(async () => {
  await Promise.all(programs.splice(0).map((program) => program.stop()))
  await Promise.all(proxies.splice(0).map((proxy) => proxy.close()))
  await stopAll()
})

function textOf(name: string, language: string): string {
  const found = snippets.find((snippet) => snippet.name === name && snippet.language === language)
  if (!found) throw new Error(`docs/migrating.md has no ${language} snippet ${name}`)
  return found.text
}

/** The snippet's operation with its variables, as a client of this room sends them. */
function operation(name: string, roomId = '') {
  const hasVariables = snippets.some((snippet) => snippet.name === name && snippet.language === 'json')
  const variables = hasVariables ? textOf(name, 'json').replaceAll('ROOM_ID', roomId) : '{}'
  // A document's variables are an object.
  return { query: textOf(name, 'graphql'), variables: JSON.parse(variables) as Record<string, unknown> }
}

function run<T>(name: string, who: Person, roomId?: string): Promise<T> {
  const { query, variables } = operation(name, roomId)
  return who.do<T>(query, variables)
}

const url = () => nodes().urls[0] ?? ''
const curl = (name: string, token = '') =>
  runCurl(textOf(name, 'sh'), { SOHBET_URL: url(), SOHBET_ORIGIN: new URL(url()).origin, TOKEN: token })

function program(name: string, env: Record<string, string>): Program {
  const started = runProgram(textOf(name, 'ts'), env)
  programs.push(started)
  return started
}

async function withDatabase<T>(work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: nodes().databaseUrl, query_timeout: 20_000 })
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

type Items<T> = { edges: { node: T }[] }
const nodesOf = <T>({ edges }: Items<T>): T[] => edges.map(({ node }) => node)

/** What the document promises of each snippet; the SQL is one story and stands together. */
const RUNS: Record<string, () => Promise<void>> = {
  async token() {
    const printed = program('token', { JWT_SECRET: TEST_SECRET, KULLANICI_ID: 'eski-7', AD: 'Zeynep' })
    const token = await printed.lines.next()
    const { viewer } = await (await person(url(), 'Someone')).do<{ viewer: { id: string } }>('{ viewer { id } }')
    const response = await fetch(url(), {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
      body: JSON.stringify({ query: '{ viewer { id name } }' }),
      signal: AbortSignal.timeout(10_000),
    })
    const { data } = await response.json()
    expect(data.viewer.name).toBe('Zeynep')
    expect(data.viewer.id).not.toBe(viewer.id)
  },

  async 'active-rooms'() {
    const { ada, room } = await scene()
    await subscribe(ada.connect(), 'subscription ($id: ID!) { roomEvents(roomId: $id) { seq } }', { id: room }).next()
    await eventually(async () => {
      const { activeRooms } = await run<{
        activeRooms: Items<{ id: string; presence: { count: number; users: unknown[] } }>
      }>('active-rooms', ada)
      const presence = { count: 1, users: [{ user: { name: 'Ada' }, state: 'ONLINE' }] }
      expect(nodesOf(activeRooms)).toContainEqual(expect.objectContaining({ id: room, presence }))
    })
  },

  async rooms() {
    const ada = await person(url(), 'Ada')
    const room = await ada.createRoom({ name: 'ÇAY bahçesi' })
    await ada.createRoom({ name: 'Kahve' })
    const { rooms } = await run<{ rooms: Items<{ id: string; name: string }> }>('rooms', ada)
    expect(nodesOf(rooms)).toContainEqual(expect.objectContaining({ id: room, name: 'ÇAY bahçesi' }))
    expect(nodesOf(rooms).map(({ name }) => name)).not.toContain('Kahve')
  },

  async 'create-room'() {
    const { createRoom } = await run<{ createRoom: object }>('create-room', await person(url(), 'Ada'))
    expect(createRoom).toMatchObject({ __typename: 'CreateRoomSuccess', room: { name: 'Çay odası' } })
  },

  async 'create-room-curl'() {
    const response = await curl('create-room-curl', (await person(url(), 'Ada')).token)
    expect(await response.json()).toEqual({ data: { createRoom: { room: { id: expect.any(String) } } } })
  },

  async history() {
    const { ada, room } = await scene()
    for (let i = 1; i <= 51; i++) await ada.send(room, `message ${i}`)
    const { room: found } = await run<{
      room: { lastSeq: number; messages: Items<{ text: string }> & { pageInfo: { hasPreviousPage: boolean } } }
    }>('history', ada, room)
    const texts = nodesOf(found.messages).map(({ text }) => text)
    expect([texts.length, texts[0], texts.at(-1)]).toEqual([50, 'message 2', 'message 51'])
    expect([found.lastSeq, found.messages.pageInfo.hasPreviousPage]).toEqual([52, true])
  },

  async health() {
    const response = await curl('health')
    expect([response.status, await response.json()]).toEqual([200, { status: 'alive' }])
  },

  async ready() {
    const response = await curl('ready')
    expect([response.status, await response.json()]).toEqual([200, { status: 'ready' }])
  },

  async capabilities() {
    const { serverInfo } = await run<{ serverInfo: object }>('capabilities', await person(url(), 'Ada'))
    const limits = { messageCharacters: 4000, requestBytes: 2_000_000, pageSize: 100 }
    expect(serverInfo).toMatchObject({ name: 'Sohbet', limits })
  },

  async 'capabilities-curl'() {
    const { data } = await (await curl('capabilities-curl')).json()
    expect(data.serverInfo.capabilities).toEqual(expect.arrayContaining(['rooms', 'history', 'presence']))
  },

  async home() {
    const response = await curl('home')
    expect(response.status).toBe(200)
    expect(await response.text()).toMatch(/\/graphql.*\/health.*\/ready/s)
  },

  async status() {
    const { ada, room } = await scene()
    await subscribe(ada.connect(), 'subscription ($id: ID!) { roomEvents(roomId: $id) { seq } }', { id: room }).next()
    await eventually(async () => {
      const { serverStatus } = await run<{ serverStatus: Record<string, number> }>('status', ada)
      expect(serverStatus).toMatchObject({ database: { state: 'UP' }, redis: { state: 'NOT_USED' } })
      for (const count of ['usersOnline', 'activeRooms', 'participants']) {
        expect(serverStatus[count]).toBeGreaterThanOrEqual(1)
      }
    })
  },

  async join() {
    const { room } = await scene()
    const { joinRoom } = await run<{ joinRoom: object }>('join', await person(url(), 'Bora'), room)
    expect(joinRoom).toMatchObject({
      __typename: 'JoinRoomSuccess',
      membership: { role: 'MEMBER' },
      room: { id: room, memberCount: 2, lastSeq: 2 },
    })
  },

  async leave() {
    const { ada, room } = await scene()
    const { leaveRoom } = await run<{ leaveRoom: object }>('leave', ada, room)
    expect(leaveRoom).toEqual({ __typename: 'LeaveRoomSuccess', roomId: room })
  },

  async send() {
    const { ada, room } = await scene()
    const [first, again] = [await run('send', ada, room), await run('send', ada, room)]
    expect(first).toMatchObject({ sendMessage: { sentMessage: { seq: 2 }, presentCount: 0 } })
    expect(again).toEqual(first)
  },

  async 'room-events'() {
    const { ada, room } = await scene()
    const bora = await person(url(), 'Bora')
    const { query, variables } = operation('room-events', room)
    const stream = subscribe<{ roomEvents: { __typename: string; seq: number } }>(ada.connect(), query, variables)
    await stream.take(2)
    await bora.join(room)
    await bora.send(room, 'Selam')
    await bora.leave(room)
    const [joined, sent, left] = (await stream.take(3)).map(({ data }) => data?.roomEvents)
    expect(joined).toMatchObject({ __typename: 'MemberJoined', seq: 2, user: { name: 'Bora' } })
    expect(sent).toMatchObject({ __typename: 'MessageSent', seq: 3, message: { text: 'Selam' } })
    expect(left).toMatchObject({ __typename: 'MemberLeft', seq: 4, user: { name: 'Bora' } })
  },

  async 'messages-only'() {
    const { ada, room } = await scene()
    await ada.send(room, 'Selam')
    const { query, variables } = operation('messages-only', room)
    const { data } = await subscribe(ada.connect(), query, variables).next()
    expect(data).toMatchObject({ messageAdded: { seq: 2, text: 'Selam', author: { name: 'Ada' } } })
  },

  async presence() {
    const { ada, room } = await scene()
    const bora = await person(url(), 'Bora')
    const { query, variables } = operation('presence', room)
    const stream = subscribe<{ roomPresence: object }>(ada.connect(), query, variables)
    expect((await stream.next()).data?.roomPresence).toMatchObject({
      __typename: 'PresenceSnapshot',
      present: [{ user: { name: 'Ada' }, state: 'ONLINE' }],
    })
    const boras = subscribe(bora.connect(), query, variables)
    expect((await stream.next()).data?.roomPresence).toMatchObject({
      __typename: 'PresenceChanged',
      changes: [{ user: { name: 'Bora' }, state: 'ONLINE' }],
    })
    boras.stop()
    expect((await stream.next()).data?.roomPresence).toMatchObject({ changes: [{ state: 'OFFLINE' }] })
  },

  async socket() {
    const { ada, room } = await scene()
    await ada.send(room, 'Hoş geldin')
    const bora = await person(url(), 'Bora')
    const proxy = await startProxy(url())
    proxies.push(proxy)
    const chat = program('socket', { SOHBET_URL: proxy.url, TOKEN: bora.token, ROOM_ID: room })
    const until = (line: string) => chat.lines.takeUntil((each) => each === line)
    expect(await until('oda_gecmisi: Ada: Hoş geldin')).toEqual([
      'sistem: Sohbet, Bora',
      expect.stringMatching(/^oda_katilim: Room /),
      'oda_gecmisi: Ada: Hoş geldin',
    ])
    await until('katilim: Bora is here')
    chat.say('Merhaba!')
    await until('mesaj: Bora: Merhaba!')
    const cem = await person(url(), 'Cem')
    await cem.join(room)
    await until('katilim: Cem is a member')
    const presence = 'subscription ($id: ID!) { roomPresence(roomId: $id) { __typename } }'
    const cems = subscribe(cem.connect(), presence, { id: room })
    await until('katilim: Cem is here')
    cems.stop()
    await until('ayrilma: Cem has gone')
    await cem.leave(room)
    await until('ayrilma: Cem is no member any more')
    proxy.cut()
    await ada.send(room, 'Görüşürüz')
    await until('mesaj: Ada: Görüşürüz')
    chat.say('Hoşça kal')
    await until('mesaj: Bora: Hoşça kal')
    expect(chat.lines.items.filter((line) => /^(mesaj|sistem): /.test(line))).toEqual([
      ...['sistem: Sohbet, Bora', 'mesaj: Bora: Merhaba!'],
      ...['sistem: Sohbet, Bora', 'mesaj: Ada: Görüşürüz', 'mesaj: Bora: Hoşça kal'],
    ])
    chat.end()
    expect(await chat.lines.ended()).toBeNull()
  },
}

/** The import, in the order of the document; `room-by-old-id` belongs to it. */
const IMPORT = ['staging', 'sample', 'import', 'check', 'tidy', 'room-by-old-id']

async function scene() {
  const ada = await person(url(), 'Ada')
  return { ada, room: await ada.createRoom() }
}

describe('docs/migrating.md', () => {
  it('runs every snippet that it has', () => {
    const names = new Set(snippets.map(({ name, text }) => name ?? `a snippet without a name: ${text}`))
    expect([...names].sort()).toEqual([...Object.keys(RUNS), ...IMPORT].sort())
  })

  it('names everything that the old service had, and nothing else, beside operations that exist', async () => {
    const rows = tableBelow(markdown, 'What became of what')
    expect(rows.map(([before]) => before).sort()).toEqual([...OLD_SERVICE].sort())
    const schema = buildSchema(await readDocument('schema.graphql'))
    const named = rows.flatMap(([, here = '']) => [...here.matchAll(/`([A-Z]\w+)(?:\.(\w+))?`/g)])
    for (const [, typeName = '', field] of named.filter(([code]) => code !== '`OFFLINE`' && code !== '`GET`')) {
      const type = schema.getType(typeName)
      expect(type, typeName).toBeDefined()
      if (field && (isObjectType(type) || isInterfaceType(type))) expect(type.getFields()).toHaveProperty(field)
    }
    expect(named.length).toBeGreaterThan(15)
  })

  for (const [name, story] of Object.entries(RUNS)) it(`keeps the promise of ${name}`, story)

  it('imports users, rooms and messages into a running service, and leaves no gap in a log', async () => {
    // Somebody who has signed in here before, under the id of the old service.
    const mehmet = await person(url(), 'Mehmet', '43')
    const [gaps, gapsAfterRetry] = await withDatabase(async (client) => {
      for (const name of ['staging', 'sample', 'import']) await client.query(textOf(name, 'sql'))
      const { rows } = await client.query(textOf('check', 'sql'))
      await expect(client.query(textOf('import', 'sql'))).rejects.toThrow('rooms_slug_key')
      await client.query('ROLLBACK')
      const again = await client.query(textOf('check', 'sql'))
      await client.query(textOf('tidy', 'sql'))
      return [rows, again.rows]
    })
    expect([gaps, gapsAfterRetry]).toEqual([[], []])

    const ayse = await person(url(), 'Ayşe', '42')
    const { room } = await run<{ room: { id: string; lastSeq: number } }>('room-by-old-id', ayse)
    expect(room).toMatchObject({ name: 'Çay odası', lastSeq: 5 })
    const { query, variables } = operation('room-events', room.id)
    const stream = subscribe<{ roomEvents: Record<string, unknown> }>(ayse.connect(), query, variables)
    await mehmet.send(room.id, 'Geldim')
    const items = await stream.takeUntil(({ data }) => data?.roomEvents.seq === 6)
    const by = (who: Person) => ({ user: { id: who.id, name: who.name } })
    const said = (who: Person, text: string, old: string | null) => ({
      message: { text, clientMessageId: old, author: { id: who.id, name: who.name } },
    })
    expect(items.map(({ data }) => data?.roomEvents).filter((item) => item?.__typename !== 'CaughtUp')).toMatchObject([
      { seq: 1, role: 'OWNER', ...by(ayse) },
      { seq: 2, ...said(ayse, 'Günaydın', 'm1') },
      { seq: 3, role: 'MEMBER', ...by(mehmet) },
      { seq: 4, ...said(mehmet, 'Günaydın Ayşe', 'm2') },
      { seq: 5, ...said(ayse, 'Çay koydum', 'm3') },
      { seq: 6, ...said(mehmet, 'Geldim', null) },
    ])

    const { rooms } = await mehmet.do<{ rooms: Items<object> }>(`{ rooms(joined: true, search: "ODASI") {
      edges { node { memberCount createdAt lastMessage { text } members { edges { node { role user { name } } } } } } } }`)
    expect(nodesOf(rooms)).toMatchObject([
      {
        memberCount: 2,
        createdAt: '2024-03-01T06:00:00.000Z',
        lastMessage: { text: 'Geldim' },
        members: { edges: [{ node: { role: 'OWNER' } }, { node: { role: 'MEMBER', user: { name: 'Mehmet' } } }] },
      },
    ])
  })
})
