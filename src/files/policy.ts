import type { AttachmentRecord } from '../messages/attachment-record.ts'
import { RefusedError, ValidationError } from '../platform/errors.ts'
import type { StoredAttachment } from './store.ts'

const PATH = 'input.attachmentIds'

/**
 * The attachments in the order asked, if all are the user's own to send. What is somebody else's, deleted or in a message
 * already looks as if it were not there.
 */
export function requireSendable(
  ids: readonly string[],
  found: readonly StoredAttachment[],
  userId: string,
): AttachmentRecord[] {
  const own = new Map(found.filter((one) => isUnsentOf(one, userId)).map(({ record }) => [record.id, record]))
  const absent = ids.flatMap((id, i) => (own.has(id) ? [] : [i]))
  if (absent.length > 0) {
    const message = 'is not an Attachment of yours that is still to be sent'
    throw new ValidationError(absent.map((i) => ({ path: `${PATH}.${i}`, message, limit: null })))
  }
  return ids.flatMap((id) => own.get(id) ?? [])
}

export function isUnsentOf({ record, messageId, deletedAt }: StoredAttachment, userId: string): boolean {
  return record.uploaderId === userId && messageId === null && deletedAt === null
}

export function refuseUnlessReady(attachments: readonly AttachmentRecord[]): void {
  for (const { name, status, refusal } of attachments) {
    if (status === 'REFUSED') {
      throw new RefusedError('ATTACHMENT_REFUSED', `The file “${name}” was refused: ${refusal}.`)
    }
  }
  const unready = attachments.find(({ status }) => status === 'PROCESSING')
  if (!unready) return
  throw new RefusedError('ATTACHMENT_NOT_READY', `The file “${unready.name}” is still being processed: send it later.`)
}
