-- What keeps uploads within their limits, and what cleans up after them.

-- AlterTable
ALTER TABLE "attachments" ADD COLUMN "processing_attempts" SMALLINT NOT NULL DEFAULT 0;

-- CreateTable
CREATE TABLE "uploads" (
    "id" UUID NOT NULL,
    "uploader_id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "claimed_type" TEXT NOT NULL,
    "size_bytes" INTEGER NOT NULL,
    "object_key" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "uploads_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE UNIQUE INDEX "uploads_object_key_key" ON "uploads"("object_key");

-- CreateIndex
CREATE INDEX "uploads_uploader_id_idx" ON "uploads"("uploader_id");

-- CreateIndex
CREATE INDEX "uploads_created_at_idx" ON "uploads"("created_at");

-- AddForeignKey
ALTER TABLE "uploads" ADD CONSTRAINT "uploads_uploader_id_fkey" FOREIGN KEY ("uploader_id") REFERENCES "users"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- CreateTable
CREATE TABLE "upload_usage" (
    "user_id" UUID NOT NULL,
    "day" DATE NOT NULL,
    "bytes" BIGINT NOT NULL,

    CONSTRAINT "upload_usage_pkey" PRIMARY KEY ("user_id","day")
);

-- CreateIndex
CREATE INDEX "upload_usage_day_idx" ON "upload_usage"("day");

-- AddForeignKey
ALTER TABLE "upload_usage" ADD CONSTRAINT "upload_usage_user_id_fkey" FOREIGN KEY ("user_id") REFERENCES "users"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- CreateTable
CREATE TABLE "file_walks" (
    "name" TEXT NOT NULL,
    "position" TEXT,

    CONSTRAINT "file_walks_pkey" PRIMARY KEY ("name")
);

-- Of all attachments few wait to be sent or to be removed: the clean-up finds those without looking at the others.
CREATE INDEX "attachments_unsent_idx" ON "attachments"("created_at") WHERE "message_id" IS NULL;
