-- The functions as they were, but of a deleted message that is replied to they give no text: whoever quotes it can say so.

-- Appends messages to the logs of their rooms: any number of messages, of any rooms, in one statement and one commit.
--
-- It first locks the rooms, in the order of their ids so that two calls cannot deadlock, and only then looks: each
-- statement of a volatile function has its own snapshot, so membership, archiving and earlier retries are seen as they
-- are under the lock. Seq order is therefore commit order, and a retry that raced its original finds it.
-- One bad message fails alone: every input gets its own outcome.
--
-- room_ids are the rooms of the messages, each once. A (room, author, client id) stands at most once in a call: the caller
-- answers further ones like the first.
CREATE OR REPLACE FUNCTION "append_messages"(
  room_ids UUID[],
  ids UUID[], rooms UUID[], authors UUID[], texts TEXT[], replies UUID[], client_ids TEXT[], all_mentions JSONB[]
)
RETURNS SETOF "appended_message"
LANGUAGE plpgsql VOLATILE
-- The plan is made once for each connection, perhaps while the tables are empty, and must still be right when they are
-- not: index lookups for each message.
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_bitmapscan = off SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  at TIMESTAMPTZ(3);
BEGIN
  RETURN QUERY
  SELECT NULL::int, NULL, NULL::int, NULL::timestamptz, NULL::uuid, NULL, NULL, NULL, NULL, NULL::timestamptz,
    NULL::uuid, NULL::int, NULL, NULL::uuid, NULL, NULL, NULL, NULL::timestamptz,
    r."id", r."kind", r."name", r."slug", r."topic", r."created_at", r."archived_at",
    r."last_seq", r."last_activity_at", r."member_count"
  FROM "rooms" r WHERE r."id" = ANY(room_ids) ORDER BY r."id" FOR NO KEY UPDATE;

  -- Taken under the lock: within a room, times follow seqs.
  at := clock_timestamp();

  RETURN QUERY
  WITH judged AS MATERIALIZED (
    SELECT g.*, r."last_seq",
      earlier."id" AS "earlier_id", earlier."seq" AS "earlier_seq", earlier."text" AS "earlier_text",
      earlier."created_at" AS "earlier_created_at",
      author."name", author."avatar_url", author."status_text", author."last_seen_at",
      reply."id" AS "reply_id", reply."seq" AS "reply_seq",
      CASE WHEN reply."deleted_at" IS NULL THEN reply."text" END AS "reply_text",
      replied."id" AS "replied_id", replied."name" AS "replied_name", replied."avatar_url" AS "replied_avatar_url",
      replied."status_text" AS "replied_status_text", replied."last_seen_at" AS "replied_last_seen_at",
      "append_verdict"(
        earlier."id" IS NOT NULL, r."kind", m."user_id" IS NOT NULL, r."archived_at" IS NOT NULL,
        g."reply_to_id" IS NOT NULL AND reply."id" IS NULL
      ) AS "verdict"
    FROM unnest(ids, rooms, authors, texts, replies, client_ids, all_mentions)
      WITH ORDINALITY AS g("id", "room_id", "author_id", "text", "reply_to_id", "client_message_id", "mentions", "ord")
    LEFT JOIN "rooms" r ON r."id" = g."room_id"
    -- As a pair it fits one index only, that of (user_id, room_id).
    LEFT JOIN "memberships" m ON (m."user_id", m."room_id") >= (g."author_id", g."room_id")
      AND (m."user_id", m."room_id") <= (g."author_id", g."room_id")
    LEFT JOIN "users" author ON author."id" = g."author_id"
    -- IS NOT DISTINCT FROM is no index condition: what leads with the room cannot be chosen.
    LEFT JOIN "messages" earlier ON earlier."author_id" = g."author_id"
      AND earlier."client_message_id" = g."client_message_id" AND earlier."room_id" IS NOT DISTINCT FROM g."room_id"
    LEFT JOIN "messages" reply
      ON reply."id" = CASE WHEN earlier."id" IS NULL THEN g."reply_to_id" ELSE earlier."reply_to_id" END
      AND reply."room_id" IS NOT DISTINCT FROM g."room_id"
    LEFT JOIN "users" replied ON replied."id" = reply."author_id"
  ),
  numbered AS MATERIALIZED (
    SELECT j.*, j."last_seq" + (count(*) FILTER (WHERE j."verdict" = 'SENT')
      OVER (PARTITION BY j."room_id" ORDER BY j."ord" ROWS UNBOUNDED PRECEDING))::int AS "seq"
    FROM judged j
  ),
  advanced AS (
    UPDATE "rooms" r
    SET "last_seq" = n."seq", "last_activity_at" = greatest(r."last_activity_at", at)
    FROM (SELECT "room_id", max("seq") AS "seq" FROM numbered WHERE "verdict" = 'SENT' GROUP BY "room_id") n
    WHERE r."id" = n."room_id"
  ),
  stored AS (
    INSERT INTO "messages" (
      "id", "room_id", "seq", "author_id", "text", "reply_to_id", "client_message_id", "mentions", "created_at"
    )
    SELECT "id", "room_id", "seq", "author_id", "text", "reply_to_id", "client_message_id", "mentions", at
    FROM numbered WHERE "verdict" = 'SENT'
  )
  SELECT n."ord"::int, n."verdict", coalesce(n."earlier_seq", n."seq"),
    coalesce(n."earlier_created_at", at), n."earlier_id", n."earlier_text",
    n."name", n."avatar_url", n."status_text", n."last_seen_at",
    n."reply_id", n."reply_seq", n."reply_text", n."replied_id", n."replied_name", n."replied_avatar_url",
    n."replied_status_text", n."replied_last_seen_at",
    NULL::uuid, NULL::"RoomKind", NULL, NULL, NULL, NULL::timestamptz, NULL::timestamptz, NULL::int, NULL::timestamptz,
    NULL::int
  FROM numbered n;
