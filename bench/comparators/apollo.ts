// Comparator: Apollo Server with graphql-ws and graphql-redis-subscriptions, as Apollo's manual on subscriptions has it.

import { createServer } from 'node:http'
import { ApolloServer } from '@apollo/server'
import { ApolloServerPluginDrainHttpServer } from '@apollo/server/plugin/drainHttpServer'
import { expressMiddleware } from '@as-integrations/express5'
import { makeExecutableSchema } from '@graphql-tools/schema'
import express from 'express'
import { useServer } from 'graphql-ws/use/ws'
import { WebSocketServer } from 'ws'
import { DateTime } from './date-time.ts'
import { announce, channelOf, type Message } from './message.ts'
import { createPubSub } from './pubsub.ts'
import { messageResolvers, quoteResolvers, typeDefs } from './sdl.ts'

const pubsub = createPubSub()

const schema = makeExecutableSchema({
  typeDefs,
  resolvers: {
    DateTime,
    Query: { version: () => '1' },
    Subscription: {
      messageAdded: {
        subscribe: (_root: unknown, { roomId }: { roomId: string }) =>
          pubsub.asyncIterableIterator<Message>(channelOf(roomId)),
        resolve: (message: Message) => message,
      },
    },
    Message: messageResolvers,
    MessageQuote: quoteResolvers,
  },
})

const app = express()
const httpServer = createServer(app)
const sockets = new WebSocketServer({ server: httpServer, path: '/graphql' })
const webSocket = useServer({ schema }, sockets)
const server = new ApolloServer({
  schema,
  plugins: [
    ApolloServerPluginDrainHttpServer({ httpServer }),
    { serverWillStart: async () => ({ drainServer: async () => webSocket.dispose() }) },
  ],
  // The bench ends it by a signal, and at once.
  stopOnTerminationSignals: false,
})
await server.start()
app.use('/graphql', express.json(), expressMiddleware(server))
httpServer.listen(0, '127.0.0.1', () => announce(httpServer))
