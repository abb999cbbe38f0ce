import type { IncomingMessage, ServerResponse } from 'node:http'
import { Readable, Transform } from 'node:stream'
import { GraphQLError } from 'graphql'

export interface BodyLimit {
  maxBytes: number
  /** Of a body that is larger because it has files: how large these may be, for whom it is too large. */
  maxFileBytes?: number
}

/**
 * Gives the endpoint, instead of a body that is too large, a stream that fails: at once where the request announces its
 * length, else (chunked) with the first byte that is too many. Node's own parser holds the others to what they announce.
 */
export function limitBody(request: IncomingMessage, response: ServerResponse, limit: BodyLimit): void {
  const { maxBytes } = limit
  const { 'content-length': announced, 'transfer-encoding': encoding } = request.headers
  const isTooLong = Number(announced ?? 0) > maxBytes
  if (!isTooLong && (announced !== undefined || encoding === undefined)) return
  const limited = isTooLong ? failingBody(limit) : countedBody(request, limit)
  // What is not read stays in the connection: it cannot be used again.
  limited.once('error', () => {
    // Who sends files is heard to the end: see useMultipartRequests.
    if (!response.headersSent && limit.maxFileBytes === undefined) response.setHeader('connection', 'close')
    request.resume()
  })
  // Where a request has a `body`, the endpoint reads that instead of the request.
  Object.assign(request, { body: limited })
}

function failingBody(limit: BodyLimit): Readable {
  return new Readable({
    read() {
      this.destroy(tooLarge(limit))
    },
  })
}

function countedBody(request: IncomingMessage, limit: BodyLimit): Readable {
  let bytes = 0
  const counted = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length
      done(bytes > limit.maxBytes ? tooLarge(limit) : null, chunk)
    },
  })
  request.on('error', (error) => counted.destroy(error))
  return request.pipe(counted)
}

function tooLarge({ maxBytes, maxFileBytes }: BodyLimit): GraphQLError {
  const http = { status: 413 }
  if (maxFileBytes !== undefined) {
    return new GraphQLError(`Files of at most ${maxFileBytes} bytes are taken by this way.`, {
      extensions: { code: 'FILE_TOO_LARGE', retryable: false, maxBytes: maxFileBytes, http },
    })
  }
  return new GraphQLError(`The request is larger than ${maxBytes} bytes.`, {
    extensions: { code: 'PAYLOAD_TOO_LARGE', retryable: false, limit: maxBytes, http },
  })
}
