// A TCP gate in front of a server that a test takes away: shut, it refuses connections; silent, it takes them and says
// nothing any more.

import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

export interface TcpGate {
  /** The given url, by way of the gate. */
  readonly url: string
  /** Cuts what is open and refuses what comes. */
  shut(): Promise<void>
  /** Keeps connections, and takes new ones, but nothing gets through. */
  silence(): void
  /** Lets everything through again; connections that were silent are cut. */
  open(): Promise<void>
  close(): Promise<void>
}

export async function startTcpGate(target: string): Promise<TcpGate> {
  const { hostname, port } = new URL(target)
  const sockets = new Set<Socket>()
  let silent = false
  const take = (client: Socket) => {
    const upstream = connect(Number(port), hostname)
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from)
      from.on('error', () => to.destroy())
      from.on('close', () => {
        sockets.delete(from)
        to.destroy()
      })
      from.on('data', (bytes) => {
        if (!silent) to.write(bytes)
      })
    }
  }
  const cut = () => {
    for (const socket of sockets) socket.destroy()
  }
  let server: Server | null = await listen(take, 0)
  // A TCP server has an address object.
  const ownPort = (server.address() as AddressInfo).port
  const shut = async () => {
    const shutting = server
    server = null
    cut()
    if (shutting) await new Promise<void>((resolve) => shutting.close(() => resolve()))
  }
  const url = new URL(target)
  url.hostname = '127.0.0.1'
  url.port = String(ownPort)
  return {
    url: url.href,
    shut,
    silence() {
      silent = true
    },
    async open() {
      if (silent) cut()
      silent = false
      server ??= await listen(take, ownPort)
    },
    close: shut,
  }
}

async function listen(take: (client: Socket) => void, port: number): Promise<Server> {
  const server = createServer(take)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', resolve)
  })
  return server
}
