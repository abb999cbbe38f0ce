import type { FileHandle } from 'node:fs/promises'

/**
 * Writes all of the source from the position on, one chunk after the other; gives the position after the last. A stream of
 * Node's would close the file itself, before it can be flushed.
 */
export async function writeFrom(
  file: FileHandle,
  source: AsyncIterable<Uint8Array>,
  position: number,
): Promise<number> {
  let at = position
  for await (const chunk of source) {
    for (let done = 0; done < chunk.byteLength; ) {
      const { bytesWritten } = await file.write(chunk, done, chunk.byteLength - done, at)
      done += bytesWritten
      at += bytesWritten
    }
  }
  return at
}
