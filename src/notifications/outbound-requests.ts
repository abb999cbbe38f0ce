// The one door by which notifications leave: a POST to a server that somebody else has named. Invariants: the address that
// is connected to has been judged, whatever the name resolved to before or resolves to next; nothing is followed; time and
// what is read of the answer are bounded.

import { lookup as systemLookup } from 'node:dns'
import { type IncomingMessage, request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { isIP, type LookupFunction, type Socket } from 'node:net'
import { isPublicAddress } from './outbound-addresses.ts'

export interface OutboundOptions {
  /** Whether private addresses may be connected to. */
  allowsPrivate: boolean
  /** From the start to the end of the answer. */
  timeoutMs: number
  /** How this server calls itself. */
  userAgent: string
  /** How names are resolved. Default: as the system does. */
  lookup?: LookupFunction
  /** Certificates that are trusted instead of those that Node comes with. */
  ca?: string
}

export interface OutboundRequest {
  url: URL
  headers: Readonly<Record<string, string | number>>
  body: string | Buffer
  /** Ends it early. */
  signal?: AbortSignal
}

export interface OutboundAnswer {
  status: number
  /** The header of that name, as it came. */
  retryAfter: string | null
  /** The beginning of the body. */
  body: string
}

export type OutboundFailure = 'ADDRESS_NOT_ALLOWED' | 'TIMEOUT' | 'NO_ANSWER'

/** There is no answer. The message is for the delivery log. */
export class OutboundError extends Error {
  readonly code: OutboundFailure

  constructor(code: OutboundFailure, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'OutboundError'
    this.code = code
  }
}

export type Post = (request: OutboundRequest) => Promise<OutboundAnswer>

const MAX_CONNECT_MS = 5_000
const MAX_ANSWER_BYTES = 64 * 1024

/** Rejects with OutboundError where there is no answer. Any status is an answer. */
export function createPost(options: OutboundOptions): Post {
  const { allowsPrivate, timeoutMs, userAgent, ca } = options
  const lookup = judging(options.lookup ?? systemLookup, allowsPrivate)
  return ({ url, headers, body, signal }) =>
    new Promise((resolve, reject) => {
      const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
      // No lookup is made for an address.
      if (!allowsPrivate && isIP(host) > 0 && !isPublicAddress(host)) return reject(refusal(host, host))
      const isTls = url.protocol === 'https:'
      // An agent of its own, so that no connection outlives the request and no proxy is taken from the environment.
      const request = (isTls ? requestHttps : requestHttp)(url, {
        method: 'POST',
        agent: false,
        headers: { 'user-agent': userAgent, ...headers, 'content-length': Buffer.byteLength(body) },
        lookup,
        ...(ca === undefined ? {} : { ca }),
        ...(signal ? { signal } : {}),
      })
      const giveUp = (afterMs: number, what: string) =>
        setTimeout(() => request.destroy(new OutboundError('TIMEOUT', `${what} within ${afterMs} ms`)), afterMs)
      const connecting = giveUp(Math.min(MAX_CONNECT_MS, timeoutMs), 'no connection')
      const answering = giveUp(timeoutMs, 'no answer')
      request.on('socket', (socket: Socket) => {
        socket.once(isTls ? 'secureConnect' : 'connect', () => clearTimeout(connecting))
      })
      request.on('close', () => {
        clearTimeout(connecting)
        clearTimeout(answering)
      })
      let isAnswered = false
      request.on('error', (error) => {
        if (!isAnswered) reject(toOutboundError(error))
      })
      request.on('response', (response) => {
        isAnswered = true
        void readAnswer(response).then(resolve, reject)
      })
      request.end(body)
    })
}

/** The status counts as soon as it is there: a body that is cut, or comes too slowly, takes nothing back. */
async function readAnswer(response: IncomingMessage): Promise<OutboundAnswer> {
  const chunks: Buffer[] = []
  let bytes = 0
  try {
    for await (const chunk of response) {
      // Without an encoding, chunks are buffers.
      chunks.push(chunk as Buffer)
      bytes += chunks.at(-1)?.length ?? 0
      if (bytes >= MAX_ANSWER_BYTES) break
    }
  } catch {}
  response.destroy()
  return {
    status: response.statusCode ?? 0,
    retryAfter: response.headers['retry-after'] ?? null,
    body: Buffer.concat(chunks).subarray(0, MAX_ANSWER_BYTES).toString('utf8'),
  }
}

/** Resolves as the given one does, and refuses where any of the addresses is private: the connection takes what it likes. */
function judging(lookup: LookupFunction, allowsPrivate: boolean): LookupFunction {
  if (allowsPrivate) return lookup
  return (hostname, options, callback) =>
    lookup(hostname, options, (error, found, family) => {
      if (error) return callback(error, found, family)
      const addresses = typeof found === 'string' ? [found] : found.map(({ address }) => address)
      const refused = addresses.find((address) => !isPublicAddress(address))
      if (refused === undefined) callback(null, found, family)
      else callback(refusal(hostname, refused), '', 0)
    })
}

function refusal(host: string, address: string): OutboundError {
  const what = host === address ? address : `${host} is ${address}, which`
  return new OutboundError('ADDRESS_NOT_ALLOWED', `${what} is not an address of the public internet`)
}

function toOutboundError(error: Error): OutboundError {
  if (error instanceof OutboundError) return error
  const parts = error instanceof AggregateError && error.message === '' ? error.errors.map(String) : [error.message]
  return new OutboundError('NO_ANSWER', parts.join('; '), { cause: error })
}
