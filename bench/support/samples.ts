// What the product delivers in a scenario, taken from it: the others deliver the same.

import { randomUUID } from 'node:crypto'
import { WebSocket } from 'ws'
import { roomIdOf } from './message-source.ts'
import { EVERYTHING, type Scenario, subscriptionOf } from './scenarios.ts'
import { medianOf } from './statistics.ts'

export const SAMPLE_TEXT = 'x'.repeat(100)
const RETRY_MS = 200
const TIMEOUT_MS = 30_000
/** The varied selections repeat themselves after so many, but for their aliases. */
const MAX_SELECTIONS = 64

export interface Message {
  readonly seq: number
  readonly [field: string]: unknown
}

export interface Samples {
  /** With everything selected. */
  message: Message
  /** As the scenario selects it, of the usual length. */
  delivered: Message
  /** The WebSocket message that carries it. */
  frame: string
}

export interface SampleRequest {
  url: string
  token: string
  scenario: Scenario
  /** Lets a message of this text arrive in the room. */
  deliver(room: number, text: string): Promise<void>
}

export async function takeSamples({ url, token, scenario, deliver }: SampleRequest): Promise<Samples> {
  const [room = 0] = scenario.rooms
  const documents = [EVERYTHING, ...scenario.selections.slice(0, MAX_SELECTIONS)].map(subscriptionOf)
  const frames = new Map<string, string>()
  const ids = documents.map(() => randomUUID())
  const socket = new WebSocket(url, 'graphql-transport-ws')
  const complete = new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('no sample came')), TIMEOUT_MS)
    socket.on('error', reject)
    socket.on('message', (data) => {
      const text = String(data)
      const { id, type } = JSON.parse(text)
      if (type === 'error') reject(new Error(text))
      if (type === 'connection_ack') subscribe(socket, documents, ids, roomIdOf(room))
      if (type !== 'next') return
      frames.set(id, text)
      if (frames.size < ids.length) return
      clearTimeout(timer)
      resolve()
    })
  })
  await new Promise((resolve) => socket.once('open', resolve))
  socket.send(JSON.stringify({ type: 'connection_init', payload: { authorization: `Bearer ${token}` } }))
  // Nothing tells when the subscriptions are in place: a message is sent until one has reached all.
  const sending = setInterval(() => void deliver(room, SAMPLE_TEXT), RETRY_MS)
  await complete.finally(() => {
    clearInterval(sending)
    socket.close()
  })
  const [everything = '', ...selected] = ids.map((id) => frames.get(id) ?? '')
  const usualLength = medianOf(selected.map((frame) => frame.length))
  const frame = selected.find(({ length }) => length === usualLength) ?? ''
  return { message: messageOf(everything), delivered: messageOf(frame), frame }
}

function subscribe(socket: WebSocket, documents: readonly string[], ids: readonly string[], roomId: string): void {
  for (const [index, query] of documents.entries()) {
    socket.send(JSON.stringify({ id: ids[index], type: 'subscribe', payload: { query, variables: { roomId } } }))
  }
}

function messageOf(frame: string): Message {
  return JSON.parse(frame).payload.data.messageAdded
}