END
$$;

-- The same for one message: some small statements start faster than a large one. Only this one takes attachments: those
-- that are the author's own, ready, and in no message yet; two messages that want the same one wait for each other here.
-- One more outcome:
--   ATTACHMENT_NOT_FOUND  one of them is not, or not any more, for this author to send
CREATE OR REPLACE FUNCTION "append_message"(
  new_id UUID, new_room_id UUID, new_author_id UUID, new_text TEXT, new_reply_to_id UUID, new_client_message_id TEXT,
  new_mentions JSONB, new_attachment_ids UUID[]
)
RETURNS "appended_message"
LANGUAGE plpgsql VOLATILE
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off
AS $$
#variable_conflict use_column
DECLARE
  at TIMESTAMPTZ(3);
  room "rooms";
  known RECORD;
  reply RECORD;
  verdict TEXT;
  -- What the message replies to: a retry, to what its original does.
  replied_to UUID := new_reply_to_id;
  attachment_count INTEGER := coalesce(cardinality(new_attachment_ids), 0);
  free_attachments INTEGER;
BEGIN
  SELECT r.* INTO room FROM "rooms" r WHERE r."id" = new_room_id FOR NO KEY UPDATE;
  at := clock_timestamp();

  SELECT u."name", u."avatar_url", u."status_text", u."last_seen_at", m."user_id" IS NOT NULL AS "is_member",
    e."id", e."seq", e."text", e."reply_to_id", e."created_at"
  INTO known
  FROM "users" u
  LEFT JOIN "memberships" m ON (m."user_id", m."room_id") >= (u."id", new_room_id)
    AND (m."user_id", m."room_id") <= (u."id", new_room_id)
  LEFT JOIN "messages" e ON e."author_id" = u."id" AND e."client_message_id" = new_client_message_id
    AND e."room_id" IS NOT DISTINCT FROM new_room_id
  WHERE u."id" = new_author_id;

  IF known."id" IS NOT NULL THEN
    replied_to := known."reply_to_id";
  END IF;
  SELECT q."id", q."seq", CASE WHEN q."deleted_at" IS NULL THEN q."text" END AS "text",
    q."author_id", b."name", b."avatar_url", b."status_text", b."last_seen_at"
  INTO reply
  FROM "messages" q JOIN "users" b ON b."id" = q."author_id"
  -- Most reply to nothing, and this costs them nothing.
  WHERE replied_to IS NOT NULL AND q."id" = replied_to AND q."room_id" IS NOT DISTINCT FROM new_room_id;

  verdict := "append_verdict"(
    known."id" IS NOT NULL, room."kind", coalesce(known."is_member", FALSE), room."archived_at" IS NOT NULL,
    replied_to IS NOT NULL AND reply."id" IS NULL
  );

  IF verdict = 'SENT' AND attachment_count > 0 THEN
    -- In the order of their ids, so that two sends cannot deadlock.
    PERFORM FROM "attachments" a WHERE a."id" = ANY(new_attachment_ids) ORDER BY a."id" FOR UPDATE;
    SELECT count(*) INTO free_attachments FROM "attachments" a
    WHERE a."id" = ANY(new_attachment_ids) AND a."uploader_id" = new_author_id AND a."status" = 'READY'
      AND a."message_id" IS NULL AND a."deleted_at" IS NULL;
    IF free_attachments <> attachment_count THEN
      verdict := 'ATTACHMENT_NOT_FOUND';
    END IF;
  END IF;

  IF verdict = 'SENT' THEN
    WITH advanced AS (
      UPDATE "rooms" r
      SET "last_seq" = room."last_seq" + 1, "last_activity_at" = greatest(room."last_activity_at", at)
      WHERE r."id" = room."id"
    )
    INSERT INTO "messages" (
      "id", "room_id", "seq", "author_id", "text", "reply_to_id", "client_message_id", "mentions", "attachment_count",
      "created_at"
    )
    VALUES (
      new_id, new_room_id, room."last_seq" + 1, new_author_id, new_text, replied_to, new_client_message_id, new_mentions,
      attachment_count, at
    );
    IF attachment_count > 0 THEN
      UPDATE "attachments" a SET "message_id" = new_id, "position" = array_position(new_attachment_ids, a."id") - 1
      WHERE a."id" = ANY(new_attachment_ids);
    END IF;
  END IF;

  RETURN ROW(
    1, verdict, coalesce(known."seq", room."last_seq" + 1),
    coalesce(known."created_at", at), known."id", known."text",
    known."name", known."avatar_url", known."status_text", known."last_seen_at",
    reply."id", reply."seq", reply."text", reply."author_id", reply."name", reply."avatar_url", reply."status_text",
    reply."last_seen_at",
    room."id", room."kind", room."name", room."slug", room."topic", room."created_at",
    room."archived_at", room."last_seq", room."last_activity_at", room."member_count"
  );
END
$$;
