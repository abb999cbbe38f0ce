// Guards the one promise of a scanner: CLEAN is only said of bytes that were all looked at.
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { afterEach, describe, expect, it } from 'vitest'
import { ScannerUnavailableError, type VirusScanner } from '../../src/files/virus-scanner.ts'
import { createClamdScanner } from '../../src/files/virus-scanner-clamd.ts'
import { createHttpScanner } from '../../src/files/virus-scanner-http.ts'
import { openFileChecks } from '../../src/open-file-checks.ts'
import { bytesInMemory } from '../support/object-bytes.ts'
import {
  EICAR,
  MAX_SCANNED_BYTES,
  type ScannerServer,
  startClamdServer,
  startHttpScanner,
} from '../support/scanner-servers.ts'

const cleanUps: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp()
})

interface Opened {
  server: ScannerServer
  scanner: VirusScanner
}

/** Nothing waits for it but the tests of silence. */
const IDLE_TIMEOUT_MS = 500

async function clamd(unix: boolean): Promise<Opened> {
  const server = await startClamdServer({ unix })
  cleanUps.push(() => server.close())
  return { server, scanner: createClamdScanner({ address: server.address, idleTimeoutMs: IDLE_TIMEOUT_MS }) }
}

async function http(): Promise<Opened> {
  const server = await startHttpScanner()
  cleanUps.push(() => server.close())
  const url = `http://127.0.0.1:${'port' in server.address ? server.address.port : ''}/scan`
  return { server, scanner: createHttpScanner({ url, idleTimeoutMs: IDLE_TIMEOUT_MS }) }
}

async function scan(scanner: VirusScanner, file: Buffer, signal?: AbortSignal) {
  const stream = await bytesInMemory(file).open()
  try {
    return await scanner.scan(stream, file.length, signal)
  } finally {
    expect(stream.destroyed).toBe(true)
  }
}

describe.each([
  ['clamd over TCP', () => clamd(false)],
  ['clamd over a Unix socket', () => clamd(true)],
  ['a scanner over HTTP', http],
] as const)('%s', (_name, open) => {
  it('finds what is infected, wherever it stands', async () => {
    const { scanner } = await open()
    const infected = Buffer.concat([Buffer.alloc(700_000, 1), EICAR, Buffer.alloc(300_000, 2)])
    expect(await scan(scanner, infected)).toEqual({ verdict: 'INFECTED', name: 'Eicar-Signature' })
    expect(await scan(scanner, EICAR)).toEqual({ verdict: 'INFECTED', name: 'Eicar-Signature' })
  })

  it('is sent every byte, and says that it is clean', async () => {
    const { scanner, server } = await open()
    for (const bytes of [0, 1, 65_536, 1_000_001]) {
      const file = Buffer.alloc(bytes, 'Merhaba')
      expect(await scan(scanner, file)).toEqual({ verdict: 'CLEAN' })
      expect(server.received.equals(file)).toBe(true)
    }
  })

  it('says what is too large for it', async () => {
    const { scanner } = await open()
    expect(await scan(scanner, Buffer.alloc(MAX_SCANNED_BYTES * 8))).toEqual({ verdict: 'TOO_LARGE' })
  })

  it.each([
    ['SILENT', 1_000_000],
    ['CUT', 1_000_000],
    ['CONFUSED', 1_000_000],
    // More than the system takes before anybody reads it.
    ['HASTY', 20_000_000],
  ] as const)('gives no verdict when it is %s', async (mood, bytes) => {
    const { scanner, server } = await open()
    server.mood = mood
    await expect(scan(scanner, Buffer.alloc(bytes))).rejects.toThrow(ScannerUnavailableError)
    server.mood = 'WELL'
    expect(await scan(scanner, Buffer.alloc(10))).toEqual({ verdict: 'CLEAN' })
  })

  it('gives no verdict when it is away', async () => {
    const { scanner, server } = await open()
    await server.close()
    await expect(scan(scanner, EICAR)).rejects.toThrow(ScannerUnavailableError)
  })

  it('gives no verdict on a file that cannot be read to its end', async () => {
    const { scanner } = await open()
    const broken = Readable.from(
      (async function* () {
        yield Buffer.alloc(100_000)
        throw new Error('the disk is gone')
      })(),
      { objectMode: false },
    )
    await expect(scanner.scan(broken, 200_000)).rejects.toThrow('the disk is gone')
    expect(broken.destroyed).toBe(true)
  })

  it('stops when it is aborted', async () => {
    const { scanner, server } = await open()
    server.mood = 'SILENT'
    const abort = new AbortController()
    let reads = 0
    const stream = new Readable({
      read() {
        if (reads++ === 0) this.push(Buffer.alloc(100_000))
        else abort.abort(new Error('stop'))
      },
    })
    await expect(scanner.scan(stream, 200_000, abort.signal)).rejects.toThrow('stop')
    expect(stream.destroyed).toBe(true)
    await expect(scan(scanner, EICAR, AbortSignal.abort(new Error('before')))).rejects.toThrow('before')
  })
})

