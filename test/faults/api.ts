// What a run asks of the service beside its clients, past the proxies: people, rooms, memberships, presence.

import { SignJWT } from 'jose'
import { post } from '../support/graphql-over-http.ts'
import { SECRET } from './cluster.ts'

export interface FaultUser {
  readonly id: string
  readonly token: string
}

/** Of any node that is up. */
export type PickUrl = () => string

const RETRY_MS = 200

/** With more claims, where there are any. */
export function signToken(name: string, claims: Record<string, string> = {}): Promise<string> {
  return new SignJWT({ name, ...claims })
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject(name)
    .setExpirationTime('12h')
    .sign(Buffer.from(SECRET))
}

/** Signs in for the first time, which makes the user. */
export async function makeUser(pickUrl: PickUrl, name: string): Promise<FaultUser> {
  const token = await signToken(name)
  const { data, errors } = await post(pickUrl(), '{ viewer { id } }', { token })
  // What was asked for.
  const { viewer } = (data ?? {}) as { viewer?: { id: string } }
  if (!viewer) throw new Error(JSON.stringify(errors))
  return { id: viewer.id, token }
}

interface MutationResult {
  __typename: string
  code?: string
  room?: { id: string }
  webhook?: { id: string }
  secret?: string
  sentMessage?: { id: string; seq: number }
}

/** What is asked for where a mutation has succeeded. */
const SELECTIONS: Readonly<Record<string, string>> = {
  createRoom: 'room { id }',
  createWebhook: 'webhook { id } secret',
  sendMessage: 'sentMessage { id seq }',
}

/** One attempt; null where nobody knows what became of it. */
async function mutate(url: string, token: string, field: string, input: object): Promise<MutationResult | null> {
  const type = field.charAt(0).toUpperCase() + field.slice(1)
  const selection = SELECTIONS[field] ?? '__typename'
  const query = `mutation ($input: ${type}Input!) { ${field}(input: $input) {
    __typename ... on ${type}Success { ${selection} } ... on Error { code } } }`
  try {
    const { data } = await post(url, query, { token, variables: { input } })
    // One field, of that name.
    return (data as Record<string, MutationResult> | null)?.[field] ?? null
  } catch {
    return null
  }
}

export async function createRoom(pickUrl: PickUrl, { token }: FaultUser, input: object): Promise<string> {
  const result = await mutate(pickUrl(), token, 'createRoom', input)
  if (!result?.room) throw new Error(`createRoom: ${JSON.stringify(result)}`)
  return result.room.id
}

/** Before any fault: it must succeed at once. */
export async function mutateOnce(
  pickUrl: PickUrl,
  token: string,
  field: string,
  input: object,
): Promise<MutationResult> {
  const result = await mutate(pickUrl(), token, field, input)
  if (!result || result.code !== undefined) throw new Error(`${field}: ${JSON.stringify(result)}`)
  return result
}

/** Again and again, until it is certain that it has happened; gives up, with false, when it is told to. */
export async function changeUntilCertain(
  pickUrl: PickUrl,
  token: string,
  change: { field: 'joinRoom' | 'leaveRoom' | 'addMember'; input: object },
  isOver: () => boolean,
): Promise<boolean> {
  for (let attempt = 1; !isOver(); attempt++) {
    const result = await mutate(pickUrl(), token, change.field, change.input)
    if (result?.__typename.endsWith('Success')) return true
    // An attempt before this one has done it.
    if (attempt > 1 && change.field === 'leaveRoom' && /^NOT_(A_MEMBER|FOUND)$/.test(result?.code ?? '')) return true
    if (result?.code !== undefined) throw new Error(`${change.field}: ${result.code}`)
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
  }
  return false
}

/** Who this node says is in the room; null while it cannot say. */
export async function readPresent(url: string, token: string, room: string): Promise<string[] | null> {
  const query = `query ($room: ID!) { room(id: $room) { presence { users(first: 100) { user { id } } } } }`
  const { data } = await post(url, query, { token, variables: { room } })
  // What the query asks for.
  const answer = data as { room: { presence: { users: { user: { id: string } }[] | null } } | null } | null
  return answer?.room?.presence.users?.map(({ user }) => user.id) ?? null
}

/** How many of their notifications the service says are not read. */
export async function countUnread(url: string, token: string): Promise<number> {
  const { data, errors } = await post(url, '{ viewer { unreadNotificationCount } }', { token })
  // What the query asks for.
  const answer = data as { viewer: { unreadNotificationCount: number } | null } | null
  if (!answer?.viewer) throw new Error(JSON.stringify(errors))
  return answer.viewer.unreadNotificationCount
}
