import { randomUUID } from 'node:crypto'
import { type GraphQLInputType, getNamedType, isInputObjectType, isNonNullType } from 'graphql'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { encodeGlobalId } from '../../src/graphql/global-id.ts'
import { buildSchema } from '../../src/graphql/schema.ts'
import { attempt } from '../support/attempt.ts'
import { post } from '../support/graphql-over-http.ts'
import { openBrowser } from '../support/push-browser.ts'
import { type Person, person, stopAll } from '../support/seed.ts'
import { useNodes } from '../support/start-nodes.ts'
import { countRows } from '../support/stored-rows.ts'
import { subscribe, subscribeSse } from '../support/stream.ts'

const FAMILY = '👨‍👩‍👧‍👦'
const UNUSED = Buffer.from('Room:018f0000-0000-7000-8000-000000000000').toString('base64url')

describe('bad input', () => {
  const nodes = useNodes()
  const url = () => nodes().urls[0] ?? ''
  let ada: Person
  let bo: Person
  let roomId: string
  let hidden: string
  let archived: string
  let messageId: string
  let before: Record<string, number>

  beforeAll(async () => {
    ada = await person(url(), 'Ada')
    bo = await person(url(), 'Bo')
    roomId = await ada.createRoom()
    hidden = await ada.createRoom({ kind: 'PRIVATE' })
    archived = await ada.createRoom()
    messageId = (await ada.send(roomId, 'hello')).id
    await attempt(url(), ada, 'archiveRoom', { roomId: archived })
  })
  beforeEach(async () => {
    before = await countRows(nodes().databaseUrl)
  })
  afterEach(async () => {
    await stopAll()
    expect(await countRows(nodes().databaseUrl)).toEqual(before)
  })

  const expectIssues = async (field: string, input: object, issues: object[]) => {
    const result = await attempt(url(), ada, field, input)
    const shown = { code: result.code, issues: result.issues?.map(({ path, limit }) => ({ path, limit })) }
    expect([input, shown]).toEqual([input, { code: 'VALIDATION_FAILED', issues }])
  }

  describe('texts', () => {
    it('that are empty, or in which nothing can be seen', async () => {
      for (const text of ['', ' ', '\n\t \r', '\u00a0\u2003\u3000', '\u200b', '\u2060 \ufeff', '\u00ad', '\u{e0020}']) {
        await expectIssues('sendMessage', { roomId, text }, [{ path: 'input.text', limit: 1 }])
        await expectIssues('createRoom', { name: text }, [{ path: 'input.name', limit: 1 }])
        await expectIssues('updateRoom', { roomId, name: text }, [{ path: 'input.name', limit: 1 }])
        await expectIssues('updateProfile', { name: text }, [{ path: 'input.name', limit: 1 }])
      }
    })

    it('that are longer than their limit, counted in characters as people count them', async () => {
      for (const character of ['x', 'ş', '👍', 'e\u0301', FAMILY, '🇹🇷']) {
        await expectIssues('sendMessage', { roomId, text: character.repeat(4_001) }, [
          { path: 'input.text', limit: 4_000 },
        ])
        await expectIssues('createRoom', { name: character.repeat(81), topic: character.repeat(501) }, [
          { path: 'input.name', limit: 80 },
          { path: 'input.topic', limit: 500 },
        ])
      }
      const clientMessageId = 'x'.repeat(65)
      await expectIssues('sendMessage', { roomId, text: 'x', clientMessageId }, [
        { path: 'input.clientMessageId', limit: 64 },
      ])
      await expectIssues('sendMessage', { roomId, text: 'x', clientMessageId: '' }, [
        { path: 'input.clientMessageId', limit: 1 },
      ])
    })

    it('that are padded with marks to be far longer than they look', async () => {
      await expectIssues('sendMessage', { roomId, text: `a${'\u0301'.repeat(64_000)}` }, [
        { path: 'input.text', limit: 4_000 },
      ])
      await expectIssues('createRoom', { name: `a${'\u0301'.repeat(1_500)}` }, [{ path: 'input.name', limit: 80 }])
    })

    it('that are no slugs', async () => {
      for (const slug of ['', 'Upper', 'two words', '-a', 'a-', 'a--b', 'ça', '../up']) {
        await expectIssues('createRoom', { name: 'x', slug }, [{ path: 'input.slug', limit: null }])
        await expectIssues('updateRoom', { roomId, slug }, [{ path: 'input.slug', limit: null }])
      }
      await expectIssues('createRoom', { name: 'x', slug: 'x'.repeat(51) }, [{ path: 'input.slug', limit: 50 }])
    })

    it('that search for more than the limit', async () => {
      const query = 'query ($search: String) { rooms(search: $search) { edges { cursor } } }'
      const { errors } = await post(url(), query, { token: ada.token, variables: { search: 'x'.repeat(101) } })
      expect(errors[0]?.extensions).toMatchObject({
        code: 'VALIDATION_FAILED',
        issues: [{ path: 'search', limit: 100 }],
      })
    })
  })

  it('takes the longest text of the longest characters', async () => {
    const room = await ada.createRoom({ name: FAMILY.repeat(80), topic: FAMILY.repeat(500) })
    const text = FAMILY.repeat(4_000)
    const query = 'query ($id: ID!) { room(id: $id) { lastMessage { text } } }'
    await ada.send(room, ` ${text} `, { clientMessageId: 'ü'.repeat(64) })
    expect(await ada.do(query, { id: room })).toEqual({ room: { lastMessage: { text } } })
    before = await countRows(nodes().databaseUrl)
  })

  describe('every string of every input', () => {
    const schema = buildSchema()
    const mutations = Object.values(schema.getMutationType()?.getFields() ?? {})
    const webhookId = encodeGlobalId('Webhook', randomUUID())
    /** An input of each mutation that would change something. A new mutation needs one here. */
    const valid = (): Record<string, object> => ({
      createRoom: { name: 'Valid' },
      updateRoom: { roomId, name: 'Valid' },
      archiveRoom: { roomId },
      joinRoom: { roomId },
      leaveRoom: { roomId },
      addMember: { roomId, userId: bo.id },
      setMemberRole: { roomId, userId: bo.id, role: 'MODERATOR' },
      removeMember: { roomId, userId: bo.id },
      banMember: { roomId, userId: bo.id },
      unbanMember: { roomId, userId: bo.id },
      revokeTokens: { userId: bo.id },
      sendMessage: { roomId, text: 'Valid' },
      deleteMessage: { messageId: encodeGlobalId('Message', randomUUID()) },
      uploadFile: {},
      deleteAttachment: { attachmentId: encodeGlobalId('Attachment', randomUUID()) },
      setPresence: { state: 'AWAY' },
      setTyping: { roomId, typing: true },
      updateProfile: { name: 'Valid' },
      renewToken: { token: ada.token },
      markNotificationRead: { notificationId: encodeGlobalId('Notification', randomUUID()) },
      markNotificationsRead: { upTo: encodeGlobalId('Notification', randomUUID()) },
      markAllNotificationsRead: {},
      setRoomNotifications: { roomId, level: 'NONE' },
      updateNotificationSettings: { level: 'NONE' },
      retryDeadJobs: { jobIds: [randomUUID()] },
      subscribeToPush: openBrowser('https://push.example.com').input,
      unsubscribeFromPush: { endpoint: 'https://push.example.com/' },
      createWebhook: { url: 'https://example.com/' },
      updateWebhook: { webhookId },
      rotateWebhookSecret: { webhookId },
      deleteWebhook: { webhookId },
      pingWebhook: { webhookId },
      redeliverWebhook: { deliveryId: encodeGlobalId('WebhookDelivery', randomUUID()) },
    })
    const hostile = { NUL: 'a\u0000b', 'a lone surrogate': 'a\ud800b', 'a lone low surrogate': '\udc00' }

    it('of every mutation is tried here', () => {
      expect(Object.keys(valid()).sort()).toEqual(mutations.map(({ name }) => name).sort())
    })

    for (const { name, args } of mutations) {
      const inputType = getNamedType(args[0]?.type)
      const fields = isInputObjectType(inputType) ? Object.values(inputType.getFields()) : []
      for (const field of fields.filter(({ type }) => holdsText(type))) {
        for (const [what, value] of Object.entries(hostile)) {
          it(`${name} refuses ${what} in ${field.name}, by name`, async () => {
            const given = isList(field.type) ? [value] : value
            const { code, issues } = await attempt(url(), ada, name, { ...valid()[name], [field.name]: given })
            expect(code).toBe('VALIDATION_FAILED')
            expect(issues?.map(({ path }) => path.split('.').slice(0, 2).join('.'))).toEqual([`input.${field.name}`])
          })
        }
      }
    }

    for (const [what, value] of Object.entries(hostile)) {
      it(`queries refuse ${what}`, async () => {
        for (const [query, codes] of [
          ['query ($value: String!) { room(slug: $value) { name } }', ['VALIDATION_FAILED']],
          ['query ($value: String!) { rooms(search: $value) { edges { cursor } } }', ['VALIDATION_FAILED']],
          ['query ($value: ID!) { room(id: $value) { name } }', ['BAD_USER_INPUT']],
          ['query ($value: ID!) { node(id: $value) { id } }', ['BAD_USER_INPUT']],
        ] as const) {
          const { errors } = await post(url(), query, { token: ada.token, variables: { value } })
          expect([query, errors.map(({ extensions }) => extensions.code)]).toEqual([query, codes])
        }
      })
    }
  })

  describe('ids', () => {
    it('that are malformed, or of another type, are refused by name', async () => {
      for (const id of ['', 'x', ada.id, messageId, 'x'.repeat(500), UNUSED.slice(0, -2)]) {
        for (const [field, more] of [
          ['updateRoom', { name: 'x' }],
          ['archiveRoom', {}],
          ['joinRoom', {}],
          ['leaveRoom', {}],
          ['addMember', { userId: bo.id }],
          ['setMemberRole', { userId: bo.id, role: 'MEMBER' }],
          ['removeMember', { userId: bo.id }],
          ['banMember', { userId: bo.id }],
          ['unbanMember', { userId: bo.id }],
          ['sendMessage', { text: 'x' }],
          ['setTyping', { typing: true }],
        ] as const) {
          await expectIssues(field, { roomId: id, ...more }, [{ path: 'input.roomId', limit: null }])
        }
      }
      await expectIssues('addMember', { roomId, userId: roomId }, [{ path: 'input.userId', limit: null }])
      await expectIssues('sendMessage', { roomId, text: 'x', replyToId: roomId }, [
        { path: 'input.replyToId', limit: null },
      ])
      await expectIssues('createRoom', { name: 'x', memberIds: [bo.id, roomId, 'y'] }, [
        { path: 'input.memberIds.1', limit: null },
        { path: 'input.memberIds.2', limit: null },
      ])
    })

    it('that are too many are refused with the limit', async () => {
      const many = (count: number) => Array(count).fill(bo.id)
      await expectIssues('createRoom', { name: 'x', memberIds: many(51) }, [{ path: 'input.memberIds', limit: 50 }])
      await expectIssues('createRoom', { kind: 'DIRECT', memberIds: many(10) }, [{ path: 'input.memberIds', limit: 9 }])
    })

    it('of rooms that are not there, not the viewer’s, not joined or archived are refused with the reason', async () => {
      for (const [who, room, code] of [
        [bo, UNUSED, 'NOT_FOUND'],
        [bo, hidden, 'NOT_FOUND'],
        [bo, roomId, 'NOT_A_MEMBER'],
        [ada, archived, 'ROOM_ARCHIVED'],
      ] as const) {
        const seen = [
          await attempt(url(), who, 'sendMessage', { roomId: room, text: 'x' }),
          await attempt(url(), who, 'setTyping', { roomId: room, typing: true }),
        ]
        expect(seen).toMatchObject([
          { __typename: 'RefusedError', code },
          { __typename: 'RefusedError', code },
        ])
      }
    })
  })

  describe('values that are not of their type', () => {
    const codesOf = async (query: string, variables: object) =>
      (await post(url(), query, { token: ada.token, variables })).errors.map(({ extensions }) => extensions.code)

    it('an unknown enum value', async () => {
      const query = 'mutation ($input: CreateRoomInput!) { createRoom(input: $input) { __typename } }'
      expect(await codesOf(query, { input: { name: 'x', kind: 'SECRET' } })).toEqual(['BAD_USER_INPUT'])
      const literal = 'mutation { createRoom(input: { name: "x", kind: SECRET }) { __typename } }'
      expect(await codesOf(literal, {})).toEqual(['GRAPHQL_VALIDATION_FAILED'])
    })

    it('an unknown, a missing and a null field', async () => {
      const query = 'mutation ($input: SendMessageInput!) { sendMessage(input: $input) { __typename } }'
      for (const input of [{ roomId, text: 'x', colour: 'red' }, { roomId }, { roomId, text: null }, null, 'x', 7]) {
        expect([input, await codesOf(query, { input })]).toEqual([input, ['BAD_USER_INPUT']])
      }
    })

    it('numbers that are no 32-bit integers', async () => {
      const query = 'query ($id: ID!, $n: Int) { room(id: $id) { messages(first: $n) { edges { cursor } } } }'
      for (const n of [2_147_483_648, -2_147_483_649, 1.5, '1', 1e300, true]) {
        expect([n, await codesOf(query, { id: roomId, n })]).toEqual([n, ['BAD_USER_INPUT']])
      }
    })

    it('how many present users to show', async () => {
      const query = 'query ($id: ID!, $n: Int!) { room(id: $id) { presence { users(first: $n) { state } } } }'
      for (const n of [-1, 101, 2_147_483_647]) {
        const { errors } = await post(url(), query, { token: ada.token, variables: { id: roomId, n } })
        expect([n, errors[0]?.extensions]).toEqual([
          n,
          expect.objectContaining({ code: 'BAD_USER_INPUT', field: 'first', limit: 100 }),
        ])
      }
    })
  })

  describe('subscriptions are refused before they open, over WebSocket and server-sent events alike', () => {
    const documents = {
      roomEvents: 'subscription ($roomId: ID!, $after: Int) { roomEvents(roomId: $roomId, after: $after) { seq } }',
      messageAdded: 'subscription ($roomId: ID!, $after: Int) { messageAdded(roomId: $roomId, after: $after) { seq } }',
      roomPresence: 'subscription ($roomId: ID!) { roomPresence(roomId: $roomId) { __typename } }',
      viewerEvents: 'subscription ($after: Int) { viewerEvents(after: $after) { seq } }',
    }
    const both = async (query: string, variables: Record<string, unknown>) => {
      const streams = [subscribe(bo.connect(), query, variables), subscribeSse(url(), bo.token, query, variables)]
      return Promise.all(
        streams.map(async (stream) => {
          const { errors } = await stream.next()
          expect(await stream.ended()).toBeNull()
          return errors?.[0]?.extensions
        }),
      )
    }

    for (const [field, query] of Object.entries(documents)) {
      if (query.includes('roomId')) {
        it(`${field}: ids of nothing, of another type and of rooms that are not the viewer’s`, async () => {
          for (const id of ['', 'x', messageId, '\u0000', '\ud800']) {
            const refused = expect.objectContaining({ code: 'BAD_USER_INPUT', field: 'roomId' })
            expect([id, await both(query, { roomId: id })]).toEqual([id, [refused, refused]])
          }
          for (const id of [UNUSED, hidden]) {
            const refused = expect.objectContaining({ code: 'NOT_FOUND' })
            expect([id, await both(query, { roomId: id })]).toEqual([id, [refused, refused]])
          }
        })
      }
      if (query.includes('after')) {
        it(`${field}: an \`after\` that is no seq`, async () => {
          const negative = expect.objectContaining({ code: 'BAD_USER_INPUT', field: 'after', limit: 0 })
          expect(await both(query, { roomId, after: -1 })).toEqual([negative, negative])
          const overflow = expect.objectContaining({ code: 'BAD_USER_INPUT' })
          expect(await both(query, { roomId, after: 2_147_483_648 })).toEqual([overflow, overflow])
        })
      }
    }
  })
})

function holdsText(type: GraphQLInputType): boolean {
  return ['String', 'ID'].includes(getNamedType(type).name)
}

function isList(type: GraphQLInputType): boolean {
  return (isNonNullType(type) ? type.ofType : type).toString().startsWith('[')
}
