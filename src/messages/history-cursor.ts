import { GateError } from '../platform/errors.ts'

const PATTERN = /^seq:(\d{1,10})$/
const LAST_SEQ = 2_147_483_647

/** A message's place in its room's history, opaque to clients. */
export function encodeCursor(seq: number): string {
  return Buffer.from(`seq:${seq}`).toString('base64url')
}

/** Throws BAD_USER_INPUT for what was never a cursor of a history. */
export function decodeCursor(cursor: string, field: string): number {
  const seq = cursor.length <= 50 ? PATTERN.exec(Buffer.from(cursor, 'base64url').toString('utf8'))?.[1] : undefined
  if (seq === undefined || Number(seq) > LAST_SEQ) {
    throw new GateError('BAD_USER_INPUT', 'The cursor is not one that this server has given.', { field })
  }
  return Number(seq)
}
