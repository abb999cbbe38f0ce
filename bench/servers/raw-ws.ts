// Comparator: the same bytes to every socket of a room, with ws and nothing else. Redis brings the finished frame's payload;
// a connection names its room in the path.

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Redis } from 'ioredis'
import { type WebSocket, WebSocketServer } from 'ws'

const PREFIX = process.env.CHANNEL_PREFIX ?? ''

const rooms = new Map<string, Set<WebSocket>>()
const redis = process.env.REDIS_URL ? new Redis(process.env.REDIS_URL) : null
const server = createServer()
const sockets = new WebSocketServer({ server, perMessageDeflate: false })

sockets.on('connection', (socket, request) => {
  const channel = PREFIX + (request.url ?? '/').slice(1)
  let room = rooms.get(channel)
  if (!room) {
    room = new Set()
    rooms.set(channel, room)
    void redis?.subscribe(channel)
  }
  room.add(socket)
  socket.on('close', () => room.delete(socket))
})
redis?.on('messageBuffer', (channel: Buffer, bytes: Buffer) => {
  for (const socket of rooms.get(String(channel)) ?? []) socket.send(bytes, { binary: false })
})
server.listen(0, '127.0.0.1', () => {
  // A TCP server has an address object.
  process.stdout.write(`${(server.address() as AddressInfo).port}\n`)
})
