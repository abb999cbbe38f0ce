import { z } from 'zod'
import { globalIdOf } from '../graphql/global-id.ts'

export const deleteAttachmentRule = z.object({ attachmentId: globalIdOf('Attachment') })
