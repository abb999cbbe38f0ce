// Cuts what a Redis server sends into whole replies, so that one of them can be left out without harm to the next.

const CR = 0x0d
const FIRST_DIGITS = 20

/** Of RESP2 and RESP3. Feed it all that the server has sent from the first byte on. */
export class RespFrames {
  #rest: Buffer = Buffer.alloc(0)

  /** The replies and pushes that are whole by now, each with all of its bytes. */
  take(chunk: Buffer): Buffer[] {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    const frames: Buffer[] = []
    let start = 0
    for (;;) {
      const end = endOfFrame(bytes, start)
      if (end === null) break
      frames.push(bytes.subarray(start, end))
      start = end
    }
    this.#rest = bytes.subarray(start)
    return frames
  }
}

/** Where the frame that begins at `start` is over; null where its end has not come yet. */
function endOfFrame(bytes: Buffer, start: number): number | null {
  let at = start
  // How many simple frames are still to come, with the members of those that hold others.
  for (let missing = 1; missing > 0; missing--) {
    const header = readHeader(bytes, at)
    if (header === null) return null
    at = header.end
    if (header.bodyBytes !== null) at += header.bodyBytes
    missing += header.members
    if (at > bytes.length) return null
  }
  return at
}

interface Header {
  end: number
  /** What follows the line, with its own line end; null where nothing does. */
  bodyBytes: number | null
  members: number
}

function readHeader(bytes: Buffer, at: number): Header | null {
  const lineEnd = bytes.indexOf('\r\n', at, 'latin1')
  if (lineEnd < 0) return null
  const end = lineEnd + 2
  const type = String.fromCharCode(bytes[at] ?? CR)
  const count = () => Math.max(0, Number(bytes.toString('latin1', at + 1, Math.min(lineEnd, at + FIRST_DIGITS))))
  switch (type) {
    case '$':
    case '=':
    case '!': {
      const isNull = bytes[at + 1] === '-'.charCodeAt(0)
      return { end, bodyBytes: isNull ? null : count() + 2, members: 0 }
    }
    case '*':
    case '~':
    case '>':
      return { end, bodyBytes: null, members: count() }
    case '%':
      return { end, bodyBytes: null, members: 2 * count() }
    case '|':
      // Attributes stand before the reply that they are about.
      return { end, bodyBytes: null, members: 2 * count() + 1 }
    case '+':
    case '-':
    case ':':
    case '_':
    case '#':
    case ',':
    case '(':
      return { end, bodyBytes: null, members: 0 }
    default:
      throw new Error(`this is not RESP: ${bytes.toString('latin1', at, at + FIRST_DIGITS)}`)
  }
}

const MESSAGE = /^[*>]3\r\n\$(?:7\r\nmessage|8\r\nsmessage)\r\n\$\d+\r\n([^\r]*)\r\n/

/** The channel of a published message as a subscriber gets it; null for every other frame. */
export function channelOf(frame: Buffer): string | null {
  return MESSAGE.exec(frame.toString('latin1', 0, 300))?.[1] ?? null
}
