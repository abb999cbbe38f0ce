/** What happens to a user themself, as events of their own log. */
export type UserLogEvent =
  | { type: 'RoomGained'; roomId: string }
  | { type: 'RoomLost'; roomId: string }
  | { type: 'ProfileUpdated' }
