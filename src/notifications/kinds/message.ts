import type { NotificationKind } from '../kind.ts'

export const message: NotificationKind = {
  name: 'MESSAGE',
  description: 'Somebody wrote in a direct room of the viewer’s, or in a room that they have set to ALL.',
  level: 'ALL',
  isUrgent: false,
  audienceOf: (event) => (event.type === 'MessageSent' ? 'EVERYBODY' : null),
  lineOf({ count, actorName, roomName, isOneToOne }) {
    if (count > 1)
      return isOneToOne ? `${count} new messages from ${actorName}` : `${count} new messages in ${roomName}`
    return isOneToOne ? `${actorName} wrote to you` : `${actorName} wrote in ${roomName}`
  },
}