describe('the scanner of the settings', () => {
  const settings = { allowedTypes: ['*/*'], scannerTimeoutMs: 5000, maxImagePixels: 1_000_000, imageProcesses: 1 }

  it('is the one that is named, or none', async () => {
    expect(openFileChecks({ ...settings, scanner: null }, '').scanner).toBeNull()
    const daemon = await clamd(true)
    const other = await http()
    const url = `http://127.0.0.1:${'port' in other.server.address ? other.server.address.port : ''}/`
    for (const [server, scanner] of [
      [daemon.server, { kind: 'clamd', socket: daemon.server.address }],
      [other.server, { kind: 'http', url }],
    ] as const) {
      const opened = openFileChecks({ ...settings, scanner }, '').scanner
      if (opened === null) throw new Error('There is no scanner')
      expect(await scan(opened, EICAR)).toMatchObject({ verdict: 'INFECTED' })
      expect(server.received.equals(EICAR)).toBe(true)
    }
  })
})

describe('a scanner over HTTP', () => {
  async function answering(status: number, body: string): Promise<VirusScanner> {
    const server = createServer((request, response) => {
      request.resume().once('end', () => response.writeHead(status).end(body))
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    cleanUps.push(async () => server.close())
    const { port } = server.address() as AddressInfo // it listens on a port
    return createHttpScanner({ url: `http://127.0.0.1:${port}`, idleTimeoutMs: 5000 })
  }

  it.each([
    [200, '', { verdict: 'CLEAN' }],
    [204, '', { verdict: 'CLEAN' }],
    [200, '{"verdict":"CLEAN"}', { verdict: 'CLEAN' }],
    [200, '{"verdict":"INFECTED","name":"Mirai.A"}', { verdict: 'INFECTED', name: 'Mirai.A' }],
    [200, '{"verdict":"INFECTED"}', { verdict: 'INFECTED', name: 'unnamed' }],
    [406, '', { verdict: 'INFECTED', name: 'unnamed' }],
    [406, 'Mirai\n<b>', { verdict: 'INFECTED', name: 'Miraib' }],
    [406, '[]', { verdict: 'INFECTED', name: 'unnamed' }],
    [413, '', { verdict: 'TOO_LARGE' }],
  ])('means by %i %j %j', async (status, body, verdict) => {
    expect(await scan(await answering(status, body), EICAR)).toEqual(verdict)
  })

  it.each([
    [200, '{"verdict":"PENDING"}'],
    [200, 'x'.repeat(100_000)],
    [201, ''],
    [301, ''],
    [401, ''],
    [404, ''],
    [500, ''],
    [503, ''],
  ])('gives no verdict by %i', async (status, body) => {
    await expect(scan(await answering(status, body), EICAR)).rejects.toThrow(ScannerUnavailableError)
  })
})
