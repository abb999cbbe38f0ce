import { connect, type Socket } from 'node:net'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { Route } from '../../src/transport/routes.ts'
import { eventually } from '../support/eventually.ts'
import { type FileHost, startFileHost } from '../support/file-host.ts'

const REQUEST_TIMEOUT_MS = 150

let host: FileHost
let taken = 0
const sockets: Socket[] = []

/** Answers with how much came, or never reads. */
const large: Route = async (request, response) => {
  if (request.url === '/large/unread') return
  for await (const chunk of request) taken += chunk.length
  response.writeHead(200, { connection: 'close' }).end(String(taken))
}

beforeEach(async () => {
  taken = 0
  host = await startFileHost([{ prefix: '/large', route: large }], { requestTimeoutMs: REQUEST_TIMEOUT_MS })
})

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  await host.close()
})

/** A request whose body is still to come; what was answered, and whether the connection is open. */
function begin(path: string, bytes: number) {
  const { hostname, port } = new URL(host.url)
  const socket = connect(Number(port), hostname)
  sockets.push(socket)
  const seen = { socket, answer: '', isClosed: false }
  socket.on('data', (data) => (seen.answer += data))
  socket.on('error', () => {})
  socket.on('close', () => (seen.isClosed = true))
  socket.write(`POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-length: ${bytes}\r\n\r\n`)
  return seen
}

/** Lets the clock go on by so many timeouts, as another connection sees it. */
async function passTimeouts(count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const other = begin('/sign-in', 1000)
    await eventually(() => expect(other.isClosed).toBe(true))
  }
}

it('cuts a small body that does not come, also one that trickles', async () => {
  const silent = begin('/sign-in', 1000)
  const trickling = begin('/sign-in', 1000)
  const trickle = setInterval(() => trickling.socket.write('x'), 20)
  try {
    await eventually(() => expect([silent.isClosed, trickling.isClosed]).toEqual([true, true]))
  } finally {
    clearInterval(trickle)
  }
})

it('takes a large one for as long as something comes', async () => {
  const slow = begin('/large', 10_000)
  let sent = 0
  const send = (bytes: number) => {
    slow.socket.write('x'.repeat(bytes))
    sent += bytes
  }
  const trickle = setInterval(send, 20, 1)
  try {
    await passTimeouts(4)
  } finally {
    clearInterval(trickle)
  }
  send(10_000 - sent)
  await eventually(() => expect(slow.answer).toMatch(/^HTTP\/1.1 200 /))
  expect(taken).toBe(10_000)
})

it('cuts a large one when nothing comes any more', async () => {
  const stalled = begin('/large', 1000)
  stalled.socket.write('x')
  await eventually(() => expect(stalled.isClosed).toBe(true))
  expect(taken).toBe(1)
})

it('does not blame a client that waits for the server', async () => {
  const waiting = begin('/large/unread', 10_000_000)
  waiting.socket.write(Buffer.alloc(9_000_000))
  await passTimeouts(4)
  expect(waiting.isClosed).toBe(false)
})
