// Virus scanners that a test runs: one speaks clamd's protocol, one HTTP. Both find EICAR's test file, take a limited size,
// and can be told to misbehave.

import { mkdtemp, rm } from 'node:fs/promises'
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Every scanner knows it. Put together here, so that none takes this file for one. */
export const EICAR = Buffer.from(['X5O!P%@AP[4\\PZX54(P^)7CC)7}$', 'EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*'].join(''))
export const MAX_SCANNED_BYTES = 2_000_000

/** SILENT takes everything and says nothing; CUT ends the connection in the middle; HASTY says OK before it has seen all. */
export type ScannerMood = 'WELL' | 'SILENT' | 'CUT' | 'HASTY' | 'CONFUSED'

export interface ScannerServer {
  mood: ScannerMood
  /** Of the last file, as far as it came. */
  readonly received: Buffer
  readonly address: { host: string; port: number } | { path: string }
  close(): Promise<void>
}

export async function startClamdServer({ unix = false } = {}): Promise<ScannerServer> {
  const folder = await mkdtemp(join(tmpdir(), 'sohbet-clamd-'))
  const connections = new Set<Socket>()
  const state = { mood: 'WELL' as ScannerMood, received: Buffer.alloc(0) }
  const server = createServer((socket) => {
    connections.add(socket)
    socket.on('error', () => {})
    socket.once('close', () => connections.delete(socket))
    speakClamd(socket, state)
  })
  const path = join(folder, 'clamd.ctl')
  const address = await listen(server, unix ? path : null)
  return Object.assign(state, {
    address,
    async close() {
      for (const socket of connections) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
      await rm(folder, { recursive: true, force: true })
    },
  })
}

interface State {
  mood: ScannerMood
  received: Buffer
}

const COMMAND = Buffer.from('zINSTREAM\0')

function speakClamd(socket: Socket, state: State): void {
  let pending = Buffer.alloc(0)
  let isOpen = false
  state.received = Buffer.alloc(0)
  socket.on('data', (data) => {
    pending = Buffer.concat([pending, data])
    if (!isOpen && pending.length >= COMMAND.length) {
      isOpen = true
      if (!greet(socket, pending.subarray(0, COMMAND.length), state.mood)) return
      pending = pending.subarray(COMMAND.length)
    }
    for (let chunk = isOpen ? firstChunk(pending) : null; chunk !== null; chunk = firstChunk(pending)) {
      pending = pending.subarray(4 + chunk.length)
      state.received = Buffer.concat([state.received, chunk])
      const answer = clamdAnswer(chunk, state)
      if (answer !== null) socket.end(`${answer}\0`)
    }
  })
}

/** Whether it listens to what follows. */
function greet(socket: Socket, command: Buffer, mood: ScannerMood): boolean {
  if (!command.equals(COMMAND)) socket.end('UNKNOWN COMMAND\0')
  else if (mood === 'CUT') socket.destroy()
  else if (mood === 'HASTY') socket.write('stream: OK\0', () => socket.destroySoon())
  else return true
  return false
}

function firstChunk(pending: Buffer): Buffer | null {
  const length = pending.length < 4 ? Number.POSITIVE_INFINITY : pending.readUInt32BE(0)
  return pending.length < 4 + length ? null : pending.subarray(4, 4 + length)
}

function clamdAnswer(chunk: Buffer, { received, mood }: State): string | null {
  if (mood === 'SILENT') return null
  if (received.length > MAX_SCANNED_BYTES) return 'INSTREAM size limit exceeded. ERROR'
  if (chunk.length > 0) return null
  if (mood === 'CONFUSED') return 'stream: Can not open file ERROR'
  return received.includes(EICAR) ? 'stream: Eicar-Signature FOUND' : 'stream: OK'
}

export async function startHttpScanner(): Promise<ScannerServer> {
  const state = { mood: 'WELL' as ScannerMood, received: Buffer.alloc(0) }
  const server = createHttpServer((request, response) => {
    answerHttp(request, response, state).catch(() => response.destroy())
  })
  const address = await listen(server, null)
  return Object.assign(state, {
    address,
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  })
}

async function answerHttp(request: IncomingMessage, response: ServerResponse, state: State): Promise<void> {
  state.received = Buffer.alloc(0)
  if (state.mood === 'CUT') return void request.socket.destroy()
  if (state.mood === 'HASTY')
    return void response.writeHead(200, { connection: 'close' }).end(() => request.socket.destroySoon())
  if (Number(request.headers['content-length']) > MAX_SCANNED_BYTES) return void response.writeHead(413).end()
  for await (const chunk of request) state.received = Buffer.concat([state.received, chunk])
  if (state.mood === 'SILENT') return
  if (state.mood === 'CONFUSED') return void response.writeHead(302, { location: '/' }).end()
  if (state.received.includes(EICAR)) response.writeHead(406).end(JSON.stringify({ name: 'Eicar-Signature' }))
  else response.writeHead(200).end()
}

async function listen(server: Server, path: string | null): Promise<ScannerServer['address']> {
  await new Promise<void>((resolve) =>
    path === null ? server.listen(0, '127.0.0.1', resolve) : server.listen(path, resolve),
  )
  if (path !== null) return { path }
  // A server that listens on a port has such an address.
  return { host: '127.0.0.1', port: (server.address() as AddressInfo).port }
}
