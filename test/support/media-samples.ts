// Sounds and films of silence and nothing, written byte by byte.

/** 8 kHz, one channel, 8 bits. */
export function wav(seconds: number): Buffer {
  const samples = Buffer.alloc(8000 * seconds, 128)
  const header = Buffer.alloc(44)
  header.write('RIFF', 0)
  header.writeUInt32LE(36 + samples.length, 4)
  header.write('WAVEfmt ', 8)
  header.writeUInt32LE(16, 16)
  header.writeUInt16LE(1, 20)
  header.writeUInt16LE(1, 22)
  header.writeUInt32LE(8000, 24)
  header.writeUInt32LE(8000, 28)
  header.writeUInt16LE(1, 32)
  header.writeUInt16LE(8, 34)
  header.write('data', 36)
  header.writeUInt32LE(samples.length, 40)
  return Buffer.concat([header, samples])
}

/** MPEG-1 layer III, 128 kbit/s, 44.1 kHz: 417 bytes and 26.12 ms a frame. */
export function mp3(frameCount: number): Buffer {
  const frame = Buffer.alloc(417)
  frame.set([0xff, 0xfb, 0x90, 0xc4])
  return Buffer.concat(Array.from({ length: frameCount }, () => frame))
}

export interface Mp4Sample {
  seconds?: number
  width?: number
  height?: number
  /** As a phone does that was held upright. */
  isTurned?: boolean
  /** Stands where phones write the place. */
  place?: string
  /** Beside the place. */
  title?: string
  hasSound?: boolean
  hasPicture?: boolean
  /** Of the film's data, which stands before the index. */
  dataBytes?: number
}

export function mp4(sample: Mp4Sample = {}): Buffer {
  const { seconds = 3, hasPicture = true, hasSound = false, place, title, dataBytes = 5000 } = sample
  const tracks = [
    ...(hasPicture ? [track(1, 'vide', seconds, sample)] : []),
    ...(hasSound ? [track(2, 'soun', seconds, { ...sample, width: 0, height: 0 })] : []),
  ]
  const note = (type: string, text: string | undefined) =>
    text === undefined ? [] : [box(type, u16(text.length), u16(0x15c7), ascii(text))]
  const notes = [...note('©nam', title), ...note('©xyz', place)]
  const user = notes.length === 0 ? [] : [box('udta', ...notes)]
  const header = fullBox(
    'mvhd',
    zeros(8),
    u32(1000),
    u32(seconds * 1000),
    u32(0x10000),
    u16(0x100),
    zeros(10),
    MATRIX,
    zeros(24),
    u32(3),
  )
  return Buffer.concat([
    box('ftyp', ascii('isom'), u32(512), ascii('isomiso2avc1mp41')),
    box('mdat', Buffer.alloc(dataBytes, 7)),
    box('moov', header, ...tracks, ...user),
  ])
}

const MATRIX = matrix([1, 0, 0, 1])

function matrix([a = 0, b = 0, c = 0, d = 0]: readonly number[]): Buffer {
  const fixed = (value: number) => i32(value * 0x10000)
  return Buffer.concat([fixed(a), fixed(b), u32(0), fixed(c), fixed(d), u32(0), u32(0), u32(0), u32(0x40000000)])
}

function track(id: number, handler: 'vide' | 'soun', seconds: number, sample: Mp4Sample): Buffer {
  const { width = 640, height = 360, isTurned = false } = sample
  const turn = isTurned ? matrix([0, 1, -1, 0]) : MATRIX
  const rate = 8000
  const entry =
    handler === 'vide'
      ? box('avc1', zeros(6), u16(1), zeros(16), u16(width), u16(height), zeros(14), zeros(32), u16(24), u16(0xffff))
      : box('mp4a', zeros(6), u16(1), zeros(8), u16(1), u16(16), zeros(4), u32(rate * 0x10000))
  const table = box(
    'stbl',
    fullBox('stsd', u32(1), entry),
    fullBox('stts', u32(1), u32(1), u32(seconds * rate)),
    fullBox('stsc', u32(1), u32(1), u32(1), u32(1)),
    fullBox('stsz', u32(0), u32(1), u32(100)),
    fullBox('stco', u32(1), u32(40)),
  )
  const size = [u16(width), u16(0), u16(height), u16(0)]
  return box(
    'trak',
    fullBox('tkhd', zeros(8), u32(id), zeros(4), u32(seconds * 1000), zeros(16), turn, ...size),
    box(
      'mdia',
      fullBox('mdhd', zeros(8), u32(rate), u32(seconds * rate), u16(0x55c4), u16(0)),
      fullBox('hdlr', zeros(4), ascii(handler), zeros(12), ascii('x\0')),
      box('minf', table),
    ),
  )
}

export function box(type: string, ...content: Buffer[]): Buffer {
  const body = Buffer.concat(content)
  return Buffer.concat([u32(8 + body.length), ascii(type), body])
}

export function fullBox(type: string, ...content: Buffer[]): Buffer {
  return box(type, u32(0), ...content)
}

const zeros = (bytes: number): Buffer => Buffer.alloc(bytes)
const ascii = (text: string): Buffer => Buffer.from(text, 'latin1')

function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16BE(value)
  return bytes
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

function i32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}
