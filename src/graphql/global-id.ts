import { z } from 'zod'
import { GateError } from '../platform/errors.ts'
import { isId } from '../platform/ids.ts'

const MAX_LENGTH = 200

/** A global id: opaque to clients, URL-safe. */
export function encodeGlobalId(typename: string, id: string | number | bigint): string {
  return Buffer.from(`${typename}:${id}`).toString('base64url')
}

/** Encodes ids of one type. An event is executed for many operations: what was asked for last is asked for again. */
export function createIdEncoder(typename: string): (id: string) => string {
  let [lastId, globalId] = ['', '']
  return (id) => {
    if (id !== lastId) {
      lastId = id
      globalId = encodeGlobalId(typename, id)
    }
    return globalId
  }
}

/** Throws BAD_USER_INPUT for what was never a global id. */
export function decodeGlobalId(globalId: string): { typename: string; id: string } {
  const [typename, id, ...rest] = globalId.length > MAX_LENGTH ? [] : decode(globalId).split(':')
  // In capitals it is the same UUID, but not the same topic, nor the same id to a client's cache.
  if (!typename || !id || rest.length > 0 || !isId(id) || id !== id.toLowerCase()) {
    throw new GateError('BAD_USER_INPUT', 'The id is not one that this server has given.', { field: 'id' })
  }
  return { typename, id }
}

/** The id behind a global id of this type; null when it is malformed or of another type. */
export function idOfType(typename: string, globalId: string): string | null {
  try {
    const decoded = decodeGlobalId(globalId)
    return decoded.typename === typename ? decoded.id : null
  } catch {
    return null
  }
}

/** An input field that holds a global id of this type; gives the id behind it. */
export function globalIdOf(typename: string) {
  return z.string().transform((value, ctx) => {
    const id = idOfType(typename, value)
    if (id !== null) return id
    ctx.addIssue({ code: 'custom', message: `is not the id of ${/^[AEIO]/.test(typename) ? 'an' : 'a'} ${typename}` })
    return z.NEVER
  })
}

function decode(text: string): string {
  return Buffer.from(text, 'base64url').toString('utf8')
}
