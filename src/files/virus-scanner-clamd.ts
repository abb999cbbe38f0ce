/**
 * clamd, over TCP or a Unix socket, by its command INSTREAM (clamd(8)): chunks with their length before them, an empty
 * one at the end, and one line as the answer. clamd may answer before the end, when it has seen enough, and then closes the
 * connection: its answer can get lost over what is being written. Then there is no verdict, and another try gets it.
 */
import { connect, type Socket } from 'node:net'
import type { Readable } from 'node:stream'
import { setImmediate as nextTurn } from 'node:timers/promises'
import {
  askScanner,
  cleanVirusName,
  MAX_ANSWER_BYTES,
  ScannerUnavailableError,
  type Verdict,
  type VirusScanner,
} from './virus-scanner.ts'

export interface ClamdOptions {
  address: { host: string; port: number } | { path: string }
  /** Without anything coming or going on the connection. Large archives take clamd a while. */
  idleTimeoutMs: number
}

/** The z commands end, and are answered, with a zero byte. */
const COMMAND = 'zINSTREAM\0'
const END_OF_STREAM = Buffer.alloc(4)
/** clamd takes longer chunks, but not by contract. */
const MAX_CHUNK_BYTES = 256 * 1024

export function createClamdScanner(options: ClamdOptions): VirusScanner {
  return {
    async scan(bytes, _sizeBytes, signal) {
      try {
        signal?.throwIfAborted()
        return await scan(bytes, options, signal)
      } finally {
        bytes.destroy()
      }
    },
  }
}

async function scan(bytes: Readable, { address, idleTimeoutMs }: ClamdOptions, signal?: AbortSignal): Promise<Verdict> {
  const socket = connect({ ...address, signal })
  socket.setTimeout(idleTimeoutMs, () => socket.destroy(new Error(`clamd was silent for ${idleTimeoutMs} ms`)))
  return askScanner(socket, {
    ...{ name: 'clamd', bytes, signal, verdictOf },
    // A clamd that has seen enough answers and reads no further.
    send: () => send(bytes, socket),
    readAnswer: () => readAnswer(socket),
  })
}

async function send(bytes: Readable, socket: Socket): Promise<void> {
  socket.once('close', () => bytes.destroy())
  await write(socket, COMMAND)
  for await (const chunk of bytes) {
    for (let at = 0; at < chunk.length; at += MAX_CHUNK_BYTES) {
      // First a turn of the event loop: writing to a clamd that has closed the connection loses the answer that it gave
      // before, where that has come and is not read yet.
      await nextTurn()
      await write(socket, framed(chunk.subarray(at, at + MAX_CHUNK_BYTES)))
    }
  }
  // The socket stays open for the answer; its end would end the scan.
  await write(socket, END_OF_STREAM)
}

/** When the system has taken it. */
function write(socket: Socket, data: string | Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.write(data, (error) => (error ? reject(error) : resolve()))
  })
}

function framed(chunk: Buffer): Buffer {
  const frame = Buffer.allocUnsafe(4 + chunk.length)
  frame.writeUInt32BE(chunk.length)
  chunk.copy(frame, 4)
  return frame
}

function readAnswer(socket: Socket): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = Buffer.alloc(0)
    const finish = () => resolve(answer.toString('utf8'))
    socket.on('data', (data) => {
      answer = Buffer.concat([answer, data])
      const end = answer.indexOf(0)
      if (end !== -1) answer = answer.subarray(0, end)
      if (end !== -1 || answer.length > MAX_ANSWER_BYTES) finish()
    })
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('The connection was closed without an answer')))
  })
}

function verdictOf(answer: string, isAllSent: boolean): Verdict {
  const text = answer.replace(/^stream: /, '').trim()
  if (text.endsWith(' FOUND')) return { verdict: 'INFECTED', name: cleanVirusName(text.slice(0, -' FOUND'.length)) }
  if (/size limit exceeded/i.test(text)) return { verdict: 'TOO_LARGE' }
  // Of half of a file nothing good can be said.
  if (text === 'OK' && isAllSent) return { verdict: 'CLEAN' }
  throw new ScannerUnavailableError(`clamd answered ${JSON.stringify(text.slice(0, 200))}`)
}
