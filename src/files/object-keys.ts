// Where the bytes of an attachment are in the storage. A key says whose it is, so that one that nobody knows can be found
// out; and the same work done twice writes the same keys.

import { isId } from '../platform/ids.ts'

/** The name by which urls ask for the file itself. */
export const ORIGINAL = 'original'

/** As it came. */
export const uploadKey = (attachmentId: string): string => `${attachmentId}/upload`

/** Without what nobody else is to know, as where a picture was taken. */
export const cleanedKey = (attachmentId: string): string => `${attachmentId}/cleaned`

export const renditionKey = (attachmentId: string, name: string): string => `${attachmentId}/rendition-${name}`

/** Null for a key that is none of the above. */
export function attachmentOfKey(key: string): string | null {
  const [id = '', ...rest] = key.split('/')
  return rest.length === 1 && isId(id) ? id : null
}
