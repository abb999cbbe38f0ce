/**
 * A scanner behind HTTP. It is sent the file as the body of a POST (`application/octet-stream`, with its length) and answers
 *   200, 204  clean, unless a JSON body says `{"verdict":"INFECTED","name":"…"}`
 *   406       infected; a JSON body may hold its `name`, else the text is taken for it
 *   413       larger than what it scans
 * Everything else, redirects too, is no verdict.
 */
import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import {
  askScanner,
  cleanVirusName,
  MAX_ANSWER_BYTES,
  ScannerUnavailableError,
  type Verdict,
  type VirusScanner,
} from './virus-scanner.ts'

export interface HttpScannerOptions {
  /** http or https; a user name and password in it are sent as Basic authentication. */
  url: string
  /** Without anything coming or going on the connection. */
  idleTimeoutMs: number
}

interface Answer {
  status: number
  body: string
}

export function createHttpScanner(options: HttpScannerOptions): VirusScanner {
  return {
    async scan(bytes, sizeBytes, signal) {
      try {
        signal?.throwIfAborted()
        return await scan(bytes, sizeBytes, options, signal)
      } finally {
        bytes.destroy()
      }
    },
  }
}

async function scan(
  bytes: Readable,
  sizeBytes: number,
  { url, idleTimeoutMs }: HttpScannerOptions,
  signal: AbortSignal | undefined,
): Promise<Verdict> {
  const request = (url.startsWith('https:') ? httpsRequest : httpRequest)(url, {
    method: 'POST',
    headers: { 'content-type': 'application/octet-stream', 'content-length': sizeBytes, accept: 'application/json' },
    // A connection of its own: one that was kept may be closed by now, and a stream cannot be sent twice.
    agent: false,
    timeout: idleTimeoutMs,
    signal,
  })
  request.once('timeout', () => request.destroy(new Error(`The scanner was silent for ${idleTimeoutMs} ms`)))
  return askScanner(request, {
    ...{ name: 'the scanner', bytes, signal, verdictOf },
    send: () => pipeline(bytes, request),
    readAnswer: () => readAnswer(request),
  })
}

function readAnswer(request: ClientRequest): Promise<Answer> {
  return new Promise((resolve, reject) => {
    request.once('error', reject)
    request.once('close', () => reject(new Error('The connection was closed without an answer')))
    request.once('response', (response) => {
      readBody(response).then((body) => resolve({ status: response.statusCode ?? 0, body }), reject)
    })
  })
}

async function readBody(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of response) {
    chunks.push(chunk)
    bytes += chunk.length
    if (bytes > MAX_ANSWER_BYTES) throw new Error(`The answer is longer than ${MAX_ANSWER_BYTES} bytes`)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function verdictOf({ status, body }: Answer, isAllSent: boolean): Verdict {
  const said = parse(body)
  if (status === 406) return { verdict: 'INFECTED', name: cleanVirusName(said?.name ?? body) }
  if (status === 413) return { verdict: 'TOO_LARGE' }
  if (status !== 200 && status !== 204) throw new ScannerUnavailableError(`The scanner answered with status ${status}`)
  if (said?.verdict === 'INFECTED') return { verdict: 'INFECTED', name: cleanVirusName(said.name ?? '') }
  if (said?.verdict !== undefined && said.verdict !== 'CLEAN') {
    throw new ScannerUnavailableError('The scanner answered with a verdict that it should not know')
  }
  // Of half of a file nothing good can be said.
  if (!isAllSent) throw new ScannerUnavailableError('The scanner answered before it had the whole file')
  return { verdict: 'CLEAN' }
}

/** What a JSON body says; null where it is no JSON object. */
function parse(body: string): { verdict?: string; name?: string } | null {
  try {
    const value: unknown = JSON.parse(body)
    if (typeof value !== 'object' || value === null) return null
    const text = (name: string): string | undefined => {
      const field: unknown = Reflect.get(value, name)
      return typeof field === 'string' ? field : undefined
    }
    return { verdict: text('verdict'), name: text('name') }
  } catch {
    return null
  }
}
