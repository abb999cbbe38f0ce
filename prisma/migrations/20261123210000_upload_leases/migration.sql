-- Who is writing a resumable upload, so that one request does at a time. Nothing else refers to it.

-- CreateTable
CREATE TABLE "upload_leases" (
    "object_key" TEXT NOT NULL,
    "holder" UUID NOT NULL,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,
    "is_wanted" BOOLEAN NOT NULL DEFAULT false,

    CONSTRAINT "upload_leases_pkey" PRIMARY KEY ("object_key")
);
