import type { IncomingMessage, ServerResponse } from 'node:http'
import { Readable, Transform } from 'node:stream'
import { GraphQLError } from 'graphql'

/**
 * Gives the endpoint, instead of a body that is too large, a stream that fails: at once where the request announces its
 * length, else (chunked) with the first byte that is too many. Node's own parser holds the others to what they announce.
 */
export function limitBody(request: IncomingMessage, response: ServerResponse, maxBytes: number): void {
  const { 'content-length': announced, 'transfer-encoding': encoding } = request.headers
  const isTooLong = Number(announced ?? 0) > maxBytes
  if (!isTooLong && (announced !== undefined || encoding === undefined)) return
  const limited = isTooLong ? failingBody(maxBytes) : countedBody(request, maxBytes)
  // What is not read stays in the connection: it cannot be used again.
  limited.once('error', () => {
    if (!response.headersSent) response.setHeader('connection', 'close')
    request.resume()
  })
  // Where a request has a `body`, the endpoint reads that instead of the request.
  Object.assign(request, { body: limited })
}

function failingBody(maxBytes: number): Readable {
  return new Readable({
    read() {
      this.destroy(tooLarge(maxBytes))
    },
  })
}

function countedBody(request: IncomingMessage, maxBytes: number): Readable {
  let bytes = 0
  const counted = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length
      done(bytes > maxBytes ? tooLarge(maxBytes) : null, chunk)
    },
  })
  request.on('error', (error) => counted.destroy(error))
  return request.pipe(counted)
}

function tooLarge(maxBytes: number): GraphQLError {
  return new GraphQLError(`The request is larger than ${maxBytes} bytes.`, {
    extensions: { code: 'PAYLOAD_TOO_LARGE', retryable: false, limit: maxBytes, http: { status: 413 } },
  })
}
