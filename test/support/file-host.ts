// A server that answers one feature's paths and nothing else, for what can be told of a route without the service.

import type { AddressInfo } from 'node:net'
import type { Authenticate } from '../../src/auth/authenticator.ts'
import { GateError } from '../../src/platform/errors.ts'
import { createLogger } from '../../src/platform/logger.ts'
import { createHttpServer, type HttpServer } from '../../src/transport/http-server.ts'
import type { MountedRoute } from '../../src/transport/routes.ts'

export const silentLogger = createLogger('silent')

/** The token is the user's id. `expired` is one that has. */
export const authenticateByName: Authenticate = async (authorization) => {
  const userId = /^Bearer (.+)$/.exec(authorization ?? '')?.[1]
  if (userId === undefined) return null
  if (userId === 'expired') throw new GateError('TOKEN_EXPIRED', 'The token has expired.')
  return { userId, issuedAt: null, expiresAt: new Date(Date.now() + 3_600_000), isOperator: false }
}

export interface FileHost {
  readonly url: string
  readonly http: HttpServer
  /** Cuts what is open. */
  close(): Promise<void>
}

export async function startFileHost(
  mounted: readonly MountedRoute[],
  options: { requestTimeoutMs?: number } = {},
): Promise<FileHost> {
  const http = createHttpServer({
    endpoint: Object.assign(async () => {}, { dispose: async () => {} }) as never, // no request of these tests goes there
    schemaText: '',
    isReady: async () => true,
    description: { name: 'Sohbet', version: '0' },
    hasGraphiQL: false,
    issueToken: async () => 'token',
    corsOrigins: ['https://app.example.com'],
    maxBodyBytes: 1024,
    maxUploadBytes: 1024,
    mounted,
    drainTimeoutMs: 1000,
    ...options,
    logger: silentLogger,
  })
  await new Promise<void>((resolve, reject) => {
    http.server.once('error', reject)
    http.server.listen(0, '127.0.0.1', resolve)
  })
  return {
    // A TCP server has an address object.
    url: `http://127.0.0.1:${(http.server.address() as AddressInfo).port}`,
    http,
    close: () =>
      new Promise((resolve) => {
        http.server.close(() => resolve())
        http.server.closeAllConnections()
      }),
  }
}
