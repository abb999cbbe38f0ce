-- What a live event carries, so that nothing is read on its way out: the room, and when the people in it were last seen.

-- A room as it travels with its events (RoomRecord), times as ISO 8601 in UTC with milliseconds.
CREATE FUNCTION "room_record"(r "rooms") RETURNS JSON
LANGUAGE SQL STABLE
AS $$
SELECT json_build_object(
  'id', r."id",
  'kind', r."kind",
  'name', r."name",
  'slug', r."slug",
  'topic', r."topic",
  'createdAt', to_char(r."created_at" AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
  'archivedAt', to_char(r."archived_at" AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
  'lastSeq', r."last_seq",
  'lastActivityAt', to_char(r."last_activity_at" AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
  'memberCount', r."member_count"
)
$$;

DROP FUNCTION "append_messages"(JSON);

-- Appends messages to the logs of their rooms: any number of messages, of any rooms, in one statement and one commit.
--
-- It first locks the rooms, in the order of their ids so that two calls cannot deadlock, and only then looks: each
-- statement of a volatile function has its own snapshot, so membership, archiving and earlier retries are seen as they
-- are under the lock. Seq order is therefore commit order, and a retry that raced its original finds it.
-- One bad message fails alone: every input gets its own outcome, in the order given.
--   SENT            stored at the room's next seq
--   DUPLICATE       the author had sent this client_message_id to this room before: the original is returned
--   NOT_FOUND       no such room, or not for this author
--   NOT_A_MEMBER    a public room that the author has not joined
--   ROOM_ARCHIVED   the room takes no more messages
--   REPLY_NOT_FOUND the message replied to is not in this room
-- "room" is the room as it was before the call, in the first row of each room only.
CREATE FUNCTION "append_messages"(input JSON)
RETURNS TABLE (
  "ordinal" INTEGER, "outcome" TEXT,
  "id" UUID, "seq" INTEGER, "text" TEXT, "clientMessageId" TEXT, "createdAt" TIMESTAMPTZ,
  "authorName" TEXT, "authorAvatarUrl" TEXT, "authorStatusText" TEXT, "authorLastSeenAt" TIMESTAMPTZ,
  "replyId" UUID, "replySeq" INTEGER, "replyText" TEXT,
  "replyAuthorId" UUID, "replyAuthorName" TEXT, "replyAuthorAvatarUrl" TEXT, "replyAuthorStatusText" TEXT,
  "replyAuthorLastSeenAt" TIMESTAMPTZ,
  "room" JSON
)
LANGUAGE plpgsql VOLATILE
AS $$
#variable_conflict use_column
DECLARE
  at TIMESTAMPTZ(3);
BEGIN
  PERFORM 1 FROM "rooms" r
  WHERE r."id" IN (SELECT (e->>'roomId')::uuid FROM json_array_elements(input) e)
  ORDER BY r."id"
  FOR NO KEY UPDATE;

  -- Taken under the lock: within a room, times follow seqs.
  at := clock_timestamp();

  RETURN QUERY
  WITH given AS (
    SELECT i.*
    FROM ROWS FROM (json_to_recordset(input) AS (
      "id" UUID, "roomId" UUID, "authorId" UUID, "text" TEXT, "replyToId" UUID, "clientMessageId" TEXT
    )) WITH ORDINALITY AS i("id", "room_id", "author_id", "text", "reply_to_id", "client_message_id", "ord")
  ),
  judged AS (
    SELECT g.*, r."last_seq", earlier."id" AS "earlier_id",
      CASE
        WHEN earlier."id" IS NOT NULL THEN 'DUPLICATE'
        WHEN r."id" IS NULL THEN 'NOT_FOUND'
        WHEN m."user_id" IS NULL THEN CASE WHEN r."kind" = 'PUBLIC' THEN 'NOT_A_MEMBER' ELSE 'NOT_FOUND' END
        WHEN r."archived_at" IS NOT NULL THEN 'ROOM_ARCHIVED'
        WHEN g."reply_to_id" IS NOT NULL AND reply."id" IS NULL THEN 'REPLY_NOT_FOUND'
        ELSE 'SENT'
      END AS "verdict",
      CASE WHEN row_number() OVER (PARTITION BY g."room_id" ORDER BY g."ord") = 1 THEN "room_record"(r) END AS "room"
    FROM given g
    LEFT JOIN "rooms" r ON r."id" = g."room_id"
    LEFT JOIN "memberships" m ON m."room_id" = g."room_id" AND m."user_id" = g."author_id"
    LEFT JOIN "messages" earlier ON earlier."room_id" = g."room_id" AND earlier."author_id" = g."author_id"
      AND earlier."client_message_id" = g."client_message_id"
    LEFT JOIN "messages" reply ON reply."id" = g."reply_to_id" AND reply."room_id" = g."room_id"
  ),
  -- Retries of one message within this very call: the first is sent, the others are its duplicates.
  grouped AS (
    SELECT j.*,
      CASE WHEN j."verdict" = 'SENT' AND j."client_message_id" IS NOT NULL THEN
        first_value(j."id") OVER (PARTITION BY j."verdict", j."room_id", j."author_id", j."client_message_id" ORDER BY j."ord")
      ELSE j."id" END AS "first_id"
    FROM judged j
  ),
  numbered AS (
    SELECT g.*,
      g."last_seq" + (row_number() OVER (PARTITION BY g."room_id" ORDER BY g."ord"))::int AS "seq"
    FROM grouped g
    WHERE g."verdict" = 'SENT' AND g."first_id" = g."id"
  ),
  advanced AS (
    UPDATE "rooms" r
    SET "last_seq" = n."seq", "last_activity_at" = greatest(r."last_activity_at", at)
    FROM (SELECT "room_id", max("seq") AS "seq" FROM numbered GROUP BY "room_id") n
    WHERE r."id" = n."room_id"
  ),
  stored AS (
    INSERT INTO "messages" ("id", "room_id", "seq", "author_id", "text", "reply_to_id", "client_message_id", "created_at")
    SELECT "id", "room_id", "seq", "author_id", "text", "reply_to_id", "client_message_id", at FROM numbered
    RETURNING "messages".*
  ),
  found AS (
    SELECT * FROM stored
    UNION ALL
    SELECT m.* FROM "messages" m WHERE m."id" IN (SELECT "earlier_id" FROM judged WHERE "verdict" = 'DUPLICATE')
  )
  SELECT
    g."ord"::int,
    CASE WHEN g."verdict" = 'SENT' AND g."first_id" <> g."id" THEN 'DUPLICATE' ELSE g."verdict" END,
    f."id", f."seq", f."text", f."client_message_id", f."created_at",
    author."name", author."avatar_url", author."status_text", author."last_seen_at",
    reply."id", reply."seq", reply."text",
    replied."id", replied."name", replied."avatar_url", replied."status_text", replied."last_seen_at",
    g."room"
  FROM grouped g
  LEFT JOIN found f ON f."id" = CASE WHEN g."verdict" = 'DUPLICATE' THEN g."earlier_id" ELSE g."first_id" END
    AND g."verdict" IN ('SENT', 'DUPLICATE')
  LEFT JOIN "users" author ON author."id" = g."author_id"
  LEFT JOIN "messages" reply ON reply."id" = f."reply_to_id"
  LEFT JOIN "users" replied ON replied."id" = reply."author_id"
  ORDER BY g."ord";
END
$$;
