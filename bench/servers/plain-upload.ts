// Comparator: Node's own server, which pipes a body into a file and knows nothing of resuming, rights or flushing.

import { createWriteStream } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'

const [dir = ''] = process.argv.slice(2)
let count = 0

const server = createServer(async (request, response) => {
  count++
  await pipeline(request, createWriteStream(join(dir, String(count))))
  response.writeHead(204).end()
})
server.listen(0, '127.0.0.1', () => {
  // A TCP server has an address object.
  process.stdout.write(`${(server.address() as AddressInfo).port}\n`)
})
