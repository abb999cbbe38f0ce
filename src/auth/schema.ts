import { REFUSALS } from '../graphql/base-types.ts'
import { builder } from '../graphql/builder.ts'
import { requireViewer } from '../graphql/context.ts'
import { parseInput } from '../graphql/input.ts'
import { revokeTokensRule } from './input-rules.ts'
import type { Revocations } from './revocation-service.ts'

declare module '../graphql/context.ts' {
  interface Services {
    readonly revocations: Revocations
  }
}

const RevokeTokensInput = builder.inputType('RevokeTokensInput', {
  description: 'Whose tokens to revoke.',
  fields: (t) => ({ userId: t.id({ required: true, description: 'The user.' }) }),
})

const RevokeTokensSuccess = builder.objectRef<{ validFrom: Date }>('RevokeTokensSuccess').implement({
  description: 'The tokens that the user had count no more.',
  fields: (t) => ({
    validFrom: t.expose('validFrom', {
      type: 'DateTime',
      description:
        'Tokens issued before this, and those without `iat`, are refused. It is the start of the next second, for tokens name the second of their issue only.',
    }),
  }),
})

builder.mutationField('revokeTokens', (t) =>
  t.field({
    type: RevokeTokensSuccess,
    description:
      'Revokes all tokens of a user that were issued before now, on all nodes. For operators: tokens with `sohbet:operator` in their `scope` claim. The user’s own log gets TokensRevoked. To keep somebody out, have no fresh token signed for them, too.',
    errors: { types: REFUSALS, union: { description: 'From when on tokens count, or why it was refused.' } },
    args: { input: t.arg({ type: RevokeTokensInput, required: true, description: 'Whose.' }) },
    resolve: async (_root, { input }, context) => {
      const viewer = requireViewer(context)
      const { userId } = parseInput(revokeTokensRule, input)
      return { validFrom: await context.revocations.revokeTokens(viewer, userId) }
    },
  }),
)
