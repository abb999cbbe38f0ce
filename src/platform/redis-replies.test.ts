import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { RedisReplyError, RedisReplyReader } from './redis-replies.ts'

const bulk = (text: string) => `$${Buffer.byteLength(text)}\r\n${text}\r\n`
const message = (channel: string, text: string) => `*3\r\n${bulk('smessage')}${bulk(channel)}${bulk(text)}`

describe('what Redis says', () => {
  it('is read whole, wherever it was cut on the way', () => {
    const textArbitrary = fc.string({ unit: 'binary', maxLength: 40 })
    fc.assert(
      fc.property(fc.array(textArbitrary, { maxLength: 8 }), fc.array(fc.nat(300)), (texts, cuts) => {
        const bytes = Buffer.from(texts.map((text) => message('çay', text)).join(''))
        const reader = new RedisReplyReader()
        const at = [0, ...cuts.filter((cut) => cut < bytes.length).toSorted((a, b) => a - b), bytes.length]
        const replies = at.slice(1).flatMap((end, i) => reader.read(bytes.subarray(at[i], end)))
        expect(replies).toEqual(texts.map((text) => ['smessage', 'çay', text]))
      }),
    )
  })

  it('may be a word, a number, nothing, a list or an error', () => {
    const replies = new RedisReplyReader().read(Buffer.from('+OK\r\n:-1\r\n$-1\r\n*-1\r\n*0\r\n-MOVED 1 a:1\r\n'))
    expect(replies).toEqual(['OK', -1, null, null, [], new RedisReplyError('MOVED 1 a:1')])
  })

  it.each(['HTTP/1.1 400 Bad Request\r\n', '$x\r\n', '*1.5\r\n'])('is not %j', (text) => {
    expect(() => new RedisReplyReader().read(Buffer.from(text))).toThrow('does not speak as Redis does')
  })
})
