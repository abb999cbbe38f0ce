import type { IncomingMessage, ServerResponse } from 'node:http'

/** What Node's server hands over with each request. */
export interface NodeContext {
  req?: IncomingMessage
  res?: ServerResponse
}
