/**
 * Urls of files that work by themselves for a while, as an <img> needs them: whoever has one may fetch that file until it
 * expires, and nothing else. The signature covers the attachment, the rendition and the expiry; the name at the end is for
 * people and never looked at. The same url is given for a while, so that browsers keep what they fetched by it.
 */
import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto'
import type { Clock } from '../platform/clock.ts'
import { isId } from '../platform/ids.ts'

export const FILES_PATH = '/files'

/** What a path below FILES_PATH asks for. */
export interface FileTarget {
  attachmentId: string
  /** `original`, or a smaller picture of it. */
  rendition: string
}

export type SignatureVerdict = { kind: 'VALID'; expiresAt: Date } | { kind: 'EXPIRED' } | { kind: 'INVALID' }

export interface UrlSigner {
  /** A path with its query. It works for at least the lifetime from now, and for at most twice as long. */
  sign(target: FileTarget & { name: string }): string
  verify(target: FileTarget, query: URLSearchParams): SignatureVerdict
}

const RENDITION = /^[a-z0-9-]{1,32}$/
const EXPIRES = /^\d{1,12}$/

export function createUrlSigner({ secret, ttlMs, clock }: { secret: string; ttlMs: number; clock: Clock }): UrlSigner {
  // A key for this use alone, should the secret ever serve another.
  const key = Buffer.from(hkdfSync('sha256', secret, '', 'sohbet file urls', 32))
  const signatureOf = ({ attachmentId, rendition }: FileTarget, expires: string) =>
    createHmac('sha256', key).update(`${attachmentId}/${rendition}/${expires}`).digest('base64url')
  return {
    sign({ attachmentId, rendition, name }) {
      const expires = String(Math.ceil(((Math.floor(clock.now() / ttlMs) + 2) * ttlMs) / 1000))
      const signature = signatureOf({ attachmentId, rendition }, expires)
      const path = [attachmentId, rendition, nameInPath(name)].map(encodeURIComponent).join('/')
      return `${FILES_PATH}/${path}?expires=${expires}&signature=${signature}`
    },

    verify(target, query) {
      const expires = query.get('expires') ?? ''
      // As text: decoded, many texts would be the same signature.
      const given = Buffer.from(query.get('signature') ?? '')
      const wanted = Buffer.from(signatureOf(target, expires))
      const isGenuine = given.length === wanted.length && timingSafeEqual(given, wanted)
      if (!isGenuine || !EXPIRES.test(expires)) return { kind: 'INVALID' }
      const expiresAt = new Date(Number(expires) * 1000)
      return expiresAt.getTime() > clock.now() ? { kind: 'VALID', expiresAt } : { kind: 'EXPIRED' }
    },
  }
}

/** Null for a path that no url of ours has. */
export function parseFilePath(pathname: string): FileTarget | null {
  const [attachmentId = '', rendition = '', ...names] = pathname.slice(FILES_PATH.length + 1).split('/')
  return isId(attachmentId) && RENDITION.test(rendition) && names.length <= 1 ? { attachmentId, rendition } : null
}

/** Lone surrogates cannot be encoded; `.` and `..` would be taken for folders. */
function nameInPath(name: string): string {
  const shown = name.toWellFormed().replaceAll('/', '_')
  return /^\.*$/.test(shown) ? 'file' : shown
}
