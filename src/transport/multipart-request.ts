// Files in GraphQL requests, by the GraphQL multipart request specification: `operations` is the request with null in the
// place of each file, `map` says which part goes where. Invariants: nothing of the body is read before its sender is known;
// what all requests hold in memory at once is bounded; operations get files where the map names a null, and nowhere else.
//
// A form can be posted by any web page, past CORS. That does no harm here: it would have to bring a token in a header of
// its own, which no browser sends by itself and which makes it ask first.

import { Readable } from 'node:stream'
import { GraphQLError } from 'graphql'
import type { GraphQLParams, Plugin } from 'graphql-yoga'
import type { Context } from '../graphql/context.ts'
import { UploadedFile } from '../graphql/uploaded-file.ts'
import { GateError } from '../platform/errors.ts'
import { Slots } from '../platform/slots.ts'
import type { Viewer } from '../platform/viewer.ts'
import type { NodeContext } from './node-context.ts'

export const MAX_FILES_PER_REQUEST = 10
/** Requests of this node whose files are in memory at once; the others wait, and are not read meanwhile. */
const MAX_AT_ONCE = 8
const MAX_AT_ONCE_PER_USER = 3
const MAX_WAIT_MS = 20_000
/** The slowest client gets this long for all of its request. */
const MAX_BODY_MS = 5 * 60_000
/** What is sent on of a refused request is read for so long. */
const MAX_DISCARD_MS = 60_000
const RETRY_AFTER_MS = 2_000
/** `operations`, `map`, and what a client may add. */
const MAX_FIELDS = 10
const MAX_PLACES = 50
const MAX_PATH_PARTS = 20

export interface MultipartOptions {
  authenticate: (authorization: string | null | undefined) => Promise<Viewer | null>
  /** Of each field that is no file. */
  maxFieldBytes: number
  /** An error as the client may see it, with the status of the answer. */
  present: (error: unknown, request: Request) => GraphQLError
}

export function isMultipart(contentType: string | null | undefined): boolean {
  return /^multipart\/form-data\s*(;|$)/i.test(contentType ?? '')
}

export function useMultipartRequests({
  authenticate,
  maxFieldBytes,
  present,
}: MultipartOptions): Plugin<Context, NodeContext> {
  const takeSlot = createSlots()

  async function read(request: Request, { req, res }: NodeContext): Promise<GraphQLParams> {
    const viewer = await authenticate(request.headers.get('authorization'))
    if (!viewer) throw new GateError('UNAUTHENTICATED', 'Files need a token: send `Authorization: Bearer <JWT>`.')
    const release = await takeSlot(viewer.userId)
    // Until its answer is sent a request holds its files.
    if (res && !res.closed) res.once('close', release)
    try {
      // A body that has failed meanwhile does not say so again: see limitBody.
      const failure = req && 'body' in req && req.body instanceof Readable ? req.body.errored : null
      if (failure) throw failure
      return toParams(await readForm(request, maxFieldBytes))
    } finally {
      if (!res || res.closed) release()
    }
  }

  return {
    onRequestParse({ request, serverContext, setRequestParser }) {
      if (request.method !== 'POST' || !isMultipart(request.headers.get('content-type'))) return
      setRequestParser((toRead) =>
        read(toRead, serverContext).catch((error: unknown) => {
          discardRest(serverContext)
          throw present(error, request)
        }),
      )
    },
  }
}

/**
 * Browsers read the answer only when they have sent everything: a connection that is closed before shows them a broken
 * network, and not why the file was refused. So what is left is taken, for a while, and forgotten.
 */
function discardRest({ req, res }: NodeContext): void {
  if (!req || !res || req.complete) return
  req.resume()
  const timer = setTimeout(() => req.destroy(), MAX_DISCARD_MS).unref()
  req.once('close', () => clearTimeout(timer))
}

