// A TCP proxy in front of nodes, whose connections a test can cut.

import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

export interface CuttableProxy {
  /** The node's endpoint, through the proxy. */
  readonly url: string
  /** Connections taken so far. */
  readonly connections: number
  /** Cuts every open connection, without a goodbye. New ones are taken again at once. */
  cut(): void
  close(): Promise<void>
}

/** `act` is called once a connection's client has sent so many bytes; without it, that connection is cut. */
export interface ByteMark {
  bytes: number
  act?: () => void
}

/**
 * In front of one node, or of those that `target` names for each new connection. Of the marks, the second counts once the
 * first was reached, on another connection, and so on.
 */
export async function startProxy(
  target: string | (() => string),
  { marks = [] }: { marks?: readonly ByteMark[] } = {},
): Promise<CuttableProxy> {
  const pick = typeof target === 'string' ? () => target : target
  const { pathname } = new URL(typeof target === 'string' ? target : 'http://nodes/graphql')
  const open = new Set<Socket>()
  const ahead = [...marks]
  let connections = 0
  const server = createServer((client) => {
    connections++
    let hasMetMark = false
    client.on('data', () => {
      const [mark] = hasMetMark ? [] : ahead
      if (!mark || client.bytesRead < mark.bytes) return
      hasMetMark = true
      ahead.shift()
      if (mark.act) mark.act()
      else client.resetAndDestroy()
    })
    const { hostname, port } = new URL(pick())
    const node = connect(Number(port), hostname)
    for (const [from, to] of [
      [client, node],
      [node, client],
    ] as const) {
      open.add(from)
      from.on('error', () => to.destroy())
      from.on('close', () => {
        open.delete(from)
        to.destroy()
      })
      from.pipe(to)
    }
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const cut = () => {
    for (const socket of open) socket.resetAndDestroy()
  }
  return {
    // A TCP server has an address object.
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}${pathname}`,
    get connections() {
      return connections
    },
    cut,
    close() {
      cut()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}
