import { REFUSALS } from '../graphql/base-types.ts'
import { builder } from '../graphql/builder.ts'
import { requireViewer } from '../graphql/context.ts'
import { parseInput } from '../graphql/input.ts'
import type { Viewer } from '../platform/viewer.ts'
import { renewTokenRule } from './input-rules.ts'
import type { Auth } from './service.ts'

declare module '../graphql/context.ts' {
  interface Services {
    readonly auth: Auth
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
