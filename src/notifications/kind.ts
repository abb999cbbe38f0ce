import type { RoomEvent } from '../events/room-event.ts'

/** Whom an event is for, by id, or everybody in the room. Who did it is never told of it, whatever is said here. */
export type Audience = readonly string[] | 'EVERYBODY'

/** What a line about some events of one kind in one room is made of. */
export interface Told {
  count: number
  /** Who did it, the last time. */
  actorName: string
  roomName: string
  /** Whether the room is that of two people alone. */
  isOneToOne: boolean
}

/**
 * A kind of notification: which events of a room are told to whom. To add one takes a file like those in kinds/, and its
 * line in kind-registry.ts, whose order is by importance.
 */
export interface NotificationKind {
  /** Its name in the API and in the database: keep it. */
  readonly name: string
  /** For the API: when there is such a notification. */
  readonly description: string
  /**
   * Who is told of it: those who want what is meant for them, or only those who want everything of the room. Of a message
   * that neither mentions nor replies only those: where nobody wants everything, such messages are not even read.
   */
  readonly level: 'MENTIONS' | 'ALL'
  /** Whether a device is to be woken for it. */
  readonly isUrgent: boolean
  /** Whom this event is for; null where it is not of this kind. Of events without anything about the viewer. */
  audienceOf(event: RoomEvent): Audience | null
  /** A line about it, in English, without the text of a message. */
  lineOf(told: Told): string
}
