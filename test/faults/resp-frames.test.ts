import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { channelOf, RespFrames } from './resp-frames.ts'

const bulk = (text: string) => `$${Buffer.byteLength(text)}\r\n${text}\r\n`
const message = (channel: string, text: string) => `*3\r\n${bulk('message')}${bulk(channel)}${bulk(text)}`

const FRAMES = [
  '+OK\r\n',
  '-ERR no\r\n',
  ':42\r\n',
  '$-1\r\n',
  '*-1\r\n',
  '*0\r\n',
  '$0\r\n\r\n',
  bulk('with\r\n+line ends and ü'),
  `*2\r\n*2\r\n:1\r\n${bulk('x')}+OK\r\n`,
  message('sohbet:room:1', '{"seq":1}'),
  `*3\r\n${bulk('subscribe')}${bulk('sohbet:room:1')}:1\r\n`,
  `%1\r\n+key\r\n*1\r\n:1\r\n`,
  `|1\r\n+ttl\r\n:3\r\n+OK\r\n`,
  '_\r\n',
  '#t\r\n',
  ',1.5\r\n',
  `>3\r\n${bulk('smessage')}${bulk('shard')}${bulk('m')}`,
]

describe('RespFrames', () => {
  it('gives the same frames wherever the bytes are cut', () => {
    const frame = fc.constantFrom(...FRAMES)
    const check = (frames: string[], cuts: number[]) => {
      const bytes = Buffer.from(frames.join(''))
      const framer = new RespFrames()
      const ends = [...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].toSorted((a, b) => a - b)
      const taken = ends.flatMap((end, index) => framer.take(bytes.subarray(ends[index - 1] ?? 0, end)))
      expect(taken.map(String)).toEqual(frames)
    }
    fc.assert(fc.property(fc.array(frame, { maxLength: 12 }), fc.array(fc.nat(), { maxLength: 12 }), check))
  })

  it('says so when what comes is another protocol', () => {
    expect(() => new RespFrames().take(Buffer.from('HTTP/1.1 200 OK\r\n'))).toThrow('not RESP')
  })

  it('tells published messages from all else', () => {
    const channels = FRAMES.map((frame) => channelOf(Buffer.from(frame))).filter((channel) => channel !== null)
    expect(channels).toEqual(['sohbet:room:1', 'shard'])
  })
})
