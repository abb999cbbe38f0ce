// Comparator: graphql-yoga, Pothos, graphql-ws and graphql-redis-subscriptions, put together as their manuals do.

import { createServer } from 'node:http'
import SchemaBuilder from '@pothos/core'
import type { ExecutionArgs, execute as graphqlExecute, subscribe as graphqlSubscribe } from 'graphql'
import { useServer } from 'graphql-ws/use/ws'
import { createYoga } from 'graphql-yoga'
import { WebSocketServer } from 'ws'
import { announce, channelOf, type Message, type User } from './message.ts'
import { createPubSub } from './pubsub.ts'

const pubsub = createPubSub()

const builder = new SchemaBuilder<{
  DefaultFieldNullability: false
  Scalars: { DateTime: { Input: Date; Output: Date | string } }
}>({ defaultFieldNullability: false })

builder.scalarType('DateTime', {
  serialize: (value) => (value instanceof Date ? value.toISOString() : value),
  parseValue: (value) => new Date(String(value)),
})

const UserType = builder.objectRef<User>('User').implement({
  fields: (t) => ({
    id: t.exposeID('id'),
    name: t.exposeString('name'),
    avatarUrl: t.exposeString('avatarUrl', { nullable: true }),
    statusText: t.exposeString('statusText', { nullable: true }),
  }),
})

const QuoteType = builder.objectRef<NonNullable<Message['replyTo']>>('MessageQuote').implement({
  fields: (t) => ({
    id: t.exposeID('id'),
    seq: t.exposeInt('seq'),
    text: t.exposeString('text'),
    author: t.field({ type: UserType, resolve: async ({ author }) => author }),
  }),
})

const RoomType = builder.objectRef<Message['room']>('Room').implement({
  fields: (t) => ({ id: t.exposeID('id'), name: t.exposeString('name') }),
})

// Relations come from a DataLoader or the database in such services, so their resolvers are async: see sdl.ts.
const MessageType = builder.objectRef<Message>('Message').implement({
  fields: (t) => ({
    id: t.exposeID('id'),
    seq: t.exposeInt('seq'),
    text: t.exposeString('text'),
    createdAt: t.expose('createdAt', { type: 'DateTime' }),
    clientMessageId: t.exposeString('clientMessageId', { nullable: true }),
    author: t.field({ type: UserType, resolve: async ({ author }) => author }),
    replyTo: t.field({ type: QuoteType, nullable: true, resolve: async ({ replyTo }) => replyTo }),
    roomId: t.exposeID('roomId'),
    room: t.field({ type: RoomType, resolve: async ({ room }) => room }),
  }),
})

builder.queryType({ fields: (t) => ({ version: t.string({ resolve: () => '1' }) }) })
builder.subscriptionType({
  fields: (t) => ({
    messageAdded: t.field({
      type: MessageType,
      args: { roomId: t.arg.id({ required: true }) },
      subscribe: (_root, { roomId }): AsyncIterable<Message> =>
        pubsub.asyncIterableIterator<Message>(channelOf(String(roomId))),
      resolve: (message: Message) => message,
    }),
  }),
})

/** What Yoga adds to the arguments of an execution: its own execute and subscribe, with its plugins. */
type YogaArgs = ExecutionArgs & { execute: typeof graphqlExecute; subscribe: typeof graphqlSubscribe }

const yoga = createYoga({ schema: builder.toSchema(), graphiql: { subscriptionsProtocol: 'WS' } })
const server = createServer(yoga)
const sockets = new WebSocketServer({ server, path: yoga.graphqlEndpoint })
useServer(
  {
    // The arguments are those that onSubscribe returns below.
    execute: (args) => (args as YogaArgs).execute(args),
    subscribe: (args) => (args as YogaArgs).subscribe(args),
    onSubscribe: async (ctx, _id, params) => {
      const { schema, execute, subscribe, contextFactory, parse, validate } = yoga.getEnveloped({
        ...ctx,
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
  sockets,
)
server.listen(0, '127.0.0.1', () => announce(server))
