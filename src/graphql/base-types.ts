// Types that belong to no feature: scalars and errors.

import { GraphQLError } from 'graphql'
import {
  BannedError,
  ERROR_CODES,
  type ErrorCode,
  RefusedError,
  ValidationError,
  type ValidationIssue,
} from '../platform/errors.ts'
import { builder } from './builder.ts'
import { UploadedFile } from './uploaded-file.ts'

const ISO_DATE_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/

builder.scalarType('DateTime', {
  description: 'A moment, as ISO 8601 in UTC with milliseconds: `2026-01-31T12:00:00.000Z`. Input may have any offset.',
  serialize: (value) => (typeof value === 'string' ? value : value.toISOString()),
  parseValue: (value) => {
    const date = typeof value === 'string' && ISO_DATE_TIME.test(value) ? new Date(value) : null
    if (!date || Number.isNaN(date.getTime())) {
      throw new GraphQLError('A DateTime is written as 2026-01-31T12:00:00.000Z.', {
        extensions: { code: 'BAD_USER_INPUT' },
      })
    }
    return date
  },
})

builder.scalarType('File', {
  description:
    'A file, as an argument only: a variable that is sent by the GraphQL multipart request specification, as the upload clients of urql and Apollo do. Not over WebSocket.',
  serialize: () => {
    throw new GraphQLError('A File is an argument only.')
  },
  parseValue: (value) => {
    if (value instanceof UploadedFile) return value
    throw new GraphQLError('A File is sent as a part of a multipart request.', {
      extensions: { code: 'BAD_USER_INPUT' },
    })
  },
})

const ErrorCodeEnum = builder.enumType('ErrorCode', {
  description: 'Why something was refused. The same codes stand in `extensions.code` of GraphQL errors.',
  values: Object.fromEntries(
    Object.entries(ERROR_CODES).map(([code, description]) => [code, { description }]),
  ) as Record<
    ErrorCode, // Object.fromEntries forgets the keys
    { description: string }
  >,
})

export const ErrorInterface = builder.interfaceRef<RefusedError>('Error').implement({
  description: 'A refusal that the caller can act on; nothing was changed.',
  fields: (t) => ({
    code: t.expose('code', { type: ErrorCodeEnum, description: 'What kind of refusal.' }),
    message: t.exposeString('message', { description: 'For developers, in English.' }),
  }),
})

const ValidationIssueType = builder.objectRef<ValidationIssue>('ValidationIssue').implement({
  description: 'One rule that the input breaks.',
  fields: (t) => ({
    path: t.exposeString('path', { description: 'The field, as `input.text`.' }),
    message: t.exposeString('message', { description: 'What is wrong with it.' }),
    limit: t.exposeInt('limit', { nullable: true, description: 'The limit that was broken, where it is a number.' }),
  }),
})

builder.objectType(ValidationError, {
  name: 'ValidationError',
  description: 'The input breaks rules; nothing was stored.',
  interfaces: [ErrorInterface],
  fields: (t) => ({
    issues: t.field({
      type: [ValidationIssueType],
      description: 'Every rule that is broken.',
      resolve: ({ issues }) => [...issues],
    }),
  }),
})

builder.objectType(BannedError, {
  name: 'BannedError',
  description: 'Who is to come into the room, or to write there, is banned from it; nothing was stored.',
  interfaces: [ErrorInterface],
  fields: (t) => ({
    endsAt: t.expose('endsAt', {
      type: 'DateTime',
      nullable: true,
      description: 'When the ban ends by itself; null where it does not.',
    }),
    reason: t.exposeString('reason', {
      nullable: true,
      description: 'Why they were banned; null where none was given.',
    }),
  }),
})

builder.objectType(RefusedError, {
  name: 'RefusedError',
  description: 'The change is not possible, or not for the viewer; `code` says why.',
  interfaces: [ErrorInterface],
  // Its subclasses are types of their own.
  isTypeOf: (error) => error instanceof RefusedError && error.name === 'RefusedError',
})

/** The refusals that every mutation may answer with. */
export const REFUSALS: [typeof ValidationError, typeof RefusedError] = [ValidationError, RefusedError]

/** The same, of mutations that are refused to, or about, somebody who is banned. */
export const REFUSALS_OR_BAN: [typeof BannedError, ...typeof REFUSALS] = [BannedError, ...REFUSALS]
