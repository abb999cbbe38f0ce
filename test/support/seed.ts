// People and rooms for a story, made through the public API: `const ada = await person(url, 'Ada')`, `ada.createRoom()`.

import type { Client } from 'graphql-ws'
import { post } from './graphql-over-http.ts'
import { signToken } from './start-nodes.ts'
import { connect } from './stream.ts'

let counter = 0

export interface Person {
  readonly name: string
  readonly token: string
  readonly id: string
  /** A query or mutation that must succeed; gives its data. */
  do<T = Record<string, unknown>>(query: string, variables?: object): Promise<T>
  createRoom(input?: object): Promise<string>
  join(roomId: string): Promise<void>
  leave(roomId: string): Promise<void>
  /** Sends a message that must be accepted; gives its seq and id. */
  send(roomId: string, text: string, more?: object): Promise<{ id: string; seq: number }>
  /** A graphql-ws client of this person; ended by `stopAll`. */
  connect(url?: string): Client
}

const clients = new Set<Client>()

/** Ends every client that persons have opened. Call after each test. */
export async function stopAll(): Promise<void> {
  const ending = [...clients].map((client) => client.dispose())
  clients.clear()
  await Promise.all(ending)
}

/** A person of their own for this story: the subject is unique unless given, the name as given. */
export async function person(url: string, name: string, subject?: string): Promise<Person> {
  const token = await signToken(subject ?? `${name.toLowerCase()}-${process.pid}-${++counter}`, { name })
  const run = async <T>(query: string, variables: object = {}): Promise<T> => {
    const { data, errors } = await post(url, query, { token, variables })
    if (errors.length > 0 || !data) throw new Error(`${query}: ${JSON.stringify(errors)}`)
    // What a test reads is what its own query asked for.
    return data as T
  }
  const mutate = async <T>(field: string, input: object, selection: string): Promise<T> => {
    const type = field.charAt(0).toUpperCase() + field.slice(1)
    const data = await run<Record<string, { __typename: string } & T>>(
      `mutation ($input: ${type}Input!) { ${field}(input: $input) {
        __typename ... on ${type}Success { ${selection} } ... on Error { code message } } }`,
      { input },
    )
    const result = data[field]
    if (result?.__typename !== `${type}Success`) throw new Error(`${field}: ${JSON.stringify(result)}`)
    return result
  }
  const { viewer } = await run<{ viewer: { id: string } }>('{ viewer { id } }')
  return {
    name,
    token,
    id: viewer.id,
    do: run,
    async createRoom(input = {}) {
      const made = await mutate<{ room: { id: string } }>(
        'createRoom',
        { name: `Room ${process.pid} ${++counter}`, ...input },
        'room { id }',
      )
      return made.room.id
    },
    async join(roomId) {
      await mutate('joinRoom', { roomId }, 'room { id }')
    },
    async leave(roomId) {
      await mutate('leaveRoom', { roomId }, 'roomId')
    },
    async send(roomId, text, more = {}) {
      const sent = await mutate<{ sentMessage: { id: string; seq: number } }>(
        'sendMessage',
        { roomId, text, ...more },
        'sentMessage { id seq }',
      )
      return sent.sentMessage
    },
    connect(other = url) {
      const client = connect(other, token)
      clients.add(client)
      return client
    },
  }
}
