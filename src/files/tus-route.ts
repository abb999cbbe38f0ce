/**
 * Resumable uploads by the tus protocol, as @tus/server speaks it: creation (also with the first bytes), termination and
 * expiration. Every request carries a token, and an upload is there for its creator alone. One that is whole is handed to
 * the files service before its last request is answered; should that be cut short, the client's next question does it.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Server, type ServerOptions } from '@tus/server'
import type { Authenticate } from '../auth/authenticator.ts'
import { encodeGlobalId } from '../graphql/global-id.ts'
import { GateError, RefusedError, ValidationError } from '../platform/errors.ts'
import type { Logger } from '../platform/logger.ts'
import type { Viewer } from '../platform/viewer.ts'
import { allowOrigin, type CorsOrigins, isAllowedOrigin } from '../transport/cors.ts'
import { type MountedRoute, sendJson } from '../transport/routes.ts'
import { isObjectKey, StorageUnavailableError } from './file-storage.ts'
import type { TusStore } from './tus-store.ts'
import type { ClaimedFile, ExpectedUpload, UploadGate } from './upload-gate.ts'
import type { UploadLeases } from './upload-leases.ts'

export const UPLOADS_PATH = '/uploads'
/** The attachment's global id, in every answer about an upload. */
const ATTACHMENT_HEADER = 'Sohbet-Attachment-Id'
/** What of a file's metadata is kept; the names that tus-js-client and Uppy use. */
const METADATA = { name: ['filename', 'name'], contentType: ['filetype', 'type'] } as const
/** How long a request that another waits for may go on. */
const LOCK_DRAIN_MS = 250

export interface TusRouteOptions {
  store: TusStore
  gate: UploadGate
  leases: UploadLeases
  authenticate: Authenticate
  corsOrigins: CorsOrigins
  /** Told to clients; the gate decides. */
  maxBytes: number
  logger: Logger
}

/** A request as tus' hooks get it. */
type TusRequest = Parameters<NonNullable<ServerOptions['onIncomingRequest']>>[0]

/** A request that is being answered, and who asks. */
interface Asker {
  viewer: Viewer
  response: ServerResponse
}

export interface TusRoute extends MountedRoute {
  /** Resolves when nothing of this node is being written any more. */
  settled(): Promise<void>
}

export function createTusRoute(options: TusRouteOptions): TusRoute {
  const { store, gate, leases, authenticate, corsOrigins, logger } = options
  const askers = new WeakMap<object, Asker>()
  const server = createTusServer(options, (request) => askers.get(request))

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    response.setHeader('vary', 'Origin')
    if (request.method === 'OPTIONS') return server.handle(request, response)
    const viewer = await requireViewer(authenticate, request)
    askers.set(request, { viewer, response })
    const path = URL.parse(request.url ?? '', 'http://host')?.pathname ?? ''
    if (path === UPLOADS_PATH) return server.handle(request, response)
    const upload = await requireUpload(gate, viewer, path)
    tellAttachment(response, upload)
    if (request.method === 'HEAD') await finishIfWhole({ store, gate }, viewer, upload)
    await server.handle(request, response)
    if (request.method === 'DELETE' && response.statusCode === 204) await gate.abort(viewer, upload.objectKey)
  }

  /** Before tus had a say. What was not read of the request is not waited for. */
  const refuse = (request: IncomingMessage, response: ServerResponse, error: unknown): void => {
    const refusal = refusalOf(error) ?? UNEXPECTED
    if (refusal === UNEXPECTED) logger.error({ err: error }, 'an upload failed')
    if (response.headersSent) return
    allowOrigin(corsOrigins, request, response)
    response.setHeader('connection', 'close')
    const { code, message } = refusal
    sendJson(response, statusFor(request.method, refusal), { error: { code, message } })
  }

  return {
    prefix: UPLOADS_PATH,
    route: (request, response) => {
      const answering = answer(request, response).catch((error: unknown) => refuse(request, response, error))
      // tus waits without end for its answer to be sent, also when nobody is there any more to take it.
      const gone = new Promise<void>((resolve) => response.once('close', resolve))
      return Promise.race([answering, gone])
    },
    settled: () => leases.idle(),
  }
}

