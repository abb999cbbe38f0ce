import type { NotificationKind } from '../kind.ts'

export const roomAdded: NotificationKind = {
  name: 'ROOM_ADDED',
  description: 'Somebody put the viewer into a room, but not into a direct one: of that its first message tells.',
  level: 'MENTIONS',
  isUrgent: false,
  audienceOf(event) {
    if (event.type !== 'MemberJoined' || event.room.kind === 'DIRECT') return null
    return event.user.id === event.actor.id ? null : [event.user.id]
  },
  lineOf: ({ actorName, roomName }) => `${actorName} added you to ${roomName}`,
}
