-- Notifications: what users are told of, how far each room's log was looked through for it, and what they want.

-- CreateEnum
CREATE TYPE "NotificationLevel" AS ENUM ('ALL', 'MENTIONS', 'NONE');

-- CreateEnum
CREATE TYPE "PushPrivacy" AS ENUM ('FULL', 'SENDER_ONLY', 'NONE');

-- CreateTable
CREATE TABLE "notifications" (
    "id" UUID NOT NULL,
    "user_id" UUID NOT NULL,
    "room_id" UUID NOT NULL,
    "kind" TEXT NOT NULL,
    "message_id" UUID,
    "actor_id" UUID NOT NULL,
    "count" INTEGER NOT NULL,
    "version" INTEGER NOT NULL DEFAULT 1,
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "updated_at" TIMESTAMPTZ(3) NOT NULL,
    "read_at" TIMESTAMPTZ(3),

    CONSTRAINT "notifications_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "notification_positions" (
    "room_id" UUID NOT NULL,
    "seq" INTEGER NOT NULL DEFAULT 0,

    CONSTRAINT "notification_positions_pkey" PRIMARY KEY ("room_id")
);

-- CreateTable
CREATE TABLE "notification_entries" (
    "room_id" UUID NOT NULL,
    "kind" TEXT NOT NULL,
    "seq" INTEGER NOT NULL,
    "message_id" UUID,
    "actor_id" UUID NOT NULL,
    "audience" UUID[],
    "is_for_all" BOOLEAN NOT NULL,
    "excluded" UUID[],
    "batch_seq" INTEGER NOT NULL,
    "looking" UUID[],
    "happened_at" TIMESTAMPTZ(3) NOT NULL,
    "gathered_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "notification_entries_pkey" PRIMARY KEY ("room_id","kind","seq")
);

-- CreateTable
CREATE TABLE "notification_windows" (
    "room_id" UUID NOT NULL,
    "kind" TEXT NOT NULL,
    "user_id" UUID NOT NULL,
    "notification_id" UUID NOT NULL,
    "through_seq" INTEGER NOT NULL,
    "closes_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "notification_windows_pkey" PRIMARY KEY ("room_id","kind","user_id")
);

-- CreateTable
CREATE TABLE "notification_passes" (
    "room_id" UUID NOT NULL,
    "kind" TEXT NOT NULL,
    "from_seq" INTEGER NOT NULL,
    "to_seq" INTEGER NOT NULL,
    "after_user_id" UUID,

    CONSTRAINT "notification_passes_pkey" PRIMARY KEY ("room_id","kind")
);

-- CreateTable
CREATE TABLE "notification_settings" (
    "user_id" UUID NOT NULL,
    "level" "NotificationLevel" NOT NULL DEFAULT 'MENTIONS',
    "push_privacy" "PushPrivacy" NOT NULL DEFAULT 'FULL',
    "do_not_disturb" JSONB,

    CONSTRAINT "notification_settings_pkey" PRIMARY KEY ("user_id")
);

-- CreateTable
CREATE TABLE "room_notification_settings" (
    "room_id" UUID NOT NULL,
    "user_id" UUID NOT NULL,
    "level" "NotificationLevel",
    "muted_until" TIMESTAMPTZ(3),

    CONSTRAINT "room_notification_settings_pkey" PRIMARY KEY ("room_id","user_id")
);

-- CreateIndex
CREATE INDEX "notifications_user_id_id_idx" ON "notifications"("user_id", "id");

-- CreateIndex
CREATE INDEX "notification_windows_room_id_kind_closes_at_idx" ON "notification_windows"("room_id", "kind", "closes_at");

-- CreateIndex
CREATE INDEX "room_notification_settings_user_id_idx" ON "room_notification_settings"("user_id");

-- AddForeignKey
ALTER TABLE "notifications" ADD CONSTRAINT "notifications_user_id_fkey" FOREIGN KEY ("user_id") REFERENCES "users"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "notification_positions" ADD CONSTRAINT "notification_positions_room_id_fkey" FOREIGN KEY ("room_id") REFERENCES "rooms"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "notification_settings" ADD CONSTRAINT "notification_settings_user_id_fkey" FOREIGN KEY ("user_id") REFERENCES "users"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "room_notification_settings" ADD CONSTRAINT "room_notification_settings_room_id_fkey" FOREIGN KEY ("room_id") REFERENCES "rooms"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "room_notification_settings" ADD CONSTRAINT "room_notification_settings_user_id_fkey" FOREIGN KEY ("user_id") REFERENCES "users"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- For the number of those that are not read.
CREATE INDEX "notifications_unread_idx" ON "notifications"("user_id", "id") WHERE "read_at" IS NULL;

-- For who is told of everything: few, in most rooms.
CREATE INDEX "room_notification_settings_all_idx" ON "room_notification_settings"("room_id", "user_id") WHERE "level" = 'ALL';
CREATE INDEX "notification_settings_all_idx" ON "notification_settings"("user_id") WHERE "level" = 'ALL';

-- What has happened so far is old news; rooms without a row begin at their first event.
INSERT INTO "notification_positions" ("room_id", "seq") SELECT "id", "last_seq" FROM "rooms";
