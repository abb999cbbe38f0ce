import { once } from 'node:events'
import { connect as connectTcp, type Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { post } from '../support/graphql-over-http.ts'
import { person, stopAll } from '../support/seed.ts'
import { startNodes, useNodes } from '../support/start-nodes.ts'

const NOT_A_HANDSHAKE = 'Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 1\r\n\r\n'

async function openTcp(url: string): Promise<Socket> {
  const { hostname, port } = new URL(url)
  const socket = connectTcp(Number(port), hostname)
  socket.on('error', () => {})
  await once(socket, 'connect')
  return socket
}

describe('a node', () => {
  const nodes = useNodes()
  const url = () => nodes().urls[0] ?? ''
  afterEach(stopAll)

  // Guards: Node takes its own error listener from an upgraded socket; a reset then ended the process.
  it('survives clients that ask for an upgrade and reset the connection', async () => {
    for (let i = 0; i < 50; i++) {
      const socket = await openTcp(url())
      socket.write(`GET ${i % 2 ? '/graphql' : '/x'} HTTP/1.1\r\nHost: x\r\n${NOT_A_HANDSHAKE}`)
      socket.resetAndDestroy()
    }
    expect((await post(url(), '{ serverInfo { name } }')).data).toEqual({ serverInfo: { name: 'Sohbet' } })
  })

  // Guards: a listener of ours kept ws from answering a malformed handshake, and its socket stayed for ever.
  it('answers a malformed handshake, keeps nothing of it, and can stop afterwards', async () => {
    const own = await startNodes()
    try {
      for (const path of ['/graphql', '/elsewhere']) {
        const socket = await openTcp(own.urls[0] ?? '')
        const closed = once(socket, 'close')
        let answer = ''
        socket.on('data', (chunk) => {
          answer += chunk
        })
        socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n${NOT_A_HANDSHAKE}`)
        await closed
        expect(answer).toMatch(/^HTTP\/1\.1 4\d\d /)
      }
    } finally {
      await own.stop()
    }
  })

  // Guards: a stream that nobody takes went on for ever, and its user stayed present.
  it('opens no stream for a request that takes none, or that is given up meanwhile', async () => {
    const ada = await person(url(), 'Ada')
    const room = await ada.createRoom()
    const body = JSON.stringify({ query: `subscription { roomEvents(roomId: "${room}") { seq } }` })
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${ada.token}` }
    const refused = await fetch(url(), { method: 'POST', body, headers: { ...headers, accept: 'application/json' } })
    expect(refused.status).toBe(406)
    await refused.text()
    const given = Array.from({ length: 20 }, async (_, i) => {
      const abort = new AbortController()
      const answer = fetch(url(), {
        method: 'POST',
        body,
        headers: { ...headers, accept: 'text/event-stream' },
        signal: abort.signal,
      })
      // At every stage of the opening: some before the request is read, some when the stream is there.
      for (let turn = 0; turn < i * 3; turn++) await new Promise((resolve) => setImmediate(resolve))
      abort.abort()
      await answer.then(({ body: stream }) => stream?.cancel()).catch(() => {})
    })
    await Promise.all(given)
    const present = `{ room(id: "${room}") { presence { count } } }`
    await eventually(async () => expect(await ada.do(present)).toEqual({ room: { presence: { count: 0 } } }))
  })
})
