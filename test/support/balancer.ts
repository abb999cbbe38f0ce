// A load balancer without opinions: each new connection goes to the next node.

import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

export interface Balancer {
  /** As http://host:port. */
  readonly url: string
  close(): Promise<void>
}

/** Over what `targets` gives at the time: urls of nodes. */
export async function startBalancer(targets: () => readonly string[]): Promise<Balancer> {
  const open = new Set<Socket>()
  let next = 0
  const server = createServer((client) => {
    const all = targets()
    const { hostname, port } = new URL(all[next++ % all.length] ?? '')
    const node = connect(Number(port), hostname)
    for (const [from, to] of [
      [client, node],
      [node, client],
    ] as const) {
      open.add(from)
      from.on('error', () => to.resetAndDestroy())
      from.once('close', () => {
        open.delete(from)
        to.destroy()
      })
      from.pipe(to)
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    // A TCP server has an address object.
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      const closed = new Promise((resolve) => server.close(resolve))
      for (const socket of open) socket.destroy()
      await closed
    },
  }
}
