// Comparator: resuming in the ordinary way. Each client's subscription is answered by a query of its own for the messages
// after its last one, with their authors, and each message is made text and sent for each client. Nothing of what the
// product does besides: no sign-in, no GraphQL, no live delivery. Takes `{"id","roomId","after"}`, sends what the
// product's clients get.

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { PrismaPg } from '@prisma/adapter-pg'
import { WebSocketServer } from 'ws'
import { PrismaClient } from '../../src/generated/prisma/client.ts'
import { encodeGlobalId } from '../../src/graphql/global-id.ts'

/** As many database connections as a node of the product has by default. */
const POOL_SIZE = 10

// A query waits for a connection as long as it takes: the product's own client gives up after seconds.
const db = new PrismaClient({ adapter: new PrismaPg({ connectionString: process.env.DATABASE_URL, max: POOL_SIZE }) })
const server = createServer()
const sockets = new WebSocketServer({ server, perMessageDeflate: false })

interface Resume {
  id: string
  roomId: string
  after: number
}

async function readMissed({ roomId, after }: Resume): Promise<object[]> {
  const messages = await db.message.findMany({
    where: { roomId, seq: { gt: after } },
    orderBy: { seq: 'asc' },
    select: { id: true, seq: true, text: true, createdAt: true, author: { select: { id: true, name: true } } },
  })
  return messages.map(({ id, seq, author, ...message }) => ({
    __typename: 'MessageSent',
    seq,
    message: {
      ...message,
      id: encodeGlobalId('Message', id),
      author: { id: encodeGlobalId('User', author.id), name: author.name },
    },
  }))
}

sockets.on('connection', (socket) => {
  socket.send('{"type":"connection_ack"}')
  socket.on('message', (text) => {
    // Its only client is the bench.
    const resume = JSON.parse(String(text)) as Resume
    const tell = (roomEvents: object) =>
      socket.send(JSON.stringify({ id: resume.id, type: 'next', payload: { data: { roomEvents } } }))
    readMissed(resume).then(
      (missed) => {
        for (const event of missed) tell(event)
        tell({ __typename: 'CaughtUp', seq: resume.after + missed.length })
      },
      (error) => socket.close(1011, String(error).slice(0, 100)),
    )
  })
})
server.listen(0, '127.0.0.1', () => {
  // A TCP server has an address object.
  process.stdout.write(`${(server.address() as AddressInfo).port}\n`)
})
