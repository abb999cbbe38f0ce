// What a fault run has seen from outside: the clients' own records and what the database holds at the end. All that the
// checker knows stands here. Times are of one clock, that of the process in which all clients run.

/** One item of a room's stream, as it arrived. */
export interface SeenItem {
  readonly atMs: number
  /** `CaughtUp` and `ResyncRequired` are items without an event. */
  readonly type: string
  readonly seq: number
  /** The message's id; null for all other types. */
  readonly id: string | null
}

/** `completed`: the server ended it; `refused`: it never began; `cut`: the connection broke, or the client left. */
export type OpeningEnd = 'open' | 'cut' | 'completed' | 'refused'

/** A stream from one `subscribe` message to the end of what that one brought. */
export interface Opening {
  readonly openedAtMs: number
  /** Null where the client asked for the head. */
  readonly after: number | null
  readonly items: SeenItem[]
  end: OpeningEnd
}

/** One client's stream of one room: its openings, each from where the one before had come to. */
export interface StreamHistory {
  readonly client: string
  /** The user's id. */
  readonly user: string
  readonly room: string
  readonly openings: Opening[]
  /** The client was given the time to read up to the head, after all faults were over. */
  mustReachHead: boolean
}

export interface Acknowledgement {
  readonly seq: number
  readonly id: string
}

/** One message that a client wanted to send, with all its attempts. With neither acks nor refusals its fate is unknown. */
export interface SendHistory {
  readonly client: string
  readonly user: string
  readonly room: string
  readonly clientMessageId: string
  /** How often it was put on the wire. */
  attempts: number
  readonly acks: Acknowledgement[]
  /** The codes of refusals that no repetition can change. */
  readonly refusals: string[]
}

/** A change that was tried until its answer was certain; those of one user in one room follow each other. */
export interface MembershipChange {
  readonly room: string
  readonly user: string
  readonly kind: 'add' | 'leave'
  readonly startedAtMs: number
}

/** A row of the log, in the table of messages or in that of all other events. */
export interface StoredEvent {
  readonly seq: number
  readonly type: string
  /** The message's id; null for all other types. */
  readonly id: string | null
  /** The author of a message, or whom another event is about. */
  readonly user: string | null
  readonly clientMessageId: string | null
}

export interface StoredRoom {
  readonly room: string
  readonly isPrivate: boolean
  /** The head of its log, as the room itself says. */
  readonly lastSeq: number
  readonly events: readonly StoredEvent[]
}

/** Who a node says is in a room, once everything has come to rest, and who truly is. */
export interface PresenceReport {
  readonly node: string
  readonly room: string
  readonly said: readonly string[]
  readonly connected: readonly string[]
}

export interface History {
  readonly streams: readonly StreamHistory[]
  readonly sends: readonly SendHistory[]
  readonly memberships: readonly MembershipChange[]
  readonly rooms: readonly StoredRoom[]
  readonly presence: readonly PresenceReport[]
}

export const MARKS: ReadonlySet<string> = new Set(['CaughtUp', 'ResyncRequired'])
