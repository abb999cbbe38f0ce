import { describe, expect, it } from 'vitest'
import { attempt } from '../support/attempt.ts'
import { type Person, person } from '../support/seed.ts'
import { useNodes } from '../support/start-nodes.ts'
import { withDatabase } from '../support/stored-rows.ts'

const ROOM = 'room { id kind name slug topic memberCount lastSeq archivedAt viewerMembership { role } }'

interface RoomResult {
  room: {
    id: string
    kind: string
    name: string
    slug: string | null
    topic: string | null
    memberCount: number
    lastSeq: number
    archivedAt: string | null
    viewerMembership: { role: string } | null
  }
}

describe('rooms', () => {
  const nodes = useNodes()
  const url = () => nodes().urls[0] ?? ''
  const newcomer = (name = 'Ada') => person(url(), name)
  const create = (who: Person, input: object) => attempt<RoomResult>(url(), who, 'createRoom', input, ROOM)
  const change = (who: Person, field: string, input: object) => attempt<RoomResult>(url(), who, field, input, ROOM)
  const refusal = async (who: Person, field: string, input: object) => {
    const { __typename, code } = await attempt(url(), who, field, input)
    return [__typename, code]
  }
  const look = async (who: Person, roomId: string) => {
    const query = 'query ($id: ID!) { room(id: $id) { name memberCount lastSeq viewerMembership { role } } }'
    return (await who.do<{ room: Partial<RoomResult['room']> | null }>(query, { id: roomId })).room
  }

  describe('createRoom', () => {
    it('makes a public room that its creator owns, with a slug made from its name', async () => {
      const { room } = await create(await newcomer(), { name: '  Çay Odası 2  ', topic: ' ' })
      expect(room).toMatchObject({
        kind: 'PUBLIC',
        name: 'Çay Odası 2',
        slug: 'cay-odasi-2',
        topic: null,
        memberCount: 1,
        lastSeq: 1,
        viewerMembership: { role: 'OWNER' },
      })
    })

    it('puts members in, once each, with an event for each of them', async () => {
      const [ada, bo, cy] = [await newcomer(), await newcomer('Bo'), await newcomer('Cy')]
      const memberIds = [bo.id, cy.id, bo.id, ada.id]
      const { room } = await create(ada, { name: 'Together', kind: 'PRIVATE', memberIds })
      expect(room).toMatchObject({ kind: 'PRIVATE', slug: null, memberCount: 3, lastSeq: 3 })
      expect(await look(bo, room?.id ?? '')).toMatchObject({ viewerMembership: { role: 'MEMBER' } })
    })

    it('puts in as many as are allowed, also in several rooms of the same people at once', async () => {
      const names = Array.from({ length: 51 }, (_, i) => `crowd-${i}`)
      const everyone = await Promise.all(names.map((name) => newcomer(name)))
      const creators = everyone.slice(0, 6)
      // In whatever order they are named: creations that lock the same users must not stand in each other's way.
      const made = await Promise.all(
        creators.map((who, i) => {
          const others = everyone.filter((one) => one !== who).map(({ id }) => id)
          return create(who, { name: `Crowd ${i}`, kind: 'PRIVATE', memberIds: i % 2 ? others : others.reverse() })
        }),
      )
      for (const { room } of made) expect(room).toMatchObject({ memberCount: 51, lastSeq: 51 })
      await withDatabase(nodes().databaseUrl, async (client) => {
        const ids = made.map(
          ({ room }) =>
            Buffer.from(room?.id ?? '', 'base64url')
              .toString()
              .split(':')[1],
        )
        const { rows } = await client.query(
          `SELECT count(*)::int AS gained, count(DISTINCT user_id)::int AS users FROM user_events
           WHERE type = 'RoomGained' AND payload->>'roomId' = ANY($1)`,
          [ids],
        )
        expect(rows).toEqual([{ gained: 6 * 51, users: 51 }])
      })
    })

    it('gives events times that follow their seqs, by one clock, whatever the last activity says', async () => {
      const [ada, bo] = [await newcomer(), await newcomer('Bo')]
      const { room } = await create(ada, { name: 'Times' })
      const id = Buffer.from(room?.id ?? '', 'base64url')
        .toString()
        .split(':')[1]
      await withDatabase(nodes().databaseUrl, async (client) => {
        // As if the clock had been set back since.
        await client.query(`UPDATE rooms SET last_activity_at = now() + interval '1 hour' WHERE id = $1`, [id])
        await bo.join(room?.id ?? '')
        await ada.send(room?.id ?? '', 'hello')
        const { rows } = await client.query(
          `SELECT last_activity_at > now() + interval '59 minutes' AS kept,
             (SELECT max(created_at) FROM room_events WHERE room_id = r.id) = last_activity_at AS follows
           FROM rooms r WHERE id = $1`,
          [id],
        )
        expect(rows).toEqual([{ kept: true, follows: true }])
      })
    })

    it('refuses a slug that is taken, and makes another where it was left to the server', async () => {
      const ada = await newcomer()
      expect((await create(ada, { name: 'One', slug: 'the-slug' })).room?.slug).toBe('the-slug')
      expect(await refusal(ada, 'createRoom', { name: 'Two', slug: 'the-slug' })).toEqual([
        'RefusedError',
        'SLUG_TAKEN',
      ])
      const { room } = await create(ada, { name: 'The Slug' })
      expect(room?.slug).toMatch(/^the-slug-[0-9a-f]{6}$/)
    })

    it('keeps made slugs within their limit, also of long names that are the same', async () => {
      const ada = await newcomer()
      const name = 'long '.repeat(16)
      const slugs = await Promise.all(['', '', ''].map(async () => (await create(ada, { name })).room?.slug ?? ''))
      expect(new Set(slugs).size).toBe(3)
      for (const slug of slugs) expect(slug).toMatch(/^(?=.{1,50}$)[a-z0-9]+(-[a-z0-9]+)*$/)
    })

    it('gives a slug to a name that has no Latin letters', async () => {
      const { room } = await create(await newcomer(), { name: '🍵' })
      expect(room?.slug).toMatch(/^[0-9a-f]{6}$/)
    })

    it('gives a slug to one of many who ask for it at once', async () => {
      const ada = await newcomer()
      const tries = await Promise.all(Array.from({ length: 8 }, () => create(ada, { name: 'Race', slug: 'race' })))
      expect(tries.map(({ code }) => code ?? 'created').sort()).toEqual([...Array(7).fill('SLUG_TAKEN'), 'created'])
    })

    it('opens one direct room for the same people, whoever opens it and however concurrently', async () => {
      const [ada, bo, cy] = [await newcomer(), await newcomer('Bo'), await newcomer('Cy')]
      const people = [ada, bo, cy]
      const opened = await Promise.all(
        Array.from({ length: 9 }, (_, i) => {
          const who = people[i % 3] ?? ada
          return create(who, { kind: 'DIRECT', memberIds: people.filter((one) => one !== who).map(({ id }) => id) })
        }),
      )
      expect(new Set(opened.map(({ room }) => room?.id)).size).toBe(1)
      expect(opened[0]?.room).toMatchObject({
        kind: 'DIRECT',
        slug: null,
        memberCount: 3,
        lastSeq: 3,
        viewerMembership: { role: 'MEMBER' },
      })
      const pair = await create(ada, { kind: 'DIRECT', memberIds: [bo.id] })
      expect(pair.room?.id).not.toBe(opened[0]?.room?.id)
    })

    it('refuses a direct room with oneself alone', async () => {
      const ada = await newcomer()
      for (const memberIds of [[], [ada.id]]) {
        const result = await create(ada, { kind: 'DIRECT', memberIds })
        expect(result).toMatchObject({ code: 'VALIDATION_FAILED', issues: [{ path: 'input.memberIds', limit: 1 }] })
      }
    })

    it('refuses what does not fit the kind, and names every field', async () => {
      const ada = await newcomer()
      const result = await create(ada, { kind: 'PRIVATE', slug: 'secret' })
      expect(result.issues?.map(({ path }) => path).sort()).toEqual(['input.name', 'input.slug'])
    })

    it('refuses members who do not exist', async () => {
      const stranger = Buffer.from('User:018f0000-0000-7000-8000-000000000000').toString('base64url')
      const input = { name: 'X', memberIds: [stranger] }
      expect(await refusal(await newcomer(), 'createRoom', input)).toEqual(['RefusedError', 'NOT_FOUND'])
    })
  })

  describe('updateRoom', () => {
    it('changes what is given and leaves the rest, and says so once in the log', async () => {
      const ada = await newcomer()
      const roomId = await ada.createRoom({ name: 'Before', topic: 'Tea', slug: 'before-update' })
      const renamed = await change(ada, 'updateRoom', { roomId, name: 'After' })
      expect(renamed.room).toMatchObject({ name: 'After', topic: 'Tea', slug: 'before-update', lastSeq: 2 })
      const again = await change(ada, 'updateRoom', { roomId, name: 'After' })
      expect(again.room).toMatchObject({ lastSeq: 2 })
      const cleared = await change(ada, 'updateRoom', { roomId, topic: null, slug: 'after-update' })
      expect(cleared.room).toMatchObject({ name: 'After', topic: null, slug: 'after-update', lastSeq: 3 })
    })

    it('is for owners and moderators, and tells others no more than they may know', async () => {
      const [ada, bo, cy] = [await newcomer(), await newcomer('Bo'), await newcomer('Cy')]
      const open = await ada.createRoom()
      await bo.join(open)
      const hidden = await ada.createRoom({ kind: 'PRIVATE', memberIds: [bo.id] })
      const name = 'Mine now'
      expect(await refusal(bo, 'updateRoom', { roomId: open, name })).toEqual(['RefusedError', 'FORBIDDEN'])
      expect(await refusal(cy, 'updateRoom', { roomId: open, name })).toEqual(['RefusedError', 'NOT_A_MEMBER'])
      expect(await refusal(cy, 'updateRoom', { roomId: hidden, name })).toEqual(['RefusedError', 'NOT_FOUND'])
    })

    it('refuses a slug that is taken, or that is not for this kind', async () => {
      const ada = await newcomer()
      await ada.createRoom({ slug: 'occupied' })
      const roomId = await ada.createRoom()
      const hidden = await ada.createRoom({ kind: 'PRIVATE' })
      expect(await refusal(ada, 'updateRoom', { roomId, slug: 'occupied' })).toEqual(['RefusedError', 'SLUG_TAKEN'])
      const { code } = await change(ada, 'updateRoom', { roomId: hidden, slug: 'mine' })
      expect(code).toBe('FORBIDDEN')
    })
  })

  describe('archiveRoom', () => {
    it('ends writing, joining and changing; reading goes on; again changes nothing', async () => {
      const [ada, bo] = [await newcomer(), await newcomer('Bo')]
      const roomId = await ada.createRoom()
      await ada.send(roomId, 'last words')
      const first = await change(ada, 'archiveRoom', { roomId })
      expect(first.room?.archivedAt).not.toBeNull()
      const again = await change(ada, 'archiveRoom', { roomId })
      expect(again.room).toEqual(first.room)
      for (const [who, field, input] of [
        [bo, 'joinRoom', { roomId }],
        [ada, 'sendMessage', { roomId, text: 'more' }],
        [ada, 'updateRoom', { roomId, name: 'New' }],
        [ada, 'addMember', { roomId, userId: bo.id }],
        [ada, 'setTyping', { roomId, typing: true }],
      ] as const) {
        expect([field, ...(await refusal(who, field, input))]).toEqual([field, 'RefusedError', 'ROOM_ARCHIVED'])
      }
      const query = 'query ($id: ID!) { room(id: $id) { messages { edges { node { text } } } } }'
      expect(await bo.do(query, { id: roomId })).toEqual({
        room: { messages: { edges: [{ node: { text: 'last words' } }] } },
      })
      await ada.leave(roomId)
    })

    it('is for owners and moderators', async () => {
      const [ada, bo] = [await newcomer(), await newcomer('Bo')]
      const roomId = await ada.createRoom()
      expect(await refusal(bo, 'archiveRoom', { roomId })).toEqual(['RefusedError', 'NOT_A_MEMBER'])
      await bo.join(roomId)
      expect(await refusal(bo, 'archiveRoom', { roomId })).toEqual(['RefusedError', 'FORBIDDEN'])
    })
  })

  it('direct rooms cannot be joined, left, changed, archived or added to', async () => {
    const [ada, bo, cy] = [await newcomer(), await newcomer('Bo'), await newcomer('Cy')]
    const roomId = await ada.createRoom({ kind: 'DIRECT', memberIds: [bo.id], name: undefined })
    for (const [field, input] of [
      ['leaveRoom', { roomId }],
      ['updateRoom', { roomId, name: 'New' }],
      ['archiveRoom', { roomId }],
      ['addMember', { roomId, userId: cy.id }],
    ] as const) {
      expect([field, ...(await refusal(ada, field, input))]).toEqual([field, 'RefusedError', 'DIRECT_ROOM'])
      expect([field, ...(await refusal(cy, field, input))]).toEqual([field, 'RefusedError', 'NOT_FOUND'])
    }
    expect(await refusal(cy, 'joinRoom', { roomId })).toEqual(['RefusedError', 'NOT_FOUND'])
  })

  describe('joinRoom and leaveRoom', () => {
    it('count everybody once, however often and however concurrently they come and go', async () => {
      const ada = await newcomer()
      const roomId = await ada.createRoom()
      const crowd = await Promise.all(Array.from({ length: 6 }, (_, i) => newcomer(`Crowd${i}`)))
      await Promise.all(crowd.flatMap((one) => [one.join(roomId), one.join(roomId), one.join(roomId)]))
      expect(await look(ada, roomId)).toMatchObject({ memberCount: 7, lastSeq: 7 })
      const leaving = crowd.slice(0, 3)
      const gone = await Promise.all(
        leaving.flatMap((one) => [refusal(one, 'leaveRoom', { roomId }), refusal(one, 'leaveRoom', { roomId })]),
      )
      expect(gone.filter(([type]) => type === 'LeaveRoomSuccess')).toHaveLength(3)
      expect(gone.filter(([, code]) => code === 'NOT_A_MEMBER')).toHaveLength(3)
      expect(await look(ada, roomId)).toMatchObject({ memberCount: 4, lastSeq: 10 })
    })

    it('answer with the room and its counts', async () => {
      const [ada, bo] = [await newcomer(), await newcomer('Bo')]
      const roomId = await ada.createRoom()
      const selection = 'room { memberCount presence { count } } membership { role user { name } joinedAt }'
      const joined = await attempt(url(), bo, 'joinRoom', { roomId }, selection)
      expect(joined).toMatchObject({
        room: { memberCount: 2, presence: { count: 0 } },
        membership: { role: 'MEMBER', user: { name: 'Bo' } },
      })
      expect(await attempt(url(), bo, 'joinRoom', { roomId }, selection)).toEqual(joined)
      expect(await attempt(url(), bo, 'leaveRoom', { roomId }, 'roomId')).toMatchObject({ roomId })
    })

    it('private rooms cannot be joined, only be added to', async () => {
      const [ada, bo, cy] = [await newcomer(), await newcomer('Bo'), await newcomer('Cy')]
      const roomId = await ada.createRoom({ kind: 'PRIVATE' })
      expect(await refusal(bo, 'joinRoom', { roomId })).toEqual(['RefusedError', 'NOT_FOUND'])
      expect(await refusal(bo, 'addMember', { roomId, userId: bo.id })).toEqual(['RefusedError', 'NOT_FOUND'])
      const selection = 'room { memberCount lastSeq } membership { role user { name } }'
      const added = await attempt(url(), ada, 'addMember', { roomId, userId: bo.id }, selection)
      expect(added).toMatchObject({
        room: { memberCount: 2, lastSeq: 2 },
        membership: { role: 'MEMBER', user: { name: 'Bo' } },
      })
      expect(await attempt(url(), ada, 'addMember', { roomId, userId: bo.id }, selection)).toEqual(added)
      expect(await refusal(bo, 'addMember', { roomId, userId: cy.id })).toEqual(['RefusedError', 'FORBIDDEN'])
      expect(await refusal(bo, 'joinRoom', { roomId })).toEqual(['JoinRoomSuccess', undefined])
      await bo.leave(roomId)
      expect(await look(bo, roomId)).toBeNull()
    })

    it('hand the room over when its last owner leaves, to whoever is there longest', async () => {
      const [ada, bo, cy] = [await newcomer(), await newcomer('Bo'), await newcomer('Cy')]
      const roomId = await ada.createRoom()
      await bo.join(roomId)
      await cy.join(roomId)
      await ada.leave(roomId)
      expect(await look(bo, roomId)).toMatchObject({ memberCount: 2, viewerMembership: { role: 'OWNER' }, lastSeq: 5 })
      await bo.leave(roomId)
      await cy.leave(roomId)
      expect(await look(ada, roomId)).toMatchObject({ memberCount: 0, viewerMembership: null })
      await ada.join(roomId)
      expect(await look(ada, roomId)).toMatchObject({ memberCount: 1, viewerMembership: { role: 'OWNER' } })
    })

    it('addMember refuses users who do not exist', async () => {
      const ada = await newcomer()
      const userId = Buffer.from('User:018f0000-0000-7000-8000-000000000000').toString('base64url')
      expect(await refusal(ada, 'addMember', { roomId: await ada.createRoom(), userId })).toEqual([
        'RefusedError',
        'NOT_FOUND',
      ])
    })
  })
})
