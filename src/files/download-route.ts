/**
 * GET and HEAD of a file. Nothing that a browser would run is ever shown in the page's place: only types of INLINE_TYPES
 * are, when the file's content is of that type too; all else is a download. What is wrong with a signed url is told before
 * anything is looked up, so that no answer says whether a file exists to who has no right to it.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'
import { create as contentDisposition } from 'content-disposition'
import parseRange from 'range-parser'
import type { Authenticate } from '../auth/authenticator.ts'
import type { Clock } from '../platform/clock.ts'
import { GateError } from '../platform/errors.ts'
import type { Logger } from '../platform/logger.ts'
import { allowOrigin, type CorsOrigins } from '../transport/cors.ts'
import { type Route, sendJson } from '../transport/routes.ts'
import type { FileLookup, ServableFile } from './file-lookup.ts'
import { type FileStorage, MissingObjectError, StorageUnavailableError } from './file-storage.ts'
import { type FileTarget, parseFilePath, type UrlSigner } from './signed-url.ts'

/** Raster images, audio and video: a browser decodes them and runs nothing of them. */
const INLINE_TYPES = new Set([
  ...['image/png', 'image/jpeg', 'image/gif', 'image/webp', 'image/avif', 'image/bmp'],
  ...['audio/mpeg', 'audio/mp4', 'audio/aac', 'audio/ogg', 'audio/opus', 'audio/wav', 'audio/webm', 'audio/flac'],
  ...['video/mp4', 'video/webm', 'video/ogg', 'video/quicktime'],
])
/** What a download may say that it is; the rest is bytes. */
const DOWNLOAD_TYPES =
  /^application\/(?:pdf|zip|gzip|x-7z-compressed|msword|vnd\.(?:ms-[a-z]+|openxmlformats-officedocument\.[a-z.]+|oasis\.opendocument\.[a-z]+))$/

const STALLED_MS = 120_000

/** The least that a redirect still works for, so that its reader has the time to follow it. */
const MIN_PRESIGNED_MS = 60_000

export interface DownloadRouteOptions {
  files: FileLookup
  storage: FileStorage
  signer: UrlSigner
  authenticate: Authenticate
  corsOrigins: CorsOrigins
  clock: Clock
  logger: Logger
  /** A connection on which nothing moves for so long is cut: it keeps a file open. Default 120,000. */
  stalledMs?: number
}

/** A file that may be served, and for how long whoever fetched it may keep it; null: they must ask again. */
interface Permitted {
  file: ServableFile
  expiresAt: Date | null
}

type Refusal = [status: number, code: string, message: string]

const NOT_FOUND: Refusal = [404, 'NOT_FOUND', 'There is no such file, or not for you.']
const INVALID: Refusal = [403, 'URL_INVALID', 'The url is not one that this server has signed: ask for it again.']
const EXPIRED: Refusal = [410, 'URL_EXPIRED', 'The url has expired: ask for it again.']
const UNAUTHENTICATED: Refusal = [401, 'UNAUTHENTICATED', 'This needs a signed url or a bearer token.']
const UNAVAILABLE: Refusal = [503, 'UNAVAILABLE', 'The file cannot be read at the moment: try again.']

export function createDownloadRoute(options: DownloadRouteOptions): Route {
  const { corsOrigins } = options
  return async (request, response) => {
    allowOrigin(corsOrigins, request, response)
    if (request.method === 'OPTIONS') {
      answerPreflight(response)
      return
    }
    response.setHeader('access-control-expose-headers', 'accept-ranges, content-disposition, content-range, etag')
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('allow', 'GET, HEAD, OPTIONS')
      refuse(response, [405, 'BAD_REQUEST', 'A file can be read, with GET or HEAD.'])
      return
    }
    const permitted = await permit(request, options)
    if (Array.isArray(permitted)) refuse(response, permitted)
    else await serve(request, response, permitted, options)
  }
}

function answerPreflight(response: ServerResponse): void {
  response.setHeader('access-control-allow-methods', 'GET, HEAD')
  response.setHeader('access-control-allow-headers', 'authorization, if-none-match, if-range, range')
  response.setHeader('access-control-max-age', '7200')
  response.writeHead(204).end()
}

function refuse(response: ServerResponse, [status, code, message]: Refusal): void {
  sendJson(response, status, { error: { code, message } })
}

async function permit(request: IncomingMessage, options: DownloadRouteOptions): Promise<Permitted | Refusal> {
  const url = URL.parse(request.url ?? '', 'http://host')
  const target = url && parseFilePath(url.pathname)
  if (!target) return NOT_FOUND
  // With both, the signature counts: browsers add no token of their own accord, but pages may add one to everything.
  return url.searchParams.has('signature')
    ? permitSigned(target, url.searchParams, options)
    : permitViewer(target, request.headers.authorization, options)
}

async function permitSigned(target: FileTarget, query: URLSearchParams, { files, signer }: DownloadRouteOptions) {
  const verdict = signer.verify(target, query)
  if (verdict.kind === 'INVALID') return INVALID
  if (verdict.kind === 'EXPIRED') return EXPIRED
  const file = await files.findServable(target.attachmentId, target.rendition)
  return file ? { file, expiresAt: verdict.expiresAt } : NOT_FOUND
}

async function permitViewer(
  { attachmentId, rendition }: FileTarget,
  authorization: string | undefined,
  { files, authenticate }: DownloadRouteOptions,
): Promise<Permitted | Refusal> {
  try {
    const viewer = await authenticate(authorization)
    if (!viewer) return UNAUTHENTICATED
    const file = await files.findServableFor(viewer, attachmentId, rendition)
    return file ? { file, expiresAt: null } : NOT_FOUND
  } catch (error) {
    if (!(error instanceof GateError)) throw error
    return [error.retryable ? 503 : 401, error.code, error.message]
  }
}

