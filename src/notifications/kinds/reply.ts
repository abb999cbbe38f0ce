import type { NotificationKind } from '../kind.ts'

export const reply: NotificationKind = {
  name: 'REPLY',
  description: 'Somebody replied to a message of the viewer’s.',
  level: 'MENTIONS',
  isUrgent: true,
  audienceOf(event) {
    const quoted = event.type === 'MessageSent' ? event.message.replyTo : null
    return quoted && [quoted.author.id]
  },
  lineOf({ count, actorName, roomName }) {
    return count === 1 ? `${actorName} replied to you in ${roomName}` : `${count} new replies to you in ${roomName}`
  },
}
