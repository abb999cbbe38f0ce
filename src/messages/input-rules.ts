import { z } from 'zod'
import { globalIdOf } from '../graphql/global-id.ts'
import { isBlank, textRule } from '../graphql/input.ts'

const MAX_CLIENT_MESSAGE_ID_CHARACTERS = 64
/** Of one message. */
export const MAX_ATTACHMENTS = 10

export type SendMessageRule = ReturnType<typeof sendMessageRule>

/** `maxCharacters` is the setting MAX_MESSAGE_CHARACTERS. Made once per process: making it costs more than a send. */
export function sendMessageRule(maxCharacters: number) {
  const fields = z.object({
    roomId: globalIdOf('Room'),
    text: textRule({ max: maxCharacters }),
    clientMessageId: textRule({ min: 1, max: MAX_CLIENT_MESSAGE_ID_CHARACTERS, trim: false })
      .nullish()
      .transform((id) => id ?? null),
    replyToId: globalIdOf('Message')
      .nullish()
      .transform((id) => id ?? null),
    attachmentIds: z
      .array(globalIdOf('Attachment'))
      .max(MAX_ATTACHMENTS, `has more than ${MAX_ATTACHMENTS}`)
      .refine((ids) => new Set(ids).size === ids.length, 'has one twice')
      .nullish()
      .transform((ids) => ids ?? []),
  })
  // With attachments there need be no text.
  return fields.superRefine(({ text, attachmentIds }, ctx) => {
    if (attachmentIds.length > 0 || !isBlank(text)) return
    ctx.addIssue({ code: 'custom', path: ['text'], message: 'is empty', params: { limit: 1 } })
  })
}

export const deleteMessageRule = z.object({ messageId: globalIdOf('Message') })
