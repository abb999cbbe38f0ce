import { REFUSALS } from '../graphql/base-types.ts'
import { builder } from '../graphql/builder.ts'
import { requireViewer } from '../graphql/context.ts'
import { parseInput } from '../graphql/input.ts'
import { subjectRule, updateProfileRule } from './input-rules.ts'
import type { Users } from './service.ts'
import { MAX_NAME_CHARACTERS, type UserRecord } from './user-record.ts'

declare module '../graphql/context.ts' {
  interface Services {
    readonly users: Users
  }
}

export const UserType = builder.objectRef<UserRecord>('User')

builder.node(UserType, {
  description: 'A person, known by the `sub` claim of their token and created when they are first seen.',
  id: { resolve: (user) => user.id },
  loadMany: async (ids: string[], context) => {
    requireViewer(context)
    const users = new Map((await context.users.listUsers(ids)).map((user) => [user.id, user]))
    return ids.map((id) => users.get(id) ?? null)
  },
  fields: (t) => ({
    name: t.exposeString('name', { description: 'The name to show.' }),
    avatarUrl: t.exposeString('avatarUrl', {
      nullable: true,
      description: 'Where a picture of them is, http or https.',
    }),
    statusText: t.exposeString('statusText', { nullable: true, description: 'What they say of themselves just now.' }),
    lastSeenAt: t.expose('lastSeenAt', {
      type: 'DateTime',
      nullable: true,
      description:
        'When they last connected or disconnected, as of when the server read the user: beside a message of a live event, when the message was sent. Up to 30 seconds late where their server was killed.',
    }),
  }),
})

builder.queryField('viewer', (t) =>
  t.field({
    type: UserType,
    nullable: true,
    description: 'The signed-in user; null without a token.',
    resolve: (_root, _args, { viewer, users }) => (viewer ? users.findUser(viewer.userId) : null),
  }),
)

builder.queryField('user', (t) =>
  t.field({
    type: UserType,
    nullable: true,
    description:
      'The user with this `sub`, as your backend knows them; null where they have never signed in. To open a direct room with them, say.',
    args: { subject: t.arg.string({ required: true, description: 'The `sub` claim of their tokens, exactly.' }) },
    resolve: (_root, { subject }, context) => {
      requireViewer(context)
      return context.users.findUserBySubject(parseInput(subjectRule, subject, 'subject'))
    },
  }),
)

const UpdateProfileInput = builder.inputType('UpdateProfileInput', {
  description: 'What to change; what is left out stays as it is.',
  fields: (t) => ({
    name: t.string({ description: `The name to show, 1 to ${MAX_NAME_CHARACTERS} characters.` }),
    avatarUrl: t.string({ description: 'An http or https URL of at most 2,048 characters; null removes it.' }),
    statusText: t.string({ description: 'At most 140 characters; null or empty removes it.' }),
  }),
})

const UpdateProfileSuccess = builder.objectRef<{ user: UserRecord }>('UpdateProfileSuccess').implement({
  description: 'The profile was changed.',
  fields: (t) => ({ user: t.expose('user', { type: UserType, description: 'The viewer, as changed.' }) }),
})

builder.mutationField('updateProfile', (t) =>
  t.field({
    type: UpdateProfileSuccess,
    description:
      'Changes the own profile. A `name` or `picture` claim overrides it again only when the claim itself changes.',
    errors: { types: REFUSALS, union: { description: 'The changed profile, or why it was refused.' } },
    args: { input: t.arg({ type: UpdateProfileInput, required: true, description: 'What to change.' }) },
    resolve: async (_root, { input }, context) => {
      const viewer = requireViewer(context)
      return { user: await context.users.updateProfile(viewer, parseInput(updateProfileRule, input)) }
    },
  }),
)
