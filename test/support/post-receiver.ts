// A server that takes posts, as webhooks and push services do: it keeps what it got and answers as the test says.

import { createServer as createHttpServer, type IncomingMessage, type RequestListener, type Server } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Certificate } from './certificate.ts'

export interface ReceivedPost {
  path: string
  headers: IncomingMessage['headers']
  body: Buffer
}

/** `hang`: never; `cut`: the connection breaks; `endless`: 200 and a body without end. */
export type PostAnswer =
  | { status: number; headers?: Record<string, string>; body?: string }
  | 'hang'
  | 'cut'
  | 'endless'

export interface PostReceiver {
  readonly url: string
  /** In the order in which they came. */
  readonly posts: ReceivedPost[]
  /** Connections so far. */
  readonly connections: number
  /** The most that were under way at once to a path. */
  mostAtOnceAt(path: string): number
  /** What each path gets: by the number of posts to it before. Default 204. */
  answer(path: string, how: (earlier: number) => PostAnswer): void
  postsTo(path: string): ReceivedPost[]
  close(): Promise<void>
}

export async function startPostReceiver(certificate?: Certificate): Promise<PostReceiver> {
  const posts: ReceivedPost[] = []
  const answers = new Map<string, (earlier: number) => PostAnswer>()
  const atOnce = new Map<string, { now: number; most: number }>()
  let connections = 0
  const postsTo = (path: string) => posts.filter((post) => post.path === path)
  const listener: RequestListener = async (request, response) => {
    const path = request.url ?? ''
    const count = atOnce.get(path) ?? { now: 0, most: 0 }
    atOnce.set(path, count)
    count.most = Math.max(count.most, ++count.now)
    response.once('close', () => count.now--)
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const answer = answers.get(path)?.(postsTo(path).length) ?? { status: 204 }
    posts.push({ path, headers: request.headers, body: Buffer.concat(chunks) })
    if (answer === 'hang') return
    if (answer === 'cut') return void request.socket.destroy()
    if (answer === 'endless') return pour(response.writeHead(200))
    response.writeHead(answer.status, answer.headers).end(answer.body)
  }
  // What comes after the receiver has gone is no concern of the test's.
  const safe: RequestListener = (request, response) => void Promise.resolve(listener(request, response)).catch(() => {})
  const server: Server = certificate ? createHttpsServer(certificate, safe) : createHttpServer(safe)
  server.on('connection', () => connections++)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  // A TCP server has an address object.
  const { port } = server.address() as AddressInfo
  return {
    url: `${certificate ? 'https' : 'http'}://127.0.0.1:${port}`,
    posts,
    get connections() {
      return connections
    },
    mostAtOnceAt: (path) => atOnce.get(path)?.most ?? 0,
    answer: (path, how) => void answers.set(path, how),
    postsTo,
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function pour(response: Parameters<RequestListener>[1]): void {
  const chunk = 'x'.repeat(16_384)
  const fill = () => {
    while (!response.destroyed && response.write(chunk));
  }
  response.on('drain', fill)
  response.on('error', () => {})
  fill()
}
