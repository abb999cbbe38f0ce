// Reads what a Redis server says (RESP2) out of the pieces in which it arrives. A reply is told once it is complete.

export type RedisReply = string | number | null | RedisReplyError | RedisReply[]

export class RedisReplyError extends Error {}

const CR = 13
const INCOMPLETE = Symbol('incomplete')

export class RedisReplyReader {
  #buffer: Buffer = Buffer.alloc(0)
  #position = 0

  /** The replies that became complete with this piece. Throws at what is not Redis' language. */
  read(piece: Buffer): RedisReply[] {
    const rest = this.#buffer.subarray(this.#position)
    this.#buffer = rest.length === 0 ? piece : Buffer.concat([rest, piece])
    this.#position = 0
    const replies: RedisReply[] = []
    while (this.#position < this.#buffer.length) {
      const start = this.#position
      const reply = this.#next()
      if (reply === INCOMPLETE) {
        this.#position = start
        break
      }
      replies.push(reply)
    }
    return replies
  }

  #next(): RedisReply | typeof INCOMPLETE {
    const line = this.#line()
    if (line === null) return INCOMPLETE
    const text = line.slice(1)
    switch (line[0]) {
      case '+':
        return text
      case '-':
        return new RedisReplyError(text)
      case ':':
        return lengthOf(text)
      case '$':
        return this.#bulk(lengthOf(text))
      case '*':
        return this.#list(lengthOf(text))
      default:
        throw new Error('the server does not speak as Redis does')
    }
  }

  #line(): string | null {
    const end = this.#buffer.indexOf(CR, this.#position)
    if (end < 0 || end + 1 >= this.#buffer.length) return null
    const line = this.#buffer.toString('utf8', this.#position, end)
    this.#position = end + 2
    return line
  }

  #bulk(length: number): string | null | typeof INCOMPLETE {
    if (length < 0) return null
    const end = this.#position + length
    if (end + 2 > this.#buffer.length) return INCOMPLETE
    const text = this.#buffer.toString('utf8', this.#position, end)
    this.#position = end + 2
    return text
  }

  #list(length: number): RedisReply[] | null | typeof INCOMPLETE {
    if (length < 0) return null
    const items: RedisReply[] = []
    while (items.length < length) {
      const item = this.#next()
      if (item === INCOMPLETE) return INCOMPLETE
      items.push(item)
    }
    return items
  }
}

function lengthOf(text: string): number {
  const value = /^-?\d+$/.test(text) ? Number(text) : Number.NaN
  if (!Number.isSafeInteger(value)) throw new Error('the server does not speak as Redis does')
  return value
}
