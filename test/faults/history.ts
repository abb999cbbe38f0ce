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
  /** The users whom its text mentions, if they are members; or everybody. */
  readonly mentions: readonly string[] | 'EVERYBODY'
  /** The author of the message that it replies to. */
  readonly repliesTo: string | null
  readonly attachments: readonly SentFile[]
}

/** A file that was uploaded for a message. */
export interface SentFile {
  readonly id: string
  /** Of its bytes. */
  readonly digest: string
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
  /** Who did it. */
  readonly actor: string | null
  readonly clientMessageId: string | null
}

export interface StoredRoom {
  readonly room: string
  readonly isPrivate: boolean
  readonly isDirect: boolean
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

export type NotificationKind = 'MENTION' | 'REPLY' | 'MESSAGE' | 'ROOM_ADDED'

/** A member who is never there, and so is owed a notification of whatever is meant for them. */
export interface Absentee {
  readonly user: string
  readonly room: string
  /** What they want to be told of in that room, from before its first message on. */
  readonly level: 'ALL' | 'MENTIONS' | 'NONE'
  /** They were a member from the founding to the end. */
  readonly isSteady: boolean
}

/** A row of somebody's inbox. */
export interface StoredNotification {
  readonly id: string
  readonly user: string
  readonly room: string
  readonly kind: NotificationKind
  /** The newest message that it stands for; null where it is about none. */
  readonly message: string | null
  readonly count: number
  readonly version: number
  readonly isRead: boolean
  /** How many events of its user's log tell of it. */
  readonly events: number
}

/** One version of a notification for one webhook or browser, as the database has it. */
export interface StoredDelivery {
  /** The address of the webhook or the browser. */
  readonly target: string
  readonly user: string
  readonly notification: string
  readonly version: number
  readonly state: string
  readonly error: string | null
  /** What each attempt carries, by which the receiver knows a repetition. */
  readonly identity: string
}

/** A request that a webhook or a browser got. */
export interface ReceivedTelling {
  readonly target: string
  readonly atMs: number
  readonly identity: string
  /** Of all that a repetition has in common with the first. */
  readonly digest: string
  readonly notification: string
  readonly version: number
  readonly count: number
  /** Whom it is for. */
  readonly user: string
  /** Null where it was not answered, or nobody waited for the answer. */
  status: number | null
}

/** Where somebody's notifications go to. */
export interface Target {
  readonly address: string
  /** The user whose browser it is; null for a webhook, which gets everybody's. */
  readonly user: string | null
  /** Null: all kinds. */
  readonly kinds: readonly NotificationKind[] | null
}

/** What became of the messages that somebody had to be told of. Ids as clients know them. */
export interface NotificationHistory {
  readonly absentees: readonly Absentee[]
  readonly stored: readonly StoredNotification[]
  readonly targets: readonly Target[]
  readonly deliveries: readonly StoredDelivery[]
  readonly received: readonly ReceivedTelling[]
  /** What the service still had to do when everything should have been done. */
  readonly pending: readonly string[]
  /** How many notifications of each user the service says are not read. */
  readonly unread: readonly { readonly user: string; readonly said: number }[]
}

/** A file as the database has it. */
export interface StoredFile {
  readonly id: string
  readonly message: string | null
  readonly status: string
  /** What it keeps in the storage. */
  readonly keys: readonly string[]
}

export interface Download {
  readonly file: string
  /** Of what came; null where nothing did. */
  readonly digest: string | null
  readonly answer: string
}

/** What became of files, when what nobody had sent was cleaned up. */
export interface FileHistory {
  readonly stored: readonly StoredFile[]
  /** The keys of all that the storage holds. */
  readonly objects: readonly string[]
  readonly downloads: readonly Download[]
}

export interface History {
  readonly streams: readonly StreamHistory[]
  readonly sends: readonly SendHistory[]
  readonly memberships: readonly MembershipChange[]
  readonly rooms: readonly StoredRoom[]
  readonly presence: readonly PresenceReport[]
  readonly notifications: NotificationHistory
  readonly files: FileHistory
}

/** Counting stops here. */
export const MAX_UNREAD = 100

export const MARKS: ReadonlySet<string> = new Set(['CaughtUp', 'ResyncRequired'])
