import { createHmac, randomBytes } from 'node:crypto'

const PREFIX = 'whsec_'
const SECRET_BYTES = 32

/** A new secret, as the Standard Webhooks specification writes it: `whsec_` and base64. */
export function newWebhookSecret(): string {
  return PREFIX + randomBytes(SECRET_BYTES).toString('base64')
}

export interface SignedMessage {
  /** The same at every attempt, by which the receiver knows a repetition. */
  id: string
  /** Of the attempt, in seconds since the Unix epoch: receivers refuse what is older than some minutes. */
  timestampSeconds: number
  body: string
}

/**
 * The headers of a message by the Standard Webhooks specification, 1.0 (standardwebhooks.com): `webhook-id`,
 * `webhook-timestamp`, and in `webhook-signature`, for each secret, `v1,` and the base64 of HMAC-SHA256 over
 * `id.timestamp.body`. A receiver accepts a message of which one signature fits its secret.
 */
export function signWebhook({ id, timestampSeconds, body }: SignedMessage, secrets: readonly string[]) {
  const signatures = secrets.map((secret) => {
    const key = Buffer.from(secret.slice(PREFIX.length), 'base64')
    return `v1,${createHmac('sha256', key).update(`${id}.${timestampSeconds}.${body}`).digest('base64')}`
  })
  return {
    'webhook-id': id,
    'webhook-timestamp': String(timestampSeconds),
    'webhook-signature': signatures.join(' '),
  }
}
