// WebSocket frames as a server writes them (RFC 6455, 5.2): unmasked, whole, text.

const WHOLE_TEXT = 0x81
/** Lengths up to here stand in the second byte itself; the two above them say how many bytes the length takes. */
const SHORT_MAX = 125
const TWO_BYTES = 126
const EIGHT_BYTES = 127

/** Frames in one buffer, ready to be written. `parts` holds two for each: the beginning and the end of its text. */
export function joinFrames(parts: readonly Buffer[], partsBytes: number): Buffer {
  // The longest header for each, since few frames are long; what is not used is cut off.
  const joined = Buffer.allocUnsafe(partsBytes + parts.length * 5)
  let at = 0
  for (let i = 0; i + 1 < parts.length; i += 2) {
    const [start, end] = [parts[i] as Buffer, parts[i + 1] as Buffer] // i + 1 is within
    at = writeHeader(joined, at, start.length + end.length)
    joined.set(start, at)
    at += start.length
    joined.set(end, at)
    at += end.length
  }
  return joined.subarray(0, at)
}

function writeHeader(buffer: Buffer, at: number, length: number): number {
  buffer[at] = WHOLE_TEXT
  if (length <= SHORT_MAX) {
    buffer[at + 1] = length
    return at + 2
  }
  if (length <= 0xffff) {
    buffer[at + 1] = TWO_BYTES
    buffer[at + 2] = length >> 8
    buffer[at + 3] = length & 0xff
    return at + 4
  }
  buffer[at + 1] = EIGHT_BYTES
  return buffer.writeBigUInt64BE(BigInt(length), at + 2)
}
