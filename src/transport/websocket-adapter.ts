// Between ws and graphql-ws: frames in, frames out, keep-alive. One timer for all sockets of the node, not one each.
// A client's mistake never reaches the console, and an error of ours ends its socket with a code to come back on.

import type { IncomingMessage } from 'node:http'
import type { Server as GraphQLServer } from 'graphql-ws'
import type { WebSocket, WebSocketServer } from 'ws'
import type { Logger } from '../platform/logger.ts'
import { CLOSE_CODES } from './close-codes.ts'

export interface SocketExtra {
  socket: WebSocket
  request: IncomingMessage
}

export interface AdapterOptions {
  /**
   * How often a socket is pinged, in milliseconds. One that has not answered by the next ping is half-open and ended.
   */
  keepAliveMs: number
  logger: Logger
}

/** Serves every connection of the server by the protocol. Returns a function that ends the keep-alive. */
export function serveSockets(
  sockets: WebSocketServer,
  protocol: GraphQLServer<SocketExtra>,
  { keepAliveMs, logger }: AdapterOptions,
): () => void {
  const unanswered = new WeakSet<WebSocket>()

  sockets.on('connection', (socket, request) => {
    const opened = protocol.opened(
      {
        protocol: socket.protocol,
        // Resolves when the frame is handed to the kernel: graphql-ws then asks for the stream's next item.
        send: (frame) =>
          new Promise((resolve, reject) => {
            if (socket.readyState !== socket.OPEN) resolve()
            else socket.send(frame, (error) => (error ? reject(error) : resolve()))
          }),
        close: (code, reason) => socket.close(code, reason),
        onMessage: (handle) => {
          socket.on('message', (message) => {
            handle(String(message)).catch((error: unknown) => {
              if (socket.readyState !== socket.OPEN) return
              logger.error({ err: error }, 'a socket’s message could not be handled')
              socket.close(CLOSE_CODES.TRY_AGAIN_LATER, 'INTERNAL_SERVER_ERROR')
            })
          })
        },
      },
      { socket, request },
    )
    // Malformed or oversized frames; ws closes the socket itself, with the code that says so.
    socket.on('error', (error) => logger.debug({ err: error }, 'a socket was ended by an error'))
    socket.on('pong', () => unanswered.delete(socket))
    socket.once('close', (code, reason) => {
      opened(code, String(reason)).catch((error: unknown) =>
        logger.error({ err: error }, 'a socket was not cleaned up'),
      )
    })
  })

  const keepAlive = setInterval(() => {
    for (const socket of sockets.clients) {
      if (unanswered.has(socket)) socket.terminate()
      else if (socket.readyState === socket.OPEN) {
        unanswered.add(socket)
        socket.ping()
      }
    }
  }, keepAliveMs)
  keepAlive.unref()
  return () => clearInterval(keepAlive)
}
