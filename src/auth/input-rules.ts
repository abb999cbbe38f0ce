import { z } from 'zod'
import { globalIdOf } from '../graphql/global-id.ts'
import { MAX_TOKEN_BYTES } from './token-verifier.ts'

export const renewTokenRule = z.object({
  token: z
    .string()
    .max(MAX_TOKEN_BYTES, { error: `is longer than ${MAX_TOKEN_BYTES} bytes` })
    .regex(/^[\w-]+\.[\w-]+\.[\w-]+$/, { error: 'is not a JWT' }),
})

export const revokeTokensRule = z.object({ userId: globalIdOf('User') })
