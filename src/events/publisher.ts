import type { Logger } from '../platform/logger.ts'
import type { EventBus } from '../realtime/event-bus.ts'
import type { TopicLog } from '../realtime/topic-log.ts'
import type { LogEvent, RoomEvent, UserEvent } from './room-event.ts'
import { encodeEvent } from './topic-log.ts'
import { roomTopic, userTopic } from './topics.ts'

/**
 * Spreads committed events to all nodes. Call after commit only. Never rejects and never waits for the bus:
 * a publish that fails costs latency, for every feed finds the event in the log by its sweep.
 */
export interface Publisher {
  publishEvents(events: readonly (RoomEvent | UserEvent)[]): void
  /** Publishes what a transaction has appended to a room's log, as the log has it now. */
  publishRoomRange(roomId: string, fromSeq: number, toSeq: number): void
}

export function createPublisher({
  bus,
  log,
  logger,
  onPublished = () => {},
}: {
  bus: EventBus
  log: TopicLog<LogEvent>
  logger: Logger
  /**
   * Is told of every event that this node publishes, once, and at once: it must not throw, and must do next to nothing. Not
   * of those whose publishing fails, or that a node which was killed did not come to.
   */
  onPublished?: (event: LogEvent) => void
}): Publisher {
  const publish = async (event: LogEvent) => {
    // A user's event may name a room too (RoomGained): whose log it stands in is told by userId.
    const topic = 'userId' in event ? userTopic(event.userId) : roomTopic(event.roomId)
    await bus.publish(topic, encodeEvent(event))
  }
  const publishAll = (events: readonly LogEvent[]) => {
    for (const event of events) {
      onPublished(event)
      publish(event).catch((error) => logger.warn({ err: error, seq: event.seq }, 'an event was not published'))
    }
  }
  return {
    publishEvents: publishAll,
    publishRoomRange(roomId, fromSeq, toSeq) {
      log
        .read(roomTopic(roomId), fromSeq - 1, toSeq, toSeq - fromSeq + 1)
        .then((entries) => publishAll(entries.map(({ event }) => event)))
        .catch((error) => logger.warn({ err: error, roomId }, 'a range of events was not published'))
    },
  }
}
