import { Readable } from 'node:stream'
import type { ObjectBytes } from '../../src/files/object-bytes.ts'

export interface BytesInMemory extends ObjectBytes {
  /** Of all that was read. */
  readonly bytesRead: number
}

/** An object of the storage that lies in memory. */
export function bytesInMemory(data: Buffer, { chunkBytes = 64 * 1024 } = {}): BytesInMemory {
  let bytesRead = 0
  return {
    sizeBytes: data.length,
    get bytesRead() {
      return bytesRead
    },
    async open({ start, end } = { start: 0, end: data.length - 1 }) {
      function* chunks(): Generator<Buffer> {
        for (let at = start; at <= end; at += chunkBytes) {
          const chunk = data.subarray(at, Math.min(at + chunkBytes, end + 1))
          bytesRead += chunk.length
          yield chunk
        }
      }
      return Readable.from(chunks(), { objectMode: false })
    },
  }
}
