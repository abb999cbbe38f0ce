// Comparator: sendMessage as one writes it on a day without a bench. graphql-yoga and graphql-ws, Prisma `create` for each
// message, graphql-redis-subscriptions to tell the others. Settings in the environment: DATABASE_URL, REDIS_URL, JWT_SECRET.

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import {
  type ExecutionArgs,
  GraphQLError,
  type execute as graphqlExecute,
  type subscribe as graphqlSubscribe,
} from 'graphql'
import { RedisPubSub } from 'graphql-redis-subscriptions'
import { useServer } from 'graphql-ws/use/ws'
import { createSchema, createYoga } from 'graphql-yoga'
import { Redis } from 'ioredis'
import { jwtVerify } from 'jose'
import { WebSocketServer } from 'ws'
import { createDb } from '../../src/platform/db.ts'
import { newId } from '../../src/platform/ids.ts'

const MAX_TEXT_UNITS = 4_000
const { DATABASE_URL = '', REDIS_URL = '', JWT_SECRET = '' } = process.env

// The same driver and settings as the product's, with a pool that its many transactions can use.
const db = createDb({ url: DATABASE_URL, poolSize: 32 })
const redis = () => new Redis(REDIS_URL, { enableAutoPipelining: true })
const pubsub = new RedisPubSub({ publisher: redis(), subscriber: new Redis(REDIS_URL) })
const key = Buffer.from(JWT_SECRET)
/** Made here, so that the database has no number to give out: more than the product's rival has a right to. */
let seq = 0

interface Context {
  userId: string
}

interface SendMessageInput {
  roomId: string
  text: string
  clientMessageId?: string | null
}

const channelOf = (roomId: string) => `room:${roomId}`

const schema = createSchema<Context>({
  typeDefs: `
    type Query { version: String! }
    type User { id: ID! name: String! avatarUrl: String }
    type Message {
      id: ID! seq: Int! text: String! createdAt: String! clientMessageId: String roomId: ID! author: User!
    }
    input SendMessageInput { roomId: ID! text: String! clientMessageId: String }
    type SendMessageSuccess { sentMessage: Message! }
    type Mutation { sendMessage(input: SendMessageInput!): SendMessageSuccess! }
    type Subscription { messageAdded(roomId: ID!): Message! }`,
  resolvers: {
    Query: { version: () => '1' },
    Mutation: {
      async sendMessage(_root, { input }: { input: SendMessageInput }, { userId }) {
        const text = input.text.trim()
        if (text === '' || text.length > MAX_TEXT_UNITS) throw new GraphQLError('The text is empty or too long.')
        const membership = await db.membership.findUnique({
          where: { roomId_userId: { roomId: input.roomId, userId } },
        })
        if (!membership) throw new GraphQLError('Join the room first.')
        const { roomId, clientMessageId } = input
        const message = await db.message.create({
          data: { id: newId(), roomId, seq: ++seq, authorId: userId, text, clientMessageId },
          include: { author: true },
        })
        await pubsub.publish(channelOf(roomId), { messageAdded: message })
        return { sentMessage: message }
      },
    },
    Subscription: {
      messageAdded: {
        subscribe: (_root, { roomId }: { roomId: string }) => pubsub.asyncIterableIterator(channelOf(roomId)),
      },
    },
    // From the database it is a Date, from Redis a text.
    Message: { createdAt: ({ createdAt }: { createdAt: Date | string }) => new Date(createdAt).toISOString() },
  },
})

/** What Yoga adds to the arguments of an execution: its own execute and subscribe, with its plugins. */
type YogaArgs = ExecutionArgs & { execute: typeof graphqlExecute; subscribe: typeof graphqlSubscribe }

const yoga = createYoga<object, Context>({ schema, graphiql: { subscriptionsProtocol: 'WS' } })
const server = createServer(yoga)
useServer<{ authorization?: string }, { userId?: string }>(
  {
    async onConnect({ connectionParams, extra }) {
      const token = connectionParams?.authorization?.replace(/^Bearer /, '') ?? ''
      const { payload } = await jwtVerify(token, key, { algorithms: ['HS256'] })
      const user = await db.user.findUnique({ where: { subject: payload.sub ?? '' } })
      if (!user) return false
      extra.userId = user.id
      return true
    },
    // The arguments are those that onSubscribe returns below.
    execute: (args) => (args as YogaArgs).execute(args),
    subscribe: (args) => (args as YogaArgs).subscribe(args),
    async onSubscribe(ctx, _id, params) {
      const { schema, execute, subscribe, contextFactory, parse, validate } = yoga.getEnveloped({
        userId: ctx.extra.userId,
        req: ctx.extra.request,
        socket: ctx.extra.socket,
        params,
      })
      const args: YogaArgs = {
        schema,
        operationName: params.operationName,
        document: parse(params.query),
        variableValues: params.variables,
        contextValue: await contextFactory(),
        execute,
        subscribe,
      }
      const errors = validate(args.schema, args.document)
      return errors.length > 0 ? errors : args
    },
  },
  new WebSocketServer({ server, path: yoga.graphqlEndpoint }),
)
server.listen(0, '127.0.0.1', () => {
  // A TCP server has an address object.
  process.stdout.write(`${(server.address() as AddressInfo).port}\n`)
})
process.stdin.on('end', () => process.exit(0)).resume()
