import { ECDH } from 'node:crypto'
import { z } from 'zod'
import { globalIdOf } from '../graphql/global-id.ts'
import { textRule, webUrlRule } from '../graphql/input.ts'
import { findKind } from './kind-registry.ts'

const MAX_USER_AGENT_CHARACTERS = 300
const MAX_DESCRIPTION_CHARACTERS = 200

/** In the canonical form of a URL hosts that are addresses are plain addresses. */
const targetUrl = webUrlRule.transform((text, ctx) => {
  const url = new URL(text)
  if (url.username !== '' || url.password !== '') {
    ctx.addIssue({ code: 'custom', message: 'holds a user name or a password' })
    return z.NEVER
  }
  url.hash = ''
  return url.href
})

/** Base64url, with or without padding, as browsers and their libraries write it; given back without. */
const keyText = (isKey: (bytes: Buffer) => boolean, message: string) =>
  z.string().transform((text, ctx) => {
    const bare = text.length <= 200 ? text.replace(/=+$/, '') : ''
    if (/^[\w-]+$/.test(bare) && isKey(Buffer.from(bare, 'base64url'))) return bare
    ctx.addIssue({ code: 'custom', message })
    return z.NEVER
  })

function isPointOfP256(bytes: Buffer): boolean {
  if (bytes.length !== 65 || bytes[0] !== 4) return false
  try {
    ECDH.convertKey(bytes, 'prime256v1', undefined, undefined, 'compressed')
    return true
  } catch {
    return false
  }
}

/** What was left out stands as undefined, and null does where nothing can be removed. */
const emptyToNull = (text: string | null | undefined) => text || null

export const subscribeToPushRule = z.object({
  endpoint: targetUrl,
  p256dh: keyText(isPointOfP256, 'is not a public key of P-256, uncompressed and in base64url'),
  auth: keyText((bytes) => bytes.length === 16, 'is not 16 bytes in base64url'),
  userAgent: textRule({ max: MAX_USER_AGENT_CHARACTERS }).nullish().transform(emptyToNull),
})

export const unsubscribeFromPushRule = z.object({ endpoint: targetUrl })

/** The schema's enum has one name more, for kinds that this version does not know. */
const knownKind = z.string().refine((name) => findKind(name) !== undefined, { error: 'is no kind of this server' })
const kinds = z.array(knownKind).transform((names) => [...new Set(names)])
const description = textRule({ max: MAX_DESCRIPTION_CHARACTERS })
const webhookId = globalIdOf('Webhook')

export const createWebhookRule = z.object({
  url: targetUrl,
  description: description.nullish().transform(emptyToNull),
  kinds: kinds.nullish().transform((names) => names ?? []),
})

export const updateWebhookRule = z
  .object({
    webhookId,
    url: targetUrl.nullish().transform((url) => url ?? undefined),
    description: description.nullish().transform((text) => (text === '' ? null : text)),
    kinds: kinds.nullish(),
    isEnabled: z.boolean().nullish(),
  })
  .transform(({ webhookId, url, description, kinds, isEnabled }) => ({
    webhookId,
    // Fields that were not given must not stand as undefined among the changes.
    edit: {
      ...(url === undefined ? {} : { url }),
      ...(description === undefined ? {} : { description }),
      ...(kinds === undefined ? {} : { kinds: kinds ?? [] }),
      ...(isEnabled == null ? {} : { isEnabled }),
    },
  }))

export const webhookOnlyRule = z.object({ webhookId })
export const redeliverWebhookRule = z.object({ deliveryId: globalIdOf('WebhookDelivery') })
