// The registry of what can stand in a room's log. Types only: the kernel knows the features' events by shape, not by code.

import type { MessageEvent } from '../messages/message-record.ts'
import type { RoomEventDraft, RoomOwnEvent } from '../rooms/room-event-bodies.ts'
import type { UserLogEvent } from '../viewer-events/viewer-event.ts'

/** An event of a room's log, as it travels on the bus and reaches every reader. */
export type RoomEvent = { roomId: string; seq: number /** ISO 8601 */; at: string } & (MessageEvent | RoomOwnEvent)

/** An event to append that has no row of its own elsewhere. */
export type { RoomEventDraft, UserLogEvent }

/** An event of a user's own log. */
export type UserEvent = { userId: string; seq: number; at: string } & UserLogEvent

/** What feeds carry: the events of both kinds of log. */
export type LogEvent = RoomEvent | UserEvent
