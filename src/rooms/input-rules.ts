import { z } from 'zod'
import { globalIdOf } from '../graphql/global-id.ts'
import { textRule } from '../graphql/input.ts'
import { MAX_ROOM_NAME_CHARACTERS, MAX_SLUG_LENGTH } from './limits.ts'

export const MAX_TOPIC_CHARACTERS = 500
export const MAX_SEARCH_CHARACTERS = 100
export const MAX_INITIAL_MEMBERS = 50
export const MAX_DIRECT_OTHERS = 9

const name = textRule({ min: 1, max: MAX_ROOM_NAME_CHARACTERS })
const topic = textRule({ max: MAX_TOPIC_CHARACTERS })
  .nullish()
  .transform((text) => (text === '' ? null : text))
const slug = z
  .string()
  .max(MAX_SLUG_LENGTH, { error: `is longer than ${MAX_SLUG_LENGTH} characters` })
  .regex(/^[a-z0-9]+(-[a-z0-9]+)*$/, { error: 'may hold only a-z, 0-9 and single hyphens between them' })

export const roomIdRule = globalIdOf('Room')

export const createRoomRule = z
  .object({
    kind: z.enum(['PUBLIC', 'PRIVATE', 'DIRECT']),
    name: name.nullish(),
    slug: slug.nullish(),
    topic,
    memberIds: z.array(globalIdOf('User')).max(MAX_INITIAL_MEMBERS, {
      error: `holds more than ${MAX_INITIAL_MEMBERS} users`,
    }),
  })
  .check((ctx) => {
    const { kind, name, slug, memberIds } = ctx.value
    const refuse = (path: string, message: string, limit?: number) =>
      ctx.issues.push({ code: 'custom', input: ctx.value, path: [path], message, params: { limit } })
    if (kind !== 'DIRECT' && !name) refuse('name', 'is missing', 1)
    if (kind !== 'PUBLIC' && slug) refuse('slug', 'is for public rooms only')
    if (kind === 'DIRECT' && memberIds.length === 0) refuse('memberIds', 'needs at least one other user', 1)
    if (kind === 'DIRECT' && memberIds.length > MAX_DIRECT_OTHERS) {
      refuse('memberIds', `holds more than ${MAX_DIRECT_OTHERS} other users`, MAX_DIRECT_OTHERS)
    }
  })
  .transform(({ name, slug, topic, ...rest }) => ({
    ...rest,
    name: name ?? null,
    slug: slug ?? null,
    topic: topic ?? null,
  }))

export const updateRoomRule = z
  .object({
    roomId: roomIdRule,
    // Name and slug cannot be removed: null leaves them as they are.
    name: name.nullish().transform((text) => text ?? undefined),
    slug: slug.nullish().transform((text) => text ?? undefined),
    topic,
  })
  .transform(({ roomId, ...change }) => ({ roomId, change }))

export const roomOnlyRule = z.object({ roomId: roomIdRule })

export const searchRule = textRule({ max: MAX_SEARCH_CHARACTERS })

export const MAX_BAN_REASON_CHARACTERS = 500

export const setMemberRoleRule = z.object({
  roomId: roomIdRule,
  userId: globalIdOf('User'),
  role: z.enum(['OWNER', 'MODERATOR', 'MEMBER']),
})
export const memberRule = z.object({ roomId: roomIdRule, userId: globalIdOf('User') })
export const banMemberRule = z
  .object({
    roomId: roomIdRule,
    userId: globalIdOf('User'),
    reason: textRule({ max: MAX_BAN_REASON_CHARACTERS }).nullish(),
    // Later years are written with more digits than the database reads.
    endsAt: z.date().max(new Date('9999-12-31T23:59:59.999Z'), { error: 'is later than the year 9999' }).nullish(),
  })
  .transform(({ roomId, userId, reason, endsAt }) => ({
    roomId,
    userId,
    terms: { reason: reason || null, endsAt: endsAt ?? null },
  }))