async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  permitted: Permitted,
  options: DownloadRouteOptions,
): Promise<void> {
  const { file } = permitted
  const representation = representationOf(file)
  const cacheControl = cacheControlOf(permitted, options.clock)
  response.setHeader('etag', file.etag)
  response.setHeader('cache-control', cacheControl)
  // Also where CORS is answered: a page's <img> asks without it.
  response.setHeader('cross-origin-resource-policy', 'cross-origin')
  response.setHeader('x-content-type-options', 'nosniff')
  response.setHeader('content-security-policy', "sandbox; default-src 'none'; frame-ancestors 'none'")
  response.setHeader('referrer-policy', 'no-referrer')
  if (matches(request.headers['if-none-match'], file.etag)) {
    response.writeHead(304).end()
    return
  }
  if (request.method === 'GET' && (await redirect(response, permitted, { representation, cacheControl, options })))
    return
  response.setHeader('accept-ranges', 'bytes')
  const range = rangeOf(request, file)
  if (range === 'UNSATISFIABLE') {
    response.setHeader('content-range', `bytes */${file.sizeBytes}`)
    response.setHeader('cache-control', 'no-store')
    refuse(response, [416, 'RANGE_NOT_SATISFIABLE', `The file has ${file.sizeBytes} bytes.`])
    return
  }
  const headers = {
    'content-type': representation.contentType,
    'content-disposition': representation.contentDisposition,
    'content-length': range ? range.end - range.start + 1 : file.sizeBytes,
    ...(range ? { 'content-range': `bytes ${range.start}-${range.end}/${file.sizeBytes}` } : {}),
  }
  if (request.method === 'HEAD') response.writeHead(range ? 206 : 200, headers).end()
  else await sendBytes(response, { file, range, headers, options })
}

/** Headers are sent once the storage has answered, so that its failure is told as one. */
async function sendBytes(
  response: ServerResponse,
  {
    file,
    range,
    headers,
    options: { storage, logger, stalledMs = STALLED_MS },
  }: {
    file: ServableFile
    range: { start: number; end: number } | null
    headers: Record<string, string | number>
    options: DownloadRouteOptions
  },
): Promise<void> {
  const gone = new AbortController()
  response.once('close', () => gone.abort())
  // Node cuts the connection then, and sets its own times again for the next request.
  response.setTimeout(stalledMs)
  try {
    const { stream } = await storage.read(file.objectKey, { range: range ?? undefined, signal: gone.signal })
    response.writeHead(range ? 206 : 200, headers)
    await pipeline(stream, response)
  } catch (error) {
    if (gone.signal.aborted && response.destroyed) return // whoever asked has left
    if (response.headersSent) {
      logger.warn({ err: error }, 'a download broke off')
      response.destroy()
      return
    }
    for (const name of ['etag', 'accept-ranges']) response.removeHeader(name)
    if (error instanceof MissingObjectError) refuse(response, NOT_FOUND)
    else if (error instanceof StorageUnavailableError) refuse(response, UNAVAILABLE)
    else throw error
  }
}

interface Representation {
  contentType: string
  contentDisposition: string
}

function representationOf({ name, contentType, isInlineSafe }: ServableFile): Representation {
  const isInline = isInlineSafe && INLINE_TYPES.has(contentType)
  const isNamed = isInline || INLINE_TYPES.has(contentType) || DOWNLOAD_TYPES.test(contentType)
  return {
    contentType: isNamed ? contentType : 'application/octet-stream',
    contentDisposition: contentDisposition(fileName(name), { type: isInline ? 'inline' : 'attachment' }),
  }
}

/** Without what could not stand in a header, or would make another name of it in the reader's folder. */
function fileName(name: string): string {
  return name.toWellFormed().replace(/[\p{Cc}\p{Bidi_Control}/\\]/gu, '_') || 'file'
}

/** The bytes of a rendition never change, so what a signed url gives is kept for as long as the url works. */
function cacheControlOf({ expiresAt }: Permitted, clock: Clock): string {
  if (expiresAt === null) return 'private, no-cache'
  return `private, max-age=${Math.max(0, Math.floor((expiresAt.getTime() - clock.now()) / 1000))}, immutable`
}

/** To where the storage itself answers, if it does. */
async function redirect(
  response: ServerResponse,
  { file, expiresAt }: Permitted,
  {
    representation,
    cacheControl,
    options: { storage, clock },
  }: { representation: Representation; cacheControl: string; options: DownloadRouteOptions },
): Promise<boolean> {
  const leastMs = clock.now() + MIN_PRESIGNED_MS
  const until = new Date(Math.max(expiresAt?.getTime() ?? 0, leastMs))
  const location = await storage.presignDownload(file.objectKey, { expiresAt: until, ...representation, cacheControl })
  if (location === null) return false
  response.writeHead(302, { location }).end()
  return true
}

/** One range, or none where the whole is to be sent: also for several, which a server may answer so (RFC 9110, 14.2). */
function rangeOf(
  { headers }: IncomingMessage,
  { sizeBytes, etag }: ServableFile,
): { start: number; end: number } | 'UNSATISFIABLE' | null {
  const ifRange = headers['if-range']
  if (headers.range === undefined || (ifRange !== undefined && ifRange !== etag)) return null
  const ranges = parseRange(sizeBytes, headers.range)
  if (ranges === -1) return 'UNSATISFIABLE'
  const [range, ...others] = ranges === -2 || ranges.type !== 'bytes' ? [] : ranges
  return range && others.length === 0 ? range : null
}

/** The weak comparison, which is the one for If-None-Match. */
function matches(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false
  return header.split(',').some((one) => one.trim() === '*' || one.trim().replace(/^W\//, '') === etag)
}
