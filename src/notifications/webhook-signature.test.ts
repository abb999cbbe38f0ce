import { Webhook } from 'standardwebhooks'
import { describe, expect, it } from 'vitest'
import { newWebhookSecret, signWebhook } from './webhook-signature.ts'

const message = () => ({
  id: '019abcde-0000-7000-8000-000000000001',
  timestampSeconds: Math.floor(Date.now() / 1_000),
  body: JSON.stringify({ type: 'webhook.ping', text: 'Çay? 🍵' }),
})

describe('the signature of a webhook', () => {
  it('is what the package standardwebhooks makes', () => {
    const secret = newWebhookSecret()
    const { id, timestampSeconds, body } = message()
    const theirs = new Webhook(secret).sign(id, new Date(timestampSeconds * 1_000), body)
    expect(signWebhook({ id, timestampSeconds, body }, [secret])['webhook-signature']).toBe(theirs)
  })

  it('is made with each secret, so that either receiver accepts it, and nobody else', () => {
    const [old, fresh, other] = [newWebhookSecret(), newWebhookSecret(), newWebhookSecret()]
    const sent = message()
    const headers = signWebhook(sent, [fresh, old])
    expect(new Webhook(old).verify(sent.body, headers)).toEqual(JSON.parse(sent.body))
    expect(new Webhook(fresh).verify(sent.body, headers)).toEqual(JSON.parse(sent.body))
    expect(() => new Webhook(other).verify(sent.body, headers)).toThrow('No matching signature found')
  })

  it('holds id, time and body together', () => {
    const secret = newWebhookSecret()
    const sent = message()
    const headers = signWebhook(sent, [secret])
    const verify =
      (more: object, body = sent.body) =>
      () =>
        new Webhook(secret).verify(body, { ...headers, ...more })
    expect(verify({ 'webhook-id': '019abcde-0000-7000-8000-000000000002' })).toThrow('No matching signature')
    expect(verify({ 'webhook-timestamp': String(sent.timestampSeconds - 1) })).toThrow('No matching signature')
    expect(verify({}, `${sent.body} `)).toThrow('No matching signature')
  })

  it('is worth nothing after some minutes: a message that was listened in on cannot be sent again', () => {
    const secret = newWebhookSecret()
    const late = { ...message(), timestampSeconds: Math.floor(Date.now() / 1_000) - 301 }
    expect(() => new Webhook(secret).verify(late.body, signWebhook(late, [secret]))).toThrow('too old')
  })
})
