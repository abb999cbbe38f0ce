/** Boxes of the ISO base media format (MP4, MOV, HEIC, AVIF): a size, a type of four letters, and content. */

export interface Box {
  type: string
  /** Positions in the buffer. */
  start: number
  bodyStart: number
  end: number
}

/** A box's size and header, from the 16 bytes at its beginning or what is left of the file; null where it is none. */
export function readBoxHeader(
  head: Buffer,
  bytesLeft: number,
): { type: string; headerBytes: number; sizeBytes: number } | null {
  if (head.length < 8) return null
  const type = head.toString('latin1', 4, 8)
  const short = head.readUInt32BE(0)
  if (short === 0) return { type, headerBytes: 8, sizeBytes: bytesLeft }
  if (short !== 1) return short >= 8 && short <= bytesLeft ? { type, headerBytes: 8, sizeBytes: short } : null
  if (head.length < 16) return null
  const long = Number(head.readBigUInt64BE(8))
  return long >= 16 && long <= bytesLeft ? { type, headerBytes: 16, sizeBytes: long } : null
}

/** The boxes between two positions, as far as they make sense. */
export function listBoxes(data: Buffer, start = 0, end = data.length): Box[] {
  const boxes: Box[] = []
  for (let at = start; at + 8 <= end; ) {
    const header = readBoxHeader(data.subarray(at, Math.min(at + 16, end)), end - at)
    if (header === null) break
    boxes.push({ type: header.type, start: at, bodyStart: at + header.headerBytes, end: at + header.sizeBytes })
    at += header.sizeBytes
  }
  return boxes
}
