// The two clients that most front ends use, set up as their own documentation says: HTTP for queries and mutations,
// graphql-ws for subscriptions.

import { ApolloClient, ApolloLink, HttpLink, InMemoryCache } from '@apollo/client'
import { GraphQLWsLink } from '@apollo/client/link/subscriptions'
import { cacheExchange, fetchExchange, subscriptionExchange, Client as UrqlClient } from '@urql/core'
import { buildSchema, isAbstractType, OperationTypeNode } from 'graphql'
import { type Client, createClient } from 'graphql-ws'
import { WebSocket } from 'ws'

export interface Endpoint {
  /** GraphQL over HTTP. */
  url: string
  /** Null: not signed in. */
  token: string | null
}

export interface Opened<T> {
  client: T
  dispose(): Promise<void>
}

export function openUrql({ url, token }: Endpoint): Opened<UrqlClient> {
  const sockets = openSockets({ url, token })
  const client = new UrqlClient({
    url,
    preferGetMethod: false,
    fetchOptions: { headers: authorizationOf(token) },
    exchanges: [
      cacheExchange,
      fetchExchange,
      subscriptionExchange({
        forwardSubscription: ({ query = '', variables, operationName, extensions }) => ({
          subscribe: (sink) => ({
            unsubscribe: sockets.subscribe({ query, variables, operationName, extensions }, sink),
          }),
        }),
      }),
    ],
  })
  return { client, dispose: async () => sockets.dispose() }
}

export async function openApollo({ url, token }: Endpoint): Promise<Opened<ApolloClient>> {
  const sockets = openSockets({ url, token })
  const link = ApolloLink.split(
    ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION,
    new GraphQLWsLink(sockets),
    new HttpLink({ uri: url, headers: authorizationOf(token) }),
  )
  const cache = new InMemoryCache({
    possibleTypes: await readPossibleTypes(url),
    // Every item stands for itself: nothing of the one before belongs to it.
    typePolicies: { Subscription: { fields: { roomEvents: { merge: false } } } },
  })
  const client = new ApolloClient({ link, cache })
  return {
    client,
    async dispose() {
      client.stop()
      await sockets.dispose()
    },
  }
}

/** From the schema that the server publishes: which types an interface or union may be, for Apollo's cache. */
async function readPossibleTypes(url: string): Promise<Record<string, string[]>> {
  const response = await fetch(new URL('/schema.graphql', url), { signal: AbortSignal.timeout(10_000) })
  const schema = buildSchema(await response.text())
  const abstract = Object.values(schema.getTypeMap()).filter(isAbstractType)
  return Object.fromEntries(
    abstract.map((type) => {
      const interfaces = 'getFields' in type ? schema.getImplementations(type).interfaces : []
      return [type.name, [...schema.getPossibleTypes(type), ...interfaces].map(({ name }) => name)]
    }),
  )
}

function openSockets({ url, token }: Endpoint): Client {
  return createClient({
    url: url.replace(/^http/, 'ws'),
    webSocketImpl: WebSocket,
    retryAttempts: 0,
    connectionParams: authorizationOf(token),
  })
}

function authorizationOf(token: string | null): Record<string, string> {
  return token === null ? {} : { authorization: `Bearer ${token}` }
}
