import { readFile } from 'node:fs/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { post } from '../support/graphql-over-http.ts'
import { person, stopAll } from '../support/seed.ts'
import { describeTopologies, startNodes, type TestNodes } from '../support/start-nodes.ts'
import { subscribe } from '../support/stream.ts'

const STATUS = `{ serverStatus { usersOnline activeRooms participants time
  database { state latencyMs } redis { state latencyMs } } }`

interface Status {
  serverStatus: {
    usersOnline: number
    activeRooms: number
    participants: number
    time: string
    database: { state: string; latencyMs: number | null }
    redis: { state: string; latencyMs: number | null }
  }
}

describe('serverInfo', () => {
  let nodes: TestNodes | null = null
  afterEach(() => nodes?.stop())

  it('tells name, version, capabilities and the limits as they are set, to anybody', async () => {
    nodes = await startNodes({
      settings: {
        MAX_MESSAGE_CHARACTERS: '123',
        MAX_BODY_BYTES: '150000',
        WS_MAX_PAYLOAD_BYTES: '80000',
        MAX_SUBSCRIPTIONS_PER_CONNECTION: '7',
        UPLOAD_MAX_BYTES: '5000',
        MAX_FILE_BYTES: '7000',
        UPLOAD_BYTES_PER_DAY: '9000000000',
        FILES_ALLOWED_TYPES: 'image/*,text/plain',
      },
    })
    const query = `{ serverInfo { name version capabilities limits {
      messageCharacters requestBytes webSocketMessageBytes subscriptionsPerConnection pageSize
      attachmentsPerMessage uploadBytes fileBytes fileBytesPerDay fileTypes unsentFiles } } }`
    const { data } = await post(nodes.urls[0] ?? '', query)
    const { version } = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8'))
    expect(data?.serverInfo).toEqual({
      name: 'Sohbet',
      version,
      capabilities: expect.arrayContaining([
        'rooms',
        'messages',
        'history',
        'presence',
        'resume',
        'subscriptions-sse',
        'uploads-tus',
      ]),
      limits: {
        messageCharacters: 123,
        requestBytes: 150_000,
        webSocketMessageBytes: 80_000,
        subscriptionsPerConnection: 7,
        pageSize: 100,
        attachmentsPerMessage: 10,
        uploadBytes: 5_000,
        fileBytes: 7_000,
        fileBytesPerDay: 9_000_000_000,
        fileTypes: ['image/*', 'text/plain'],
        unsentFiles: 100,
      },
    })
  })
})

// Guards: in the Redis of all other tests, a thousand subscribers came and went between two looks.
const OWN_REDIS_DATABASE = 5

describeTopologies(
  'serverStatus',
  (nodes) => {
    afterEach(stopAll)

    it('counts users online, active rooms and participants over all nodes, and tells what it needs is up', async () => {
      const [first = '', second = first] = nodes().urls
      const [ada, bo] = [await person(first, 'Ada'), await person(second, 'Bo')]
      const status = async () => (await ada.do<Status>(STATUS)).serverStatus
      // What is left of earlier nodes may still count: what is new is the difference.
      const before = await status()
      const rooms = [await ada.createRoom(), await ada.createRoom()]
      const watch = 'subscription ($roomId: ID!) { roomEvents(roomId: $roomId) { seq } }'
      const [ofAda, ofBo] = [ada.connect(first), bo.connect(second)]
      await Promise.all([
        subscribe(ofAda, watch, { roomId: rooms[0] }).next(),
        subscribe(ofAda, watch, { roomId: rooms[1] }).next(),
        subscribe(ofBo, watch, { roomId: rooms[1] }).next(),
      ])
      const now = await eventually(async () => {
        const seen = await status()
        expect({
          usersOnline: seen.usersOnline - before.usersOnline,
          activeRooms: seen.activeRooms - before.activeRooms,
          participants: seen.participants - before.participants,
        }).toEqual({ usersOnline: 2, activeRooms: 2, participants: 3 })
        return seen
      })
      expect(now.database).toEqual({ state: 'UP', latencyMs: expect.any(Number) })
      expect(now.redis.state).toBe(nodes().config.redisUrl === null ? 'NOT_USED' : 'UP')
      expect(Math.abs(Date.parse(now.time) - Date.now())).toBeLessThan(60_000)
    })
  },
  { redisDatabase: OWN_REDIS_DATABASE },
)
