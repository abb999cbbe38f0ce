import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { TcpProxy } from './tcp-proxy.ts'

/** Takes connections and keeps what they say; echoes it unless it is told otherwise. */
class Upstream {
  readonly sockets: Socket[] = []
  readonly server: Server
  heard = ''

  constructor(echoes: boolean) {
    this.server = createServer((socket) => {
      this.sockets.push(socket)
      socket.on('error', () => {})
      socket.on('data', (bytes) => {
        this.heard += String(bytes)
        if (echoes) socket.write(bytes)
      })
    }).listen(0, '127.0.0.1')
  }

  get port(): number {
    // A TCP server has an address object.
    return (this.server.address() as AddressInfo).port
  }

  close(): void {
    for (const socket of this.sockets) socket.destroy()
    this.server.close()
  }
}

class Caller {
  readonly socket: Socket
  heard = ''
  end: string | null = null

  constructor(port: number) {
    this.socket = connect(port, '127.0.0.1')
    this.socket.on('data', (bytes) => (this.heard += String(bytes)))
    this.socket.on('error', (error) => (this.end = Object(error).code))
    this.socket.on('close', () => (this.end ??= 'closed'))
  }

  async says(text: string, answer = text): Promise<void> {
    const before = this.heard
    this.socket.write(text)
    await eventually(() => expect(this.heard).toBe(before + answer))
  }
}

describe('TcpProxy', () => {
  let upstream: Upstream
  let proxy: TcpProxy
  const callers: Caller[] = []
  const call = (port = proxy.port) => {
    const caller = new Caller(port)
    callers.push(caller)
    return caller
  }

  beforeEach(async () => {
    upstream = new Upstream(true)
    await once(upstream.server, 'listening')
    proxy = await TcpProxy.start({ targetPort: upstream.port })
  })

  afterEach(async () => {
    for (const { socket } of callers.splice(0)) socket.destroy()
    await proxy.close()
    upstream.close()
  })

  it('passes everything on, both ways, and the end of a connection', async () => {
    const caller = call()
    await caller.says('hello')
    expect(proxy.connections).toBe(1)
    upstream.sockets[0]?.end()
    await eventually(() => expect(caller.end).toBe('closed'))
    await eventually(() => expect(proxy.connections).toBe(0))
    expect(Object.values(proxy.hits).every((hits) => hits === 0)).toBe(true)
  })

  it('passes large answers on whole', async () => {
    const caller = call()
    await caller.says('x'.repeat(3_000_000))
  })

  it('resets connections, and takes new ones', async () => {
    const [first, second] = [call(), call()]
    await first.says('a')
    await second.says('b')
    proxy.cut()
    expect(proxy.hits.cut).toBe(2)
    await eventually(() => expect([first.end, second.end]).toEqual(['ECONNRESET', 'ECONNRESET']))
    await call().says('again')
  })

  it('refuses what comes until it is healed', async () => {
    const open = call()
    await open.says('a')
    proxy.refuse()
    const refused = call()
    await eventually(() => expect(refused.end).not.toBeNull())
    expect(proxy.hits).toMatchObject({ cut: 1, refused: 1 })
    expect(upstream.sockets).toHaveLength(1)
    proxy.heal()
    await call().says('again')
  })

  it('holds everything back in a stall, and lets it through in order afterwards', async () => {
    const caller = call()
    await caller.says('before ')
    proxy.stall()
    caller.socket.write('one ')
    upstream.sockets[0]?.write('two ')
    await eventually(() => expect(proxy.hits.stalledBytes).toBe(8))
    expect(upstream.heard).toBe('before ')
    expect(caller.heard).toBe('before ')
    proxy.heal()
    await eventually(() => expect(caller.heard).toBe('before two one '))
    expect(caller.end).toBeNull()
  })

  it('does not tell the end of a stalled connection before it is healed', async () => {
    const caller = call()
    await caller.says('a')
    proxy.stall()
    upstream.sockets[0]?.write('last words')
    await eventually(() => expect(proxy.hits.stalledBytes).toBe(10))
    const closed = once(upstream.sockets[0] ?? caller.socket, 'close')
    upstream.sockets[0]?.destroy()
    await closed
    expect(caller.end).toBeNull()
    proxy.heal()
    await eventually(() => expect([caller.heard, caller.end]).toEqual(['alast words', 'closed']))
  })

  it.each([
    ['up', 'before ', 'before to the client '],
    ['down', 'before to the server ', 'before '],
  ] as const)(
    'swallows one direction (%s) and resets the connection when it is healed',
    async (way, atServer, atClient) => {
      const caller = call()
      await caller.says('before ')
      // The echo would be a second message in the same direction.
      upstream.sockets[0]?.removeAllListeners('data').on('data', (bytes) => (upstream.heard += String(bytes)))
      proxy.swallow(way)
      caller.socket.write('to the server ')
      upstream.sockets[0]?.write('to the client ')
      await eventually(() => expect([upstream.heard, caller.heard]).toEqual([atServer, atClient]))
      await eventually(() => expect(proxy.hits.swallowedBytes).toBe(14))
      expect(caller.end).toBeNull()
      proxy.heal()
      await eventually(() => expect(caller.end).toBe('ECONNRESET'))
      await call().says('again')
    },
  )

  it('delays bytes, each after those before it', async () => {
    const caller = call()
    await caller.says('before ')
    proxy.delay(40)
    const beganMs = performance.now()
    await caller.says('late ')
    expect(performance.now() - beganMs).toBeGreaterThan(75)
    caller.socket.write('first ')
    await eventually(() => expect(proxy.hits.delayedBytes).toBeGreaterThanOrEqual(16))
    proxy.heal()
    caller.socket.write('second')
    await eventually(() => expect(caller.heard).toBe('before late first second'))
  })

  it('goes to another port when it is told so', async () => {
    const other = new Upstream(true)
    await once(other.server, 'listening')
    proxy.retarget(other.port)
    await call().says('hello')
    expect(other.heard).toBe('hello')
    other.close()
  })

  it('is refused by a server that is away', async () => {
    upstream.server.close()
    const caller = call()
    await eventually(() => expect(caller.end).not.toBeNull())
  })

  it('leaves out as many published messages as it is told, and nothing else', async () => {
    const bulk = (text: string) => `$${text.length}\r\n${text}\r\n`
    const message = (text: string) => `*3\r\n${bulk('message')}${bulk('room')}${bulk(text)}`
    const redis = await TcpProxy.start({ targetPort: upstream.port, isRedis: true })
    const caller = call(redis.port)
    await caller.says('+PONG\r\n')
    redis.dropMessages(1)
    await caller.says(`+PONG\r\n${message('first')}${message('second')}:1\r\n`, `+PONG\r\n${message('second')}:1\r\n`)
    expect(redis.hits.droppedMessages).toBe(1)
    redis.dropMessages(5)
    redis.heal()
    await caller.says(message('third'))
    expect(() => proxy.dropMessages(1)).toThrow('before Redis')
    await redis.close()
  })
})
