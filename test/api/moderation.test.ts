// What members may do to members: roles and removal, what each rank may, and what the logs say of it.

import { describe, expect, it } from 'vitest'
import { attempt } from '../support/attempt.ts'
import { type Person, person } from '../support/seed.ts'
import { useNodes } from '../support/start-nodes.ts'
import { withDatabase } from '../support/stored-rows.ts'
import { subscribeSse } from '../support/stream.ts'

const LOG = `subscription ($id: ID!) { roomEvents(roomId: $id, after: 0) {
  __typename seq
  ... on MemberLeft { user { name } actor { name } reason }
  ... on MemberRoleChanged { user { name } actor { name } role }
} }`
const OWN_LOG = 'subscription { viewerEvents(after: 0) { __typename ... on RoomLost { roomId reason banReason } } }'

type Role = 'OWNER' | 'MODERATOR' | 'MEMBER'

describe('moderation', () => {
  const nodes = useNodes()
  const url = () => nodes().urls[0] ?? ''
  const people = (...names: string[]) => Promise.all(names.map((name) => person(url(), name)))
  const setRole = (who: Person, roomId: string, whom: Person, role: Role) =>
    attempt<{ membership: { role: Role } }>(
      url(),
      who,
      'setMemberRole',
      { roomId, userId: whom.id, role },
      'membership { role user { name } } room { lastSeq }',
    )
  const remove = (who: Person, roomId: string, whom: Pick<Person, 'id'>) =>
    attempt<{ room: { memberCount: number; lastSeq: number } }>(
      url(),
      who,
      'removeMember',
      { roomId, userId: whom.id },
      'room { memberCount lastSeq }',
    )
  const ban = (who: Person, roomId: string, whom: Pick<Person, 'id'>) =>
    attempt(url(), who, 'banMember', { roomId, userId: whom.id })
  const unban = (who: Person, roomId: string, whom: Pick<Person, 'id'>) =>
    attempt(url(), who, 'unbanMember', { roomId, userId: whom.id })
  const codeOf = async (attempted: Promise<{ __typename: string; code?: string }>) => {
    const { __typename, code } = await attempted
    return code ?? __typename
  }
  const logOf = async (who: Person, roomId: string) => {
    const stream = subscribeSse(url(), who.token, LOG, { id: roomId })
    const items = await stream.takeUntil(
      ({ data }) => (data?.roomEvents as Item | undefined)?.__typename === 'CaughtUp',
    )
    stream.stop()
    return items.slice(0, -1).map(({ data }) => data?.roomEvents as Item)
  }
  /** A room with one of each rank, and two members. */
  const staffed = async (kind: 'PUBLIC' | 'PRIVATE' = 'PUBLIC') => {
    const [owner, mod, mia, max] = (await people('Owner', 'Mod', 'Mia', 'Max')) as [Person, Person, Person, Person]
    const roomId = await owner.createRoom({ kind, memberIds: [mod.id, mia.id, max.id] })
    await setRole(owner, roomId, mod, 'MODERATOR')
    return { owner, mod, mia, max, roomId }
  }
  const stranger = { id: Buffer.from('User:018f0000-0000-7000-8000-000000000000').toString('base64url') }

  interface Item {
    __typename: string
    seq: number
  }

  describe('setMemberRole', () => {
    it('changes what a member may do, once, and says so in the log', async () => {
      const { owner, mod, mia, roomId } = await staffed()
      expect(await setRole(owner, roomId, mia, 'MODERATOR')).toMatchObject({
        membership: { role: 'MODERATOR', user: { name: 'Mia' } },
        room: { lastSeq: 6 },
      })
      expect(await setRole(owner, roomId, mia, 'MODERATOR')).toMatchObject({ room: { lastSeq: 6 } })
      expect((await logOf(mod, roomId)).at(-1)).toEqual({
        __typename: 'MemberRoleChanged',
        seq: 6,
        user: { name: 'Mia' },
        actor: { name: 'Owner' },
        role: 'MODERATOR',
      })
      await mia.do(
        'mutation ($id: ID!) { updateRoom(input: { roomId: $id, topic: "mine" }) { ... on UpdateRoomSuccess { room { topic } } } }',
        { id: roomId },
      )
      expect((await logOf(owner, roomId)).at(-1)?.__typename).toBe('RoomUpdated')
    })

    it('is for owners, and tells strangers of a private room nothing', async () => {
      const { owner, mod, mia, max, roomId } = await staffed('PRIVATE')
      const [eve] = (await people('Eve')) as [Person]
      expect(await codeOf(setRole(mod, roomId, mia, 'MODERATOR'))).toBe('FORBIDDEN')
      expect(await codeOf(setRole(mia, roomId, mia, 'OWNER'))).toBe('FORBIDDEN')
      expect(await codeOf(setRole(eve, roomId, eve, 'OWNER'))).toBe('NOT_FOUND')
      expect(await codeOf(setRole(owner, roomId, eve, 'MEMBER'))).toBe('NOT_FOUND')
      const open = await owner.createRoom()
      expect(await codeOf(setRole(max, open, max, 'OWNER'))).toBe('NOT_A_MEMBER')
    })

    it('leaves a room its last owner, but lets owners make and unmake each other', async () => {
      const { owner, mia, roomId } = await staffed()
      expect(await codeOf(setRole(owner, roomId, owner, 'MEMBER'))).toBe('LAST_OWNER')
      expect(await codeOf(setRole(owner, roomId, owner, 'OWNER'))).toBe('SetMemberRoleSuccess')
      await setRole(owner, roomId, mia, 'OWNER')
      expect(await setRole(mia, roomId, owner, 'MEMBER')).toMatchObject({ membership: { role: 'MEMBER' } })
      expect(await codeOf(setRole(mia, roomId, mia, 'MODERATOR'))).toBe('LAST_OWNER')
    })
  })

  describe('removeMember', () => {
    it('ends a membership, says why in both logs, and lets the user come back', async () => {
      const { owner, mia, roomId } = await staffed()
      expect(await remove(owner, roomId, mia)).toMatchObject({ room: { memberCount: 3, lastSeq: 6 } })
      expect((await logOf(owner, roomId)).at(-1)).toEqual({
        __typename: 'MemberLeft',
        seq: 6,
        user: { name: 'Mia' },
        actor: { name: 'Owner' },
        reason: 'REMOVED',
      })
      const own = subscribeSse(url(), mia.token, OWN_LOG)
      // Perhaps they were told in time that they had been put into the room.
      let lost = await own.next()
      while (!JSON.stringify(lost).includes('RoomLost')) lost = await own.next()
      expect(lost.data?.viewerEvents).toEqual({ __typename: 'RoomLost', roomId, reason: 'REMOVED', banReason: null })
      own.stop()
      expect(await codeOf(attempt(url(), mia, 'sendMessage', { roomId, text: 'x' }))).toBe('NOT_A_MEMBER')
      await mia.join(roomId)
    })

    it('changes nothing where there is no such member', async () => {
      const { owner, mia, roomId } = await staffed()
      await remove(owner, roomId, mia)
      expect(await remove(owner, roomId, mia)).toMatchObject({ room: { memberCount: 3, lastSeq: 6 } })
      expect(await codeOf(remove(owner, roomId, stranger))).toBe('NOT_FOUND')
    })

    it('takes a private room away', async () => {
      const { mod, mia, roomId } = await staffed('PRIVATE')
      await remove(mod, roomId, mia)
      expect(await mia.do('query ($id: ID!) { room(id: $id) { name } }', { id: roomId })).toEqual({ room: null })
    })
  })

  it.each([
    ['removeMember', remove],
    ['banMember', ban],
  ])('%s is for those above: owners everybody but owners, moderators members, nobody themself', async (_name, act) => {
    const { owner, mod, mia, max, roomId } = await staffed()
    const [second, other, eve] = (await people('Second', 'Other', 'Eve')) as [Person, Person, Person]
    for (const who of [second, other]) await who.join(roomId)
    await setRole(owner, roomId, second, 'OWNER')
    await setRole(owner, roomId, other, 'MODERATOR')
    const refused: [Person, Person][] = [
      ...([
        [owner, second],
        [owner, owner],
        [mod, owner],
      ] as [Person, Person][]),
      ...([
        [mod, other],
        [mod, mod],
        [mia, max],
        [mia, mia],
        [mia, owner],
      ] as [Person, Person][]),
    ]
    for (const [who, whom] of refused) {
      expect([who.name, whom.name, await codeOf(act(who, roomId, whom))]).toEqual([who.name, whom.name, 'FORBIDDEN'])
    }
    expect(await codeOf(act(eve, roomId, mia))).toBe('NOT_A_MEMBER')
    expect((await logOf(owner, roomId)).map(({ __typename }) => __typename)).not.toContain('MemberLeft')
    expect(await codeOf(act(mod, roomId, mia))).toMatch(/Success$/)
    expect(await codeOf(act(owner, roomId, mod))).toMatch(/Success$/)
    expect((await logOf(owner, roomId)).filter(({ __typename }) => __typename === 'MemberLeft')).toHaveLength(2)
  })

  it('is not for direct rooms', async () => {
    const [ada, bo] = (await people('Ada', 'Bo')) as [Person, Person]
    const roomId = await ada.createRoom({ kind: 'DIRECT', name: null, memberIds: [bo.id] })
    expect(await codeOf(setRole(ada, roomId, bo, 'MODERATOR'))).toBe('DIRECT_ROOM')
    for (const act of [remove, ban, unban]) expect(await codeOf(act(ada, roomId, bo))).toBe('DIRECT_ROOM')
  })

  it('says the same of who went before there were reasons', async () => {
    const { owner, mia, roomId } = await staffed()
    await mia.leave(roomId)
    await withDatabase(nodes().databaseUrl, async (client) => {
      await client.query(`UPDATE room_events SET payload = '{}' WHERE type = 'MemberLeft'`)
      await client.query(`UPDATE user_events SET payload = payload - 'reason' WHERE type = 'RoomLost'`)
    })
    expect((await logOf(owner, roomId)).at(-1)).toMatchObject({ __typename: 'MemberLeft', reason: 'LEFT' })
    const own = subscribeSse(url(), mia.token, OWN_LOG)
    const [, lost] = await own.take(2)
    expect(lost?.data?.viewerEvents).toMatchObject({ __typename: 'RoomLost', roomId, reason: 'LEFT' })
    own.stop()
  })

  it('says of who goes by themself that they left', async () => {
    const { owner, mia, roomId } = await staffed()
    await mia.leave(roomId)
    expect((await logOf(owner, roomId)).at(-1)).toMatchObject({ __typename: 'MemberLeft', reason: 'LEFT' })
  })
})
