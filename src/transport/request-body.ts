import type { IncomingMessage } from 'node:http'
import { Transform } from 'node:stream'
import { GraphQLError } from 'graphql'

export function tooLarge(maxBytes: number): GraphQLError {
  return new GraphQLError(`The request is larger than ${maxBytes} bytes.`, {
    extensions: { code: 'PAYLOAD_TOO_LARGE', retryable: false, limit: maxBytes, http: { status: 413 } },
  })
}

/** Whether the request says itself that its body is too large. */
export function announcesTooMuch({ headers }: IncomingMessage, maxBytes: number): boolean {
  return Number(headers['content-length'] ?? 0) > maxBytes
}

/**
 * For a body of unknown length (chunked): the same bytes, failing once there are more than allowed. Node's own parser
 * holds the others to the length that they announce.
 */
export function limitChunkedBody(request: IncomingMessage, maxBytes: number): void {
  if (request.headers['content-length'] !== undefined || request.headers['transfer-encoding'] === undefined) return
  let bytes = 0
  const limited = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length
      done(bytes > maxBytes ? tooLarge(maxBytes) : null, chunk)
    },
  })
  request.on('error', (error) => limited.destroy(error))
  // Where a request has a `body`, the endpoint reads that instead of the request.
  Object.assign(request, { body: request.pipe(limited) })
}
