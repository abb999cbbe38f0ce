import { z } from 'zod'
import { globalIdOf } from '../graphql/global-id.ts'
import { textRule } from '../graphql/input.ts'

export const setTypingRule = z.object({ roomId: globalIdOf('Room'), typing: z.boolean() })

export const setPresenceRule = z.object({
  state: z.enum(['ONLINE', 'AWAY']),
  connectionId: textRule({ min: 1, max: 64, trim: false })
    .nullish()
    .transform((id) => id ?? null),
})
