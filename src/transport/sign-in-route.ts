import type { IncomingMessage } from 'node:http'
import { ValidationError } from '../platform/errors.ts'
import { allowOrigin, type CorsOrigins } from './cors.ts'
import { type Route, sendJson } from './routes.ts'

/** A token for who says so, in development; an operator’s has the scope that makes one. */
export type IssueToken = (name: string, options?: { isOperator: boolean }) => Promise<string>

/** A name of a hundred characters, escaped in JSON, and some more. */
const MAX_SIGN_IN_BYTES = 8_000

/**
 * Development only: `{ "name": "Ada" }` gives `{ "token": "…" }`, with `"operator": true` an operator's; also to pages of
 * the allowed origins.
 */
export function signInRoutes(
  issueToken: IssueToken,
  corsOrigins: CorsOrigins,
): readonly (readonly [method: string, route: Route])[] {
  const answer = signInRoute(issueToken)
  return [
    [
      'POST',
      (request, response) => {
        allowOrigin(corsOrigins, request, response)
        return answer(request, response)
      },
    ],
    [
      'OPTIONS',
      (request, response) => {
        allowOrigin(corsOrigins, request, response)
        response.writeHead(204).end()
      },
    ],
  ]
}

function signInRoute(issueToken: IssueToken): Route {
  return async (request, response) => {
    const body = await readSmallBody(request, MAX_SIGN_IN_BYTES)
    if (body === null) {
      response.setHeader('connection', 'close')
      const message = `The request is larger than ${MAX_SIGN_IN_BYTES} bytes.`
      sendJson(response, 413, { error: { code: 'PAYLOAD_TOO_LARGE', message, limit: MAX_SIGN_IN_BYTES } })
      return
    }
    const who = whoIn(body)
    if (who === null) {
      const message = 'Send JSON as {"name":"Ada"}, or {"name":"Ada","operator":true}.'
      sendJson(response, 400, { error: { code: 'BAD_REQUEST', message } })
      return
    }
    try {
      sendJson(response, 200, { token: await issueToken(who.name, who) })
    } catch (error) {
      if (!(error instanceof ValidationError)) throw error
      sendJson(response, 400, { error: { code: error.code, message: error.message, issues: error.issues } })
    }
  }
}

function whoIn(body: string): { name: string; isOperator: boolean } | null {
  try {
    const parsed: unknown = JSON.parse(body)
    if (typeof parsed !== 'object' || parsed === null || !('name' in parsed)) return null
    const { name } = parsed
    const operator = 'operator' in parsed ? parsed.operator : false
    return typeof name === 'string' && typeof operator === 'boolean' ? { name, isOperator: operator } : null
  } catch {
    return null
  }
}

/** Null where it is larger; the rest is then let go by, so that the answer can be read. */
async function readSmallBody(request: IncomingMessage, maxBytes: number): Promise<string | null> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    bytes += chunk.length
    if (bytes > maxBytes) {
      request.resume()
      return null
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}