function createTusServer(
  { store, gate, leases, corsOrigins, maxBytes, logger }: TusRouteOptions,
  findAsker: (request: object) => Asker | undefined,
): Server {
  const requireAsker = (request: TusRequest): Asker => {
    const asker = request.runtime?.node && findAsker(request.runtime.node.req)
    if (!asker) throw new Error('tus asks for a request that it was not given')
    return asker
  }
  return new Server({
    path: UPLOADS_PATH,
    datastore: store,
    locker: leases,
    lockDrainTimeout: LOCK_DRAIN_MS,
    // Behind a proxy that ends TLS, an absolute one would name the wrong scheme.
    relativeLocation: true,
    generateUrl: (_request, { path, id }) => `${path}/${encodeUploadId(id)}`,
    getFileIdFromRequest: (_request, lastPath) => decodeUploadId(lastPath ?? '') ?? undefined,
    allowedOrigins: (origin) => isAllowedOrigin(corsOrigins, origin),
    exposedHeaders: [ATTACHMENT_HEADER, 'Upload-Expires'],
    maxSize: maxBytes,
    disableTerminationForFinishedUploads: true,
    async namingFunction(request, metadata = {}) {
      const { viewer, response } = requireAsker(request)
      const upload = await gate.begin(viewer, claimedFile(request, metadata))
      tellAttachment(response, upload)
      return upload.objectKey
    },
    // The store keeps what it is told: nothing but what clients may ask for again.
    onUploadCreate: async (_request, { metadata = {} }) => ({ metadata: pickMetadata(metadata) }),
    async onUploadFinish(request, { id }) {
      await store.finish(id)
      await gate.finish(requireAsker(request).viewer, id)
      return {}
    },
    onResponseError(request, error) {
      const refusal = refusalOf(error) ?? (error instanceof Error ? UNEXPECTED : null)
      if (refusal === UNEXPECTED) logger.error({ err: error }, 'an upload failed')
      if (refusal === null) return undefined // tus' own, with a status
      const { code, message } = refusal
      return { status_code: statusFor(request.method, refusal), body: JSON.stringify({ error: { code, message } }) }
    },
  })
}

async function requireViewer(authenticate: Authenticate, request: IncomingMessage): Promise<Viewer> {
  const viewer = await authenticate(request.headers.authorization)
  if (!viewer) throw new GateError('UNAUTHENTICATED', 'Uploads need a bearer token.')
  // The bytes may be anything until they have been looked at.
  if (request.method === 'GET') throw new RefusedError('NOT_FOUND', 'An upload has no content to read.')
  return viewer
}

/** Theirs, or as if there were none. */
async function requireUpload(gate: UploadGate, viewer: Viewer, path: string): Promise<ExpectedUpload> {
  const objectKey = decodeUploadId(path.slice(UPLOADS_PATH.length + 1))
  const upload = objectKey === null ? null : await gate.find(viewer, objectKey)
  if (!upload) throw new RefusedError('NOT_FOUND', 'There is no such upload, or it is not yours.')
  return upload
}

/** For the client whose last request was cut short when all had been sent. */
async function finishIfWhole(
  { store, gate }: Pick<TusRouteOptions, 'store' | 'gate'>,
  viewer: Viewer,
  { objectKey }: ExpectedUpload,
): Promise<void> {
  const upload = await store.getUpload(objectKey).catch(() => null) // tus says what is wrong with it
  if (!upload || upload.offset !== upload.size) return
  await store.finish(objectKey)
  await gate.finish(viewer, objectKey)
}

function tellAttachment(response: ServerResponse, { attachmentId }: ExpectedUpload): void {
  response.setHeader(ATTACHMENT_HEADER, encodeGlobalId('Attachment', attachmentId))
}

function claimedFile(request: TusRequest, metadata: Record<string, string | null>): ClaimedFile {
  const sizeBytes = Number(request.headers.get('upload-length'))
  if (sizeBytes < 1) throw new ValidationError([{ path: 'Upload-Length', message: 'must be at least 1', limit: 1 }])
  const first = (names: readonly string[]) => names.map((name) => metadata[name]).find(Boolean)
  return { name: first(METADATA.name) ?? 'file', contentType: first(METADATA.contentType) ?? '', sizeBytes }
}

function pickMetadata(metadata: Record<string, string | null>): Record<string, string | null> {
  const kept = new Set<string>([...METADATA.name, ...METADATA.contentType])
  return Object.fromEntries(Object.entries(metadata).filter(([name]) => kept.has(name)))
}

/** Keys have slashes, and a url's last part is the id. */
function encodeUploadId(objectKey: string): string {
  return Buffer.from(objectKey).toString('base64url')
}

function decodeUploadId(text: string): string | null {
  const objectKey = Buffer.from(text, 'base64url').toString('utf8')
  return isObjectKey(objectKey) && encodeUploadId(objectKey) === text ? objectKey : null
}

interface Refusal {
  status: number
  code: string
  message: string
}

/** Null for what is no refusal. Clients of tus give up at 4xx, but for 409 and 423. */
function refusalOf(error: unknown): Refusal | null {
  if (error instanceof StorageUnavailableError) {
    return { status: 503, code: 'UNAVAILABLE', message: 'The upload cannot be stored at the moment: try again.' }
  }
  if (error instanceof GateError) {
    return { status: error.retryable ? 503 : 401, code: error.code, message: error.message }
  }
  if (!(error instanceof RefusedError)) return null
  return { status: STATUS_OF[error.code] ?? 403, code: error.code, message: error.message }
}

const STATUS_OF: Readonly<Record<string, number>> = {
  VALIDATION_FAILED: 400,
  NOT_FOUND: 404,
  FILE_TOO_LARGE: 413,
  PAYLOAD_TOO_LARGE: 413,
  FILE_TYPE_NOT_ALLOWED: 415,
}
const UNEXPECTED: Refusal = { status: 500, code: 'INTERNAL_SERVER_ERROR', message: 'An unexpected error.' }

/** After any failure of HEAD but 423, Locked, tus-js-client begins its upload anew instead of trying again. */
function statusFor(method: string | undefined, { status }: Refusal): number {
  return method === 'HEAD' && status >= 500 ? 423 : status
}
