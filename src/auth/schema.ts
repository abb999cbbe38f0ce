import { REFUSALS } from '../graphql/base-types.ts'
import { builder } from '../graphql/builder.ts'
import { requireViewer } from '../graphql/context.ts'
import { parseInput } from '../graphql/input.ts'
import type { Viewer } from '../platform/viewer.ts'
import { renewTokenRule, revokeTokensRule } from './input-rules.ts'
import type { Revocations } from './revocation-service.ts'
import type { Auth } from './service.ts'

declare module '../graphql/context.ts' {
  interface Services {
    readonly auth: Auth
    readonly revocations: Revocations
  }
}

const RenewTokenInput = builder.inputType('RenewTokenInput', {
  description: 'The token to go on with.',
  fields: (t) => ({ token: t.string({ required: true, description: 'A token of the same user, without `Bearer`.' }) }),
})

const RenewTokenSuccess = builder.objectRef<Viewer>('RenewTokenSuccess').implement({
  description: 'The connection goes on with the new token.',
  fields: (t) => ({
    expiresAt: t.expose('expiresAt', { type: 'DateTime', description: 'When the new token expires.' }),
  }),
})

builder.mutationField('renewToken', (t) =>
  t.field({
    type: RenewTokenSuccess,
    description:
      'Over WebSocket: the connection goes on with a fresh token of the same user, and its streams with it. A token that is refused changes nothing: the one before counts until it expires.',
    errors: { types: REFUSALS, union: { description: 'Until when the connection goes on, or why it does not.' } },
    args: { input: t.arg({ type: RenewTokenInput, required: true, description: 'The fresh token.' }) },
    resolve: (_root, { input }, context) => {
      requireViewer(context)
      return context.auth.renewToken(context.session, parseInput(renewTokenRule, input).token)
    },
  }),
)

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
