// Comparator: socket.io, one of its rooms for each room, WebSocket only. A connection names its room in the query of its url.

import { createServer } from 'node:http'
import { Redis } from 'ioredis'
import { Server } from 'socket.io'
import { announce, channelOf, REDIS_URL } from './message.ts'

const server = createServer()
const io = new Server(server, { transports: ['websocket'], serveClient: false })
const redis = new Redis(REDIS_URL)
const listened = new Set<string>()

io.on('connection', (socket) => {
  const channel = channelOf(String(socket.handshake.query.room))
  if (!listened.has(channel)) {
    listened.add(channel)
    redis.subscribe(channel).catch((error: unknown) => {
      throw error
    })
  }
  // With the adapter in memory this is done at once.
  void socket.join(channel)
})
redis.on('message', (channel: string, text: string) => io.to(channel).emit('message', JSON.parse(text)))
server.listen(0, '127.0.0.1', () => announce(server))
