import { Prisma } from '../generated/prisma/client.ts'

/**
 * Of a delivery `d`, as SQL: whether its notification is of one message, and that is deleted. Of several no text leaves the
 * house, and those that are left are still news.
 */
export const isMessageDeleted = Prisma.sql`EXISTS (
  SELECT FROM "notifications" n JOIN "messages" m ON m."id" = n."message_id"
  WHERE n."id" = d."notification_id" AND n."count" = 1 AND m."deleted_at" IS NOT NULL
)`
