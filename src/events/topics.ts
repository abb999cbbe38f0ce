/** Bus topics and feeds are named by what they are about. */
export const roomTopic = (roomId: string): string => `room:${roomId}`
export const userTopic = (userId: string): string => `user:${userId}`

export type LogTopic = { log: 'room' | 'user'; id: string }

/** The log behind a topic. Throws for a topic that has none. */
export function parseLogTopic(topic: string): LogTopic {
  const [log, id] = topic.split(':')
  if ((log === 'room' || log === 'user') && id) return { log, id }
  throw new Error(`no log has the topic ${topic}`)
}
