// Comparator: Mercurius on Fastify with its own subscriptions and its own emitter, which hears what Redis says. (Its emitter
// for Redis packs messages in a format of its own; this is cheaper.)

import { fastify } from 'fastify'
import { Redis } from 'ioredis'
import mercurius from 'mercurius'
import { DateTime } from './date-time.ts'
import { announce, channelOf, type Message, REDIS_URL } from './message.ts'
import { messageResolvers, quoteResolvers, typeDefs } from './sdl.ts'

declare module 'mercurius' {
  interface MercuriusContext {
    /** Resolves once Redis will tell of this room. */
    listenTo(roomId: string): Promise<void>
  }
}

const app = fastify()
const redis = new Redis(REDIS_URL)
const listened = new Map<string, Promise<void>>()

function listenTo(roomId: string): Promise<void> {
  let listening = listened.get(roomId)
  if (!listening) {
    listening = redis.subscribe(channelOf(roomId)).then(() => {})
    listened.set(roomId, listening)
  }
  return listening
}

redis.on('message', (topic: string, text: string) => {
  const message: Message = JSON.parse(text)
  app.graphql.pubsub.publish({ topic, payload: { messageAdded: message } })
})

await app.register(mercurius, {
  schema: typeDefs,
  resolvers: {
    DateTime,
    Query: { version: () => '1' },
    Subscription: {
      messageAdded: {
        subscribe: async (_root: unknown, { roomId }: { roomId: string }, { pubsub, listenTo }) => {
          await listenTo(roomId)
          return pubsub.subscribe(channelOf(roomId))
        },
      },
    },
    Message: messageResolvers,
    MessageQuote: quoteResolvers,
  },
  subscription: { context: () => ({ listenTo }) },
})
await app.listen({ port: 0, host: '127.0.0.1' })
announce(app.server)