/** Turns for requests with files; those of one user do not keep all others waiting. */
function createSlots(): (userId: string) => Promise<() => void> {
  const slots = new Slots(MAX_AT_ONCE)
  const byUser = new Map<string, number>()
  const busy = () => {
    const details = { retryable: true, retryAfterMs: RETRY_AFTER_MS, http: { status: 503 } }
    return new GateError('UNAVAILABLE', 'Too many files are coming at once: try again.', details)
  }
  return async (userId) => {
    const count = (byUser.get(userId) ?? 0) + 1
    if (count > MAX_AT_ONCE_PER_USER) throw busy()
    byUser.set(userId, count)
    const leave = () => {
      const left = (byUser.get(userId) ?? 1) - 1
      if (left === 0) byUser.delete(userId)
      else byUser.set(userId, left)
    }
    try {
      const pass = await slots.take(AbortSignal.timeout(MAX_WAIT_MS))
      let isHeld = true
      return () => {
        if (!isHeld) return
        isHeld = false
        pass()
        leave()
      }
    } catch {
      leave()
      throw busy()
    }
  }
}

type ReadForm = (options: { formDataLimits: Record<string, number> }) => Promise<FormData>

async function readForm(request: Request, maxFieldBytes: number): Promise<FormData> {
  const formDataLimits = {
    files: MAX_FILES_PER_REQUEST,
    fields: MAX_FIELDS,
    parts: MAX_FILES_PER_REQUEST + MAX_FIELDS,
    fieldSize: maxFieldBytes,
  }
  let timer: NodeJS.Timeout | undefined
  const tooSlow = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(badRequest('The request takes too long to come.')), MAX_BODY_MS)
  })
  try {
    // Yoga's requests take limits here, which the standard's do not.
    const reading = (request.formData as ReadForm).call(request, { formDataLimits })
    return await Promise.race([reading, tooSlow])
  } catch (error) {
    // What the connection itself refuses, as a body that is too large.
    if (error instanceof GraphQLError) throw error
    const reason = error instanceof Error ? error.message : 'unreadable'
    throw badRequest(`The body is no form that can be read: ${reason}.`)
  } finally {
    clearTimeout(timer)
  }
}

function toParams(form: FormData): GraphQLParams {
  const operations = parseField(form, 'operations')
  const map = form.has('map') ? parseField(form, 'map') : {}
  const places = Object.entries(map).flatMap(([part, paths]) => {
    if (!Array.isArray(paths)) throw badRequest(`In \`map\`, ${JSON.stringify(part)} is no list of paths.`)
    return paths.map((path: unknown) => ({ part, path }))
  })
  if (places.length > MAX_PLACES) throw badRequest(`\`map\` has more than ${MAX_PLACES} paths.`)
  for (const { part, path } of places) placeFile(operations, path, requireFile(form, part))
  // Yoga checks what it is.
  return operations as GraphQLParams
}

function parseField(form: FormData, name: string): Record<string, unknown> {
  const text = form.get(name)
  let value: unknown = null
  try {
    value = typeof text === 'string' ? JSON.parse(text) : null
  } catch {
    // Told below.
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw badRequest(`The field \`${name}\` is no JSON object.`)
  }
  return { ...value }
}

function requireFile(form: FormData, part: string): UploadedFile {
  const file = form.get(part)
  if (file === null || typeof file === 'string')
    throw badRequest(`\`map\` names ${JSON.stringify(part)}, which is no file.`)
  return new UploadedFile({
    name: file.name,
    claimedType: file.type,
    sizeBytes: file.size,
    open: () => file.stream(),
  })
}

/** Puts the file where the path, as `variables.input.file` or `variables.files.0`, finds null. */
function placeFile(operations: Record<string, unknown>, path: unknown, file: UploadedFile): void {
  const parts = typeof path === 'string' ? path.split('.', MAX_PATH_PARTS) : []
  const last = parts.pop()
  let at: unknown = operations
  for (const part of parts) at = isContainer(at) && Object.hasOwn(at, part) ? at[part] : undefined
  const isPlace = parts[0] === 'variables' && last !== undefined && last !== '__proto__' && isContainer(at)
  if (!isPlace || !Object.hasOwn(at as object, last) || (at as Record<string, unknown>)[last] !== null) {
    throw badRequest(
      `\`map\` has the path ${JSON.stringify(path)}, where \`operations\` has no null among the variables.`,
    )
  }
  ;(at as Record<string, unknown>)[last] = file
}

/** An object or a list: JSON's lists have their places as properties too. */
function isContainer(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !(value instanceof UploadedFile)
}

function badRequest(message: string): GateError {
  return new GateError('BAD_REQUEST', message, { http: { status: 400 } })
}
