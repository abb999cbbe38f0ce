/**
 * A stored object as a Blob, for libraries that read here and there. It reads by pages, keeps the last few, and ends the
 * reading, by an error, that has become too much.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { type ObjectBytes, readBytes } from './object-bytes.ts'

const PAGE_BYTES = 128 * 1024
const MAX_PAGES_KEPT = 8
/** Reads between two turns of the event loop: a file of nothing but tiny boxes must not hold it up. */
const READS_PER_TURN = 200

export interface ReadingLimits {
  maxBytes: number
  signal: AbortSignal
}

/** The part of Blob that readers at random positions use. */
export interface RangedBlob {
  readonly size: number
  readonly type: string
  slice(start: number, end: number): { arrayBuffer(): Promise<ArrayBuffer> }
}

export function rangedBlob(bytes: ObjectBytes, type: string, { maxBytes, signal }: ReadingLimits): RangedBlob {
  const pages = new Map<number, Buffer>()
  let read = 0
  let reads = 0

  async function page(index: number): Promise<Buffer> {
    const kept = pages.get(index)
    if (kept !== undefined) return kept
    const start = index * PAGE_BYTES
    const length = Math.min(PAGE_BYTES, bytes.sizeBytes - start)
    read += length
    if (read > maxBytes) throw new Error(`More than ${maxBytes} bytes would have to be read`)
    const data = await readBytes(bytes, start, length, signal)
    const oldest = pages.keys().next()
    if (pages.size >= MAX_PAGES_KEPT && oldest.value !== undefined) pages.delete(oldest.value)
    pages.set(index, data)
    return data
  }

  async function slice(from: number, to: number): Promise<ArrayBuffer> {
    signal.throwIfAborted()
    if (++reads % READS_PER_TURN === 0) await nextTurn()
    const start = Math.max(0, from)
    const end = Math.min(to, bytes.sizeBytes)
    if (end <= start) return new ArrayBuffer(0)
    if (end - start > maxBytes) throw new Error(`More than ${maxBytes} bytes would have to be read`)
    const result = new Uint8Array(end - start)
    for (let at = start; at < end; ) {
      const data = await page(Math.floor(at / PAGE_BYTES))
      const part = data.subarray(at % PAGE_BYTES, (at % PAGE_BYTES) + end - at)
      result.set(part, at - start)
      at += part.length
    }
    return result.buffer
  }

  return { size: bytes.sizeBytes, type, slice: (start, end) => ({ arrayBuffer: () => slice(start, end) }) }
}
