// Who subscribes to what: the rooms, and each subscriber's operation.

const FLAT = 'id seq text createdAt author { id name } roomId'
/** All that the product's Message offers. It has no attachments and reactions yet: they are left out for everybody. */
export const EVERYTHING = `id seq text createdAt clientMessageId roomId room { id name }
  author { id name avatarUrl statusText } replyTo { id seq text author { id name } }`

export interface Scenario {
  name: string
  subscribers: number
  /** The numbers of the seeded rooms; subscribers are spread over them in turns. */
  rooms: readonly number[]
  /** Every message replies to one. */
  replies: boolean
  /** The selections of a message; subscribers have them in turns. */
  selections: readonly string[]
}

export function flatScenario(subscribers: number): Scenario {
  return { name: 'flat', subscribers, rooms: [1], replies: false, selections: [FLAT] }
}

export function richScenario(subscribers: number): Scenario {
  return { name: 'rich', subscribers, rooms: [2], replies: true, selections: [EVERYTHING] }
}

export function roomsScenario(rooms: number, subscribersPerRoom: number): Scenario {
  return {
    name: 'rooms',
    subscribers: rooms * subscribersPerRoom,
    rooms: Array.from({ length: rooms }, (_, index) => FIRST_OF_MANY + index),
    replies: false,
    selections: [FLAT],
  }
}

/** Every subscriber has another document, as far as there are operations. */
export function operationsScenario(operations: number, subscribers: number): Scenario {
  return {
    name: 'operations',
    subscribers,
    rooms: [3],
    replies: false,
    selections: Array.from({ length: operations }, (_, index) => variedSelection(index)),
  }
}

const FIRST_OF_MANY = 10
/** How many rooms to seed. */
export const roomsToSeed = (scenarios: readonly Scenario[]) =>
  Math.max(FIRST_OF_MANY, ...scenarios.flatMap(({ rooms }) => rooms))

const OPTIONAL = ['seq', 'createdAt', 'roomId', 'author { id }', 'author { name }', 'clientMessageId'] as const

/** The text under an alias of its own, and a choice of the other fields: about as much in all as the flat selection. */
function variedSelection(index: number): string {
  const chosen = OPTIONAL.filter((_, bit) => ((index >> bit) & 1) === 0)
  return `id text${index}: text ${chosen.join(' ')}`
}

export function subscriptionOf(selection: string): string {
  return `subscription ($roomId: ID!) { messageAdded(roomId: $roomId) { ${selection} } }`
}
