import { z } from 'zod'
import { globalIdOf } from '../graphql/global-id.ts'

export const revokeTokensRule = z.object({ userId: globalIdOf('User') })
