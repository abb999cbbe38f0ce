// Whatever happens at once: a room keeps an owner, a membership ends once, and nobody is both a member and banned.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeGlobalId } from '../../src/graphql/global-id.ts'
import { attempt } from '../support/attempt.ts'
import { type Person, person } from '../support/seed.ts'
import { useNodes } from '../support/start-nodes.ts'
import { withDatabase } from '../support/stored-rows.ts'

describe('at once', () => {
  // Two nodes: what keeps the order is the database, and nothing in a process.
  const nodes = useNodes({ nodes: 2 })
  const url = (node: number) => nodes().urls[node % 2] ?? ''
  const act = async (node: number, who: Person, field: string, input: object) => {
    const { __typename, code } = await attempt(url(node), who, field, input)
    return code ?? __typename
  }
  const people = (...names: string[]) => Promise.all(names.map((name, i) => person(url(i), name)))
  const look = (roomId: string) =>
    withDatabase(nodes().databaseUrl, async (client) => {
      const { rows } = await client.query<{
        lastSeq: number
        counted: boolean
        owners: number
        members: string[]
        banned: string[]
        events: { type: string; userId: string; seq: number; reason: string | null }[]
      }>(
        `SELECT r.last_seq AS "lastSeq", r.member_count = (SELECT count(*) FROM memberships WHERE room_id = r.id) AS counted,
           (SELECT count(*)::int FROM memberships WHERE room_id = r.id AND role = 'OWNER') AS owners,
           ARRAY(SELECT user_id::text FROM memberships WHERE room_id = r.id) AS members,
           ARRAY(SELECT user_id::text FROM bans WHERE room_id = r.id) AS banned,
           (SELECT json_agg(json_build_object('type', type, 'userId', user_id, 'seq', seq, 'reason', payload->>'reason')
             ORDER BY seq) FROM room_events WHERE room_id = r.id) AS events
         FROM rooms r WHERE id = $1`,
        [decodeGlobalId(roomId).id],
      )
      if (!rows[0]) throw new Error('there is no such room')
      return rows[0]
    })

  it('two owners who demote each other leave one', async () => {
    for (let round = 0; round < 10; round++) {
      const [ada, bo] = (await people('Ada', 'Bo')) as [Person, Person]
      const roomId = await ada.createRoom({ memberIds: [bo.id] })
      await act(0, ada, 'setMemberRole', { roomId, userId: bo.id, role: 'OWNER' })
      const outcomes = await Promise.all([
        act(0, ada, 'setMemberRole', { roomId, userId: bo.id, role: 'MEMBER' }),
        act(1, bo, 'setMemberRole', { roomId, userId: ada.id, role: 'MEMBER' }),
      ])
      expect(outcomes.sort()).toEqual(['FORBIDDEN', 'SetMemberRoleSuccess'])
      expect((await look(roomId)).owners).toBe(1)
    }
  })

  it('two owners who step down leave one', async () => {
    for (let round = 0; round < 10; round++) {
      const [ada, bo] = (await people('Ada', 'Bo')) as [Person, Person]
      const roomId = await ada.createRoom({ memberIds: [bo.id] })
      await act(0, ada, 'setMemberRole', { roomId, userId: bo.id, role: 'OWNER' })
      const stepDown = (node: number, who: Person) =>
        act(node, who, 'setMemberRole', { roomId, userId: who.id, role: 'MEMBER' })
      expect((await Promise.all([stepDown(0, ada), stepDown(1, bo)])).sort()).toEqual([
        'LAST_OWNER',
        'SetMemberRoleSuccess',
      ])
      expect((await look(roomId)).owners).toBe(1)
    }
  })

  it('removal, leaving and a ban end a membership once', async () => {
    for (let round = 0; round < 10; round++) {
      const [ada, mod, bo] = (await people('Ada', 'Mod', 'Bo')) as [Person, Person, Person]
      const roomId = await ada.createRoom({ memberIds: [mod.id, bo.id] })
      await act(0, ada, 'setMemberRole', { roomId, userId: mod.id, role: 'MODERATOR' })
      const input = { roomId, userId: bo.id }
      await Promise.all([
        act(round, ada, 'removeMember', input),
        act(round + 1, bo, 'leaveRoom', { roomId }),
        act(round, mod, 'banMember', input),
        act(round + 1, ada, 'banMember', input),
      ])
      const { events, members, banned, counted } = await look(roomId)
      expect(events.filter(({ type }) => type === 'MemberLeft')).toHaveLength(1)
      expect(events.filter(({ type }) => type === 'MemberBanned')).toHaveLength(1)
      expect([members.length, banned, counted]).toEqual([2, [decodeGlobalId(bo.id).id], true])
    }
  })

  it('whatever members do to each other, and in whatever order it comes, the room stays in order', async () => {
    const doing = fc.record({
      who: fc.nat(3),
      whom: fc.nat(3),
      what: fc.constantFrom('join', 'leave', 'add', 'remove', 'ban', 'unban', 'promote', 'moderate', 'demote'),
    })
    const story = fc.array(fc.array(doing, { minLength: 2, maxLength: 6 }), { minLength: 1, maxLength: 4 })
    const everyone = (await people('Ada', 'Bo', 'Cy', 'Dee')) as [Person, Person, Person, Person]
    const roles = { promote: 'OWNER', moderate: 'MODERATOR', demote: 'MEMBER' } as const
    const fields = { add: 'addMember', remove: 'removeMember', ban: 'banMember', unban: 'unbanMember' } as const
    await fc.assert(
      fc.asyncProperty(story, async (rounds) => {
        const [ada] = everyone
        const roomId = await ada.createRoom({ memberIds: everyone.map(({ id }) => id) })
        const perform = ({ who, whom, what }: (typeof rounds)[number][number], i: number) => {
          const [actor, userId] = [everyone[who] ?? ada, (everyone[whom] ?? ada).id]
          if (what === 'join' || what === 'leave') return act(i, actor, `${what}Room`, { roomId })
          if (what === 'promote' || what === 'moderate' || what === 'demote') {
            return act(i, actor, 'setMemberRole', { roomId, userId, role: roles[what] })
          }
          return act(i, actor, fields[what], { roomId, userId })
        }
        for (const round of rounds) {
          await Promise.all(round.map(perform))
          const { events, members, banned, counted, owners, lastSeq } = await look(roomId)
          expect(members.filter((id) => banned.includes(id))).toEqual([])
          expect(members.length === 0 || owners > 0).toBe(true)
          expect(counted).toBe(true)
          expect(events.map(({ seq }) => seq)).toEqual(Array.from({ length: lastSeq }, (_, i) => i + 1))
          expect(replay(events)).toEqual({ members: new Set(members), banned: new Set(banned) })
        }
      }),
      { numRuns: 15 },
    )
  })
})

/** Who belongs to a room and who is banned, by its log alone. Nobody joins twice, leaves twice, or leaves without a word. */
function replay(events: readonly { type: string; userId: string; reason: string | null }[]) {
  const [members, banned] = [new Set<string>(), new Set<string>()]
  for (const [i, { type, userId, reason }] of events.entries()) {
    if (type === 'MemberJoined') {
      expect([members.has(userId), banned.has(userId)]).toEqual([false, false])
      members.add(userId)
    }
    if (type === 'MemberLeft') {
      expect(members.delete(userId)).toBe(true)
      if (reason === 'BANNED') expect(events[i + 1]).toMatchObject({ type: 'MemberBanned', userId })
    }
    if (type === 'MemberBanned') {
      expect(members.has(userId)).toBe(false)
      banned.add(userId)
    }
    if (type === 'MemberUnbanned') expect(banned.delete(userId)).toBe(true)
  }
  return { members, banned }
}
