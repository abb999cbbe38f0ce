-- Who may not come into a room, and tokens that count no more. Only new things: nodes of the version before go on as they
-- are, and know of neither.

-- AlterTable
ALTER TABLE "users" ADD COLUMN "tokens_valid_from" TIMESTAMPTZ(3);

-- CreateTable
CREATE TABLE "bans" (
    "id" UUID NOT NULL,
    "room_id" UUID NOT NULL,
    "user_id" UUID NOT NULL,
    "banned_by_id" UUID NOT NULL,
    "reason" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "ends_at" TIMESTAMPTZ(3),

    CONSTRAINT "bans_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "users_tokens_valid_from_idx" ON "users"("tokens_valid_from");

-- CreateIndex
CREATE INDEX "bans_room_id_id_idx" ON "bans"("room_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "bans_user_id_room_id_key" ON "bans"("user_id", "room_id");

-- AddForeignKey
ALTER TABLE "bans" ADD CONSTRAINT "bans_room_id_fkey" FOREIGN KEY ("room_id") REFERENCES "rooms"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "bans" ADD CONSTRAINT "bans_user_id_fkey" FOREIGN KEY ("user_id") REFERENCES "users"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "bans" ADD CONSTRAINT "bans_banned_by_id_fkey" FOREIGN KEY ("banned_by_id") REFERENCES "users"("id") ON DELETE RESTRICT ON UPDATE CASCADE;
