import type { MessageAttachments } from '../../src/messages/service.ts'
import { RefusedError } from '../../src/platform/errors.ts'

/** For messages on their own, without the files feature: nobody has uploaded anything. */
export const NO_ATTACHMENTS: MessageAttachments = {
  prepare: async () => {
    throw new RefusedError('NOT_FOUND', 'There is no such attachment.')
  },
  release: async () => {},
}
