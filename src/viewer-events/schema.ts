import type { UserEvent } from '../events/room-event.ts'
import type { StreamMark } from '../events/stream-mark.ts'
import { builder } from '../graphql/builder.ts'

/** What the viewer's own stream delivers. Features add the types of their events from their own folders. */
export const ViewerEvent = builder.interfaceRef<UserEvent | StreamMark>('ViewerEvent').implement({
  description: 'What the viewer’s own stream delivers: the events of their log, and marks of the stream itself.',
  resolveType: ({ type }) => type,
  fields: (t) => ({
    seq: t.exposeInt('seq', { description: 'Where the stream stands after this item: pass it as `after` to resume.' }),
  }),
})

/** An event of the user's own log, by its type. */
export type UserEventOf<Type extends UserEvent['type']> = Extract<UserEvent, { type: Type }>
