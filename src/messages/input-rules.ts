import { z } from 'zod'
import { globalIdOf } from '../graphql/global-id.ts'
import { textRule } from '../graphql/input.ts'

const MAX_CLIENT_MESSAGE_ID_CHARACTERS = 64

export type SendMessageRule = ReturnType<typeof sendMessageRule>

/** `maxCharacters` is the setting MAX_MESSAGE_CHARACTERS. Made once per process: making it costs more than a send. */
export function sendMessageRule(maxCharacters: number) {
  return z.object({
    roomId: globalIdOf('Room'),
    text: textRule({ min: 1, max: maxCharacters }),
    clientMessageId: textRule({ min: 1, max: MAX_CLIENT_MESSAGE_ID_CHARACTERS, trim: false })
      .nullish()
      .transform((id) => id ?? null),
    replyToId: globalIdOf('Message')
      .nullish()
      .transform((id) => id ?? null),
  })
}
