/** Every code that a client can meet, in `Error.code` of a mutation's result or in `extensions.code` of a GraphQL error. */
export const ERROR_CODES = {
  VALIDATION_FAILED: 'A value breaks a rule; the issues name the fields and the limits.',
  NOT_FOUND: 'It does not exist, or not for the viewer.',
  NOT_A_MEMBER: 'Only members of the room may do this: join it first.',
  FORBIDDEN: 'The viewer may see this but not do it.',
  ROOM_ARCHIVED: 'The room is archived: it can be read, not written.',
  SLUG_TAKEN: 'Another room has this slug.',
  DIRECT_ROOM: 'A direct room cannot be joined, left, renamed, moderated or archived.',
  LAST_OWNER: 'The room would be left without an owner: make another member an owner first.',
  BANNED: 'The user is banned from the room; `endsAt` says until when.',
  FILES_DISABLED: 'This server keeps no files.',
  FILE_TOO_LARGE: 'The file is larger than the server takes by this way; `maxBytes` is how much it takes.',
  FILE_TYPE_NOT_ALLOWED: 'The server takes no files of this type.',
  QUOTA_EXCEEDED: 'The user would have uploaded more than they may in a day; `resetsAt` says when the next one begins.',
  TOO_MANY_UNSENT_FILES: 'The user has as many files waiting to be sent as they may: send or delete some first.',
  ATTACHMENT_NOT_READY: 'A file is still being processed: send the same message again in some seconds.',
  ATTACHMENT_REFUSED: 'A file was refused when it was processed, and cannot be sent; the message says why.',
  PUSH_OFF: 'This server sends no Web Push: it has no VAPID keys.',
  WEBHOOK_DISABLED: 'The webhook is disabled: enable it first.',
  UNAUTHENTICATED: 'The operation needs a token and there is none, or it is not valid.',
  TOKEN_EXPIRED: 'The token has expired: repeat with a fresh one.',
  TOKEN_REVOKED: 'The token was revoked: sign in anew.',
  STREAM_ENDED: 'The right to the stream is gone; `extensions.reason` says by what.',
  BAD_USER_INPUT: 'An argument is malformed: an id, a cursor, a number out of range, or text that cannot be stored.',
  BAD_REQUEST: 'The request is not a well-formed GraphQL request.',
  PAYLOAD_TOO_LARGE: 'The request is larger than the server accepts.',
  QUERY_TOO_COMPLEX: 'The operation is deeper, wider or costlier than the server accepts.',
  TOO_MANY_SUBSCRIPTIONS: 'The connection holds as many subscriptions as the server accepts.',
  RESYNC_REQUIRED:
    'The log no longer reaches back to `after`: read the history, then subscribe without it or from `fromSeq`.',
  UNAVAILABLE: 'Something the server needs is away for the moment: try again.',
  INTERNAL_SERVER_ERROR: 'A defect of the server; `extensions.requestId` finds it in its log.',
} as const

export type ErrorCode = keyof typeof ERROR_CODES

/** A refusal that the caller can act on. In mutations it is a member of the result's union. */
export class RefusedError extends Error {
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string) {
    super(message)
    this.name = 'RefusedError'
    this.code = code
  }
}

export interface ValidationIssue {
  /** The field's path in the input, as `input.text`. */
  path: string
  message: string
  /** The limit that was broken, where it is a number. */
  limit: number | null
}

/** Input that breaks a rule; nothing was stored. */
export class ValidationError extends RefusedError {
  readonly issues: readonly ValidationIssue[]

  constructor(issues: readonly ValidationIssue[]) {
    super('VALIDATION_FAILED', issues.map((issue) => `${issue.path}: ${issue.message}`).join('; '))
    this.name = 'ValidationError'
    this.issues = issues
  }
}

/** Who is to come into a room, or to write there, is banned from it. */
export class BannedError extends RefusedError {
  readonly reason: string | null
  /** Null: for good. */
  readonly endsAt: Date | null

  constructor(message: string, { reason, endsAt }: { reason: string | null; endsAt: Date | null }) {
    super('BANNED', message)
    this.name = 'BannedError'
    this.reason = reason
    this.endsAt = endsAt
  }
}

/**
 * A refusal at a gate (sign-in, limits, malformed arguments), before any work: a GraphQL error with
 * `extensions { code, retryable, retryAfterMs? }`.
 */
export class GateError extends Error {
  readonly code: ErrorCode
  readonly retryable: boolean
  readonly details: Readonly<Record<string, unknown>>

  constructor(
    code: ErrorCode,
    message: string,
    { retryable = false, ...details }: { retryable?: boolean; [detail: string]: unknown } = {},
  ) {
    super(message)
    this.name = 'GateError'
    this.code = code
    this.retryable = retryable
    this.details = details
  }
}
