// The schema of the comparators that are written schema first, with resolvers as people write them. What in such services
// comes from a DataLoader or the database is resolved by an async function here; that its value stands in the event already,
// and no query runs, is in the comparators' favour.

import type { Message } from './message.ts'

export const typeDefs = /* GraphQL */ `
  scalar DateTime

  type User {
    id: ID!
    name: String!
    avatarUrl: String
    statusText: String
  }

  type MessageQuote {
    id: ID!
    seq: Int!
    text: String!
    author: User!
  }

  type Room {
    id: ID!
    name: String!
  }

  type Message {
    id: ID!
    seq: Int!
    text: String!
    createdAt: DateTime!
    clientMessageId: String
    author: User!
    replyTo: MessageQuote
    roomId: ID!
    room: Room!
  }

  type Query {
    version: String!
  }

  type Subscription {
    messageAdded(roomId: ID!): Message!
  }
`

export const messageResolvers = {
  author: async (message: Message) => message.author,
  replyTo: async (message: Message) => message.replyTo,
  room: async (message: Message) => message.room,
}

export const quoteResolvers = {
  author: async (quote: NonNullable<Message['replyTo']>) => quote.author,
}
