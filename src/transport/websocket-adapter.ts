// Between ws and graphql-ws: frames in, frames out, keep-alive. One timer for all sockets of the node, not one each.
// A client's mistake never reaches the console, and an error of ours ends its socket with a code to come back on.

import type { Server as GraphQLServer } from 'graphql-ws'
import type { WebSocket, WebSocketServer } from 'ws'
import type { Logger } from '../platform/logger.ts'
import { CLOSE_CODES } from './close-codes.ts'
import { DeliveryRounds } from './delivery-rounds.ts'
import { PendingAnswers, spreadOver } from './draining.ts'
import { type OutboundLimits, OutboundQueue } from './outbound-queue.ts'
import { FrameWriter, TextSlabs } from './websocket-frames.ts'

/** What a socket carries. */
export interface SocketExtra {
  readonly socket: WebSocket
  readonly queue: OutboundQueue
  readonly rounds: DeliveryRounds
  readonly texts: TextSlabs
  readonly answers: PendingAnswers
}

export interface Drain {
  /** Over how long the sockets are told to go, in milliseconds. */
  windowMs: number
  /** How long one may take to have its pending operations answered, in milliseconds. */
  answersTimeoutMs: number
  code: number
  reason: string
}

export interface AdapterOptions {
  /**
   * How often a socket is pinged, in milliseconds. One that has not answered by the next ping is half-open and ended;
   * while its queue is full, the queue's own time limit counts.
   */
  keepAliveMs: number
  limits: OutboundLimits
  logger: Logger
}

/** Serves every connection of the server by the protocol, until its owner drains it and ends the keep-alive. */
export function serveSockets(
  sockets: WebSocketServer,
  protocol: GraphQLServer<SocketExtra>,
  { keepAliveMs, limits, logger }: AdapterOptions,
): { stopKeepAlive: () => void; drain: (options: Drain) => Promise<void> } {
  const rounds = new DeliveryRounds()
  const writer = new FrameWriter()
  const texts = new TextSlabs()
  const open = new Map<WebSocket, SocketExtra>()
  const leaving = new WeakSet<WebSocket>()
  const unanswered = new WeakSet<WebSocket>()
  const onSlowReader = () => logger.info('a client reads too slowly; its socket is closed, and it may come back')
  const onError = (error: Error) => logger.debug({ err: error }, 'a socket was ended by an error')
  const onUncleaned = (error: unknown) => logger.error({ err: error }, 'a socket was not cleaned up')
  const answered = function (this: WebSocket) {
    unanswered.delete(this)
  }

  sockets.on('connection', (socket, request) => {
    const queue = new OutboundQueue({
      webSocket: socket,
      connection: request.socket,
      rounds,
      writer,
      limits,
      onSlowReader,
    })
    const extra: SocketExtra = { socket, queue, rounds, texts, answers: new PendingAnswers() }
    open.set(socket, extra)
    const opened = protocol.opened(
      {
        protocol: socket.protocol,
        send: (text) => queue.send(text),
        close: (code, reason) => queue.close(code, reason),
        onMessage: (handle) => {
          socket.on('message', (message) => {
            // It is about to be told to come back, and asks again then; or it was told, and ws goes on reading.
            if (leaving.has(socket) || socket.readyState !== socket.OPEN) return
            handle(String(message)).catch((error: unknown) => {
              if (socket.readyState !== socket.OPEN) return
              logger.error({ err: error }, 'a socket’s message could not be handled')
              queue.close(CLOSE_CODES.TRY_AGAIN_LATER, 'INTERNAL_SERVER_ERROR')
            })
          })
        },
      },
      extra,
    )
    // Malformed or oversized frames; ws closes the socket itself, with the code that says so.
    socket.on('error', onError)
    socket.on('pong', answered)
    socket.once('close', (code, reason) => {
      open.delete(socket)
      opened(code, String(reason)).catch(onUncleaned)
      queue.release()
    })
  })

  const keepAlive = setInterval(() => {
    const nowMs = performance.now()
    for (const [socket, { queue }] of open) {
      // A ping would stand behind all that the client has not read yet.
      if (queue.checkProgress(nowMs)) unanswered.delete(socket)
      else if (unanswered.has(socket)) socket.terminate()
      else if (socket.readyState === socket.OPEN) {
        unanswered.add(socket)
        socket.ping()
      }
    }
  }, keepAliveMs)
  keepAlive.unref()
  return {
    stopKeepAlive: () => clearInterval(keepAlive),
    drain: ({ windowMs, answersTimeoutMs, code, reason }) =>
      spreadOver(open.values(), windowMs, async ({ socket, queue, answers }) => {
        leaving.add(socket)
        await answers.settled(answersTimeoutMs)
        queue.close(code, reason)
      }),
  }
}
