-- Who joined when is compared with the times of the room's log, and those are the database's. Nodes of the version before
-- go on naming a time of their own.

-- AlterTable
ALTER TABLE "memberships" ALTER COLUMN "joined_at" SET DEFAULT clock_timestamp();
