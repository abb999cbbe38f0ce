// Comparator: the same bytes to every socket, with ws and nothing else. A line on stdin is a message to broadcast.

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createInterface } from 'node:readline'
import { WebSocketServer } from 'ws'

const server = createServer()
const sockets = new WebSocketServer({ server, perMessageDeflate: false })
server.listen(0, '127.0.0.1', () => {
  // A TCP server has an address object.
  process.stdout.write(`${(server.address() as AddressInfo).port}\n`)
})
createInterface({ input: process.stdin }).on('line', (line) => {
  const bytes = Buffer.from(line)
  for (const socket of sockets.clients) socket.send(bytes, { binary: false })
  process.stdout.write('sent\n')
})
