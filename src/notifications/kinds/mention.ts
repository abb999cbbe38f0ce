import type { NotificationKind } from '../kind.ts'

export const mention: NotificationKind = {
  name: 'MENTION',
  description: 'Somebody mentioned the viewer, by name or as everybody in the room.',
  level: 'MENTIONS',
  isUrgent: true,
  audienceOf(event) {
    if (event.type !== 'MessageSent' || event.message.mentions.length === 0) return null
    const users = event.message.mentions.map(({ user }) => user?.id)
    return users.includes(undefined) ? 'EVERYBODY' : users.filter((id) => id !== undefined)
  },
  lineOf({ count, actorName, roomName }) {
    return count === 1 ? `${actorName} mentioned you in ${roomName}` : `${count} new mentions in ${roomName}`
  },
}
