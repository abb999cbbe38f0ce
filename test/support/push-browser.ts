// A browser, as far as Web Push sees it: keys, an endpoint at a push service, and what it makes of a message (RFC 8291).

import { createDecipheriv, createECDH, hkdfSync, randomBytes } from 'node:crypto'
import { importJWK, type JWTPayload, jwtVerify } from 'jose'
import type { PushPayload } from '../../src/notifications/push-payload.ts'
import type { ReceivedPost } from './post-receiver.ts'

export interface PushBrowser {
  readonly path: string
  /** The input of subscribeToPush. */
  readonly input: { endpoint: string; p256dh: string; auth: string }
  read(post: ReceivedPost): PushPayload
}

let counter = 0

export function openBrowser(pushServiceUrl: string): PushBrowser {
  const keys = createECDH('prime256v1')
  const publicKey = keys.generateKeys()
  const auth = randomBytes(16)
  const path = `/push/${process.pid}-${++counter}`
  return {
    path,
    input: {
      endpoint: pushServiceUrl + path,
      p256dh: publicKey.toString('base64url'),
      auth: auth.toString('base64url'),
    },
    read({ headers, body }) {
      if (headers['content-encoding'] !== 'aes128gcm') throw new Error(`encoded as ${headers['content-encoding']}`)
      const salt = body.subarray(0, 16)
      const keyEnd = 21 + (body[20] ?? 0)
      const serverKey = body.subarray(21, keyEnd)
      const info = Buffer.concat([Buffer.from('WebPush: info\0'), publicKey, serverKey])
      const secret = hkdf(keys.computeSecret(serverKey), auth, info, 32)
      const key = hkdf(secret, salt, 'Content-Encoding: aes128gcm\0', 16)
      const nonce = hkdf(secret, salt, 'Content-Encoding: nonce\0', 12)
      const decipher = createDecipheriv('aes-128-gcm', key, nonce)
      decipher.setAuthTag(body.subarray(-16))
      const padded = Buffer.concat([decipher.update(body.subarray(keyEnd, -16)), decipher.final()])
      // After the text of the only record stand a 2 and any number of zeros.
      return JSON.parse(padded.subarray(0, padded.lastIndexOf(2)).toString('utf8'))
    },
  }
}

/** What a server says of itself (VAPID, RFC 8292), proven by the key that it shows. */
export async function verifyVapid(
  { headers }: ReceivedPost,
  audience: string,
): Promise<{ publicKey: string; claims: JWTPayload }> {
  const [, token = '', publicKey = ''] = /^vapid t=([\w.-]+), *k=([\w-]+)$/.exec(headers.authorization ?? '') ?? []
  const point = Buffer.from(publicKey, 'base64url')
  const [x, y] = [point.subarray(1, 33), point.subarray(33)].map((half) => half.toString('base64url'))
  const key = await importJWK({ kty: 'EC', crv: 'P-256', x, y }, 'ES256')
  const { payload } = await jwtVerify(token, key, { audience, algorithms: ['ES256'] })
  return { publicKey, claims: payload }
}

function hkdf(secret: Buffer, salt: Buffer, info: string | Buffer, bytes: number): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, salt, info, bytes))
}
