// Members who are never there: nobody looks at a room for them, so they are to be told of whatever is meant for them. They
// have browsers, and wishes of their own for each room, and each has written one message in each room, to be replied to.

import type { PushBrowser } from '../support/push-browser.ts'
import { type FaultUser, makeUser, mutateOnce, type PickUrl, signToken } from './api.ts'
import type { Absentee, NotificationKind, SendHistory, Target } from './history.ts'
import type { Random } from './random.ts'
import type { Receiver } from './receivers.ts'

export interface AbsentUser extends FaultUser {
  readonly name: string
  /** Whether they may leave rooms and come back. */
  readonly isSteady: boolean
}

/** One whom clients can mention and reply to. */
export interface Addressee {
  readonly user: string
  readonly name: string
  /** A message of theirs. */
  readonly message: string
}

const KINDS: readonly NotificationKind[] = ['MENTION', 'REPLY', 'MESSAGE']
const OPERATOR = { scope: 'sohbet:operator' }

/** A user with a browser or two. */
export async function makeAbsentUser(
  pickUrl: PickUrl,
  index: number,
  pushService: Receiver,
): Promise<{ user: AbsentUser; targets: Target[] }> {
  const name = `absentee-${index + 1}`
  const user = { ...(await makeUser(pickUrl, name)), name, isSteady: index % 4 !== 3 }
  const browsers: PushBrowser[] = [pushService.addBrowser(user.id)]
  if (index % 5 === 0) browsers.push(pushService.addBrowser(user.id))
  for (const { input } of browsers) await mutateOnce(pickUrl, user.token, 'subscribeToPush', input)
  return { user, targets: browsers.map(({ input }) => ({ address: input.endpoint, user: user.id, kinds: null })) }
}

/** Webhooks of the operator's: one for all that is written, one for what is meant for somebody. */
export async function makeWebhooks(pickUrl: PickUrl, receivers: readonly Receiver[]): Promise<Target[]> {
  const token = await signToken('operator', OPERATOR)
  return Promise.all(
    receivers.map(async (receiver, index): Promise<Target> => {
      const [url, kinds] = [receiver.urlOf('/hook'), index === 0 ? KINDS : KINDS.slice(0, 2)]
      const { secret = '' } = await mutateOnce(pickUrl, token, 'createWebhook', { url, kinds })
      receiver.addWebhook('/hook', secret)
      return { address: url, user: null, kinds }
    }),
  )
}

/** Says what they want to be told of in a room. */
export async function chooseLevel(
  pickUrl: PickUrl,
  { id: user, token, isSteady }: AbsentUser,
  { id: room, isDirect }: { id: string; isDirect: boolean },
  random: Random,
): Promise<Absentee> {
  if (isDirect) return { user, room, level: 'ALL', isSteady: true }
  const level = random.pick(['ALL', 'MENTIONS', 'MENTIONS', 'MENTIONS', 'NONE'] as const)
  await mutateOnce(pickUrl, token, 'setRoomNotifications', { roomId: room, level })
  return { user, room, level, isSteady }
}

/** Their message in the room. */
export async function writeOnce(
  pickUrl: PickUrl,
  { id: user, token, name }: AbsentUser,
  room: string,
): Promise<{ send: SendHistory; addressee: Addressee }> {
  const clientMessageId = `${name} was here`
  const input = { roomId: room, text: clientMessageId, clientMessageId }
  const { sentMessage } = await mutateOnce(pickUrl, token, 'sendMessage', input)
  if (!sentMessage) throw new Error('sendMessage gave no message')
  const meant = { mentions: [], repliesTo: null, attachments: [] }
  const send = { client: name, user, room, clientMessageId, attempts: 1, acks: [sentMessage], refusals: [], ...meant }
  return { send, addressee: { user, name, message: sentMessage.id } }
}
