import type { Readable } from 'node:stream'

/** The first byte and the last one, both included, as the storage counts them. */
export interface ByteRange {
  start: number
  end: number
}

/** An object in the storage, readable as often as needed. */
export interface ObjectBytes {
  readonly sizeBytes: number
  /** The whole object, or a range that lies within it. The stream is destroyed by whoever has opened it. */
  open(range?: ByteRange): Promise<Readable>
}

/** Reads so many bytes into memory, all of which the object has. */
export async function readBytes(
  bytes: ObjectBytes,
  start: number,
  count: number,
  signal?: AbortSignal,
): Promise<Buffer> {
  signal?.throwIfAborted()
  if (count <= 0) return Buffer.alloc(0)
  const stream = await bytes.open({ start, end: start + count - 1 })
  const abort = () => stream.destroy(asError(signal?.reason))
  signal?.addEventListener('abort', abort)
  try {
    signal?.throwIfAborted()
    const chunks: Buffer[] = []
    let received = 0
    for await (const chunk of stream) {
      chunks.push(chunk)
      received += chunk.length
      if (received >= count) break
    }
    if (received < count) throw new Error(`The object ended ${count - received} bytes early`)
    return Buffer.concat(chunks, count)
  } finally {
    signal?.removeEventListener('abort', abort)
    stream.destroy()
  }
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error('Aborted', { cause: reason })
}
