import { lstat, mkdir } from 'node:fs/promises'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import type { Authenticate } from './auth/authenticator.ts'
import type { Config, FileChecksConfig, FilesConfig } from './config.ts'
import type { Publisher } from './events/publisher.ts'
import { createCleanUp } from './files/clean-up-jobs.ts'
import { createDownloadRoute } from './files/download-route.ts'
import type { FileStorage } from './files/file-storage.ts'
import { openDiskFileStorage } from './files/file-storage-disk.ts'
import { S3FileStorage } from './files/file-storage-s3.ts'
import { createOrphanSearch } from './files/orphan-jobs.ts'
import type { UploadTools } from './files/process-upload.ts'
import { createProcessing } from './files/processing-service.ts'
import { createFiles, type Files } from './files/service.ts'
import { createUrlSigner, FILES_PATH, type UrlSigner } from './files/signed-url.ts'
import { createTusRoute } from './files/tus-route.ts'
import type { TusStore } from './files/tus-store.ts'
import { DiskTusStore } from './files/tus-store-disk.ts'
import { S3TusStore } from './files/tus-store-s3.ts'
import { UploadLeases } from './files/upload-leases.ts'
import { createUploads } from './files/upload-service.ts'
import { openFileChecks } from './open-file-checks.ts'
import type { Clock } from './platform/clock.ts'
import type { Db } from './platform/db.ts'
import type { Jobs } from './platform/jobs.ts'
import type { Logger } from './platform/logger.ts'
import { ensureSecretFile } from './platform/secret-file.ts'
import type { Rooms } from './rooms/service.ts'
import type { MountedRoute } from './transport/routes.ts'

export interface OpenFiles {
  storage: FileStorage
  tusStore: TusStore
  signer: UrlSigner
  tools: UploadTools
  close(): Promise<void>
}

const SECRET_ADVICE = 'for the urls of files: delete it, and the urls that were given end to work'

/** Where files are kept: a folder, or a bucket. Part of the composition root. */
export async function openFiles({
  config,
  checks,
  dataDir,
  uploadExpirationMs,
  clock,
}: {
  config: FilesConfig
  checks: FileChecksConfig
  /** Null where the database is not embedded. */
  dataDir: string | null
  /** After how long an upload that is not complete is given up. */
  uploadExpirationMs: number
  clock: Clock
}): Promise<OpenFiles> {
  const inDataDir = (name: string): string => {
    // The settings see to it: what is missing there is required where there is no data folder.
    if (dataDir === null) throw new Error(`files need ${name} of the data folder, and there is none`)
    return join(dataDir, name)
  }
  const secret = config.urlSecret ?? (await ensureSecretFile(inDataDir('files-url-secret'), SECRET_ADVICE))
  const signer = createUrlSigner({ secret, ttlMs: config.urlTtlMs, clock })
  const tools = openFileChecks(checks, await openTempDir(config.tempDir ?? defaultTempDir()))
  if (config.storage.kind === 's3') {
    const storage = new S3FileStorage(config.storage)
    const tusStore = new S3TusStore({ storage, bucket: config.storage.bucket, expirationMs: uploadExpirationMs })
    return { storage, tusStore, signer, tools, close: () => storage.close() }
  }
  const storage = await openDiskFileStorage({ dir: config.storage.dir ?? inDataDir('files') })
  const tusStore = new DiskTusStore({ storage, expirationMs: uploadExpirationMs })
  return { storage, tusStore, signer, tools, close: () => storage.close() }
}

/** One for each user of the machine: the folder of another's service would be closed to this one. */
function defaultTempDir(): string {
  return join(tmpdir(), `sohbet-files-${process.getuid?.() ?? userInfo().username}`)
}

/** What nobody else can read or put something into: the system's own folder is everybody's. */
async function openTempDir(dir: string): Promise<string> {
  await mkdir(dir, { recursive: true, mode: 0o700 })
  const { uid } = await lstat(dir)
  if (process.getuid !== undefined && uid !== process.getuid()) {
    throw new Error(`The folder ${dir} belongs to somebody else: set FILES_TEMP_DIR to one of the service's own`)
  }
  return dir
}

export interface FilesFeatureOptions {
  /** Null: this server keeps no files. */
  open: OpenFiles | null
  config: Config
  db: Db
  /** Not started yet. */
  jobs: Jobs
  publisher: Publisher
  rooms: Rooms
  clock: Clock
  logger: Logger
}

export interface FilesFeature {
  files: Files
  /** What it answers over HTTP beside GraphQL. */
  mount(authenticate: Authenticate): { routes: MountedRoute[]; settled(): Promise<void> }
}

/** Files with everything around them. */
export function createFilesFeature({ open, config, ...parts }: FilesFeatureOptions): FilesFeature {
  const { db, jobs, publisher, rooms, clock, logger } = parts
  if (open === null) {
    const files = createFiles({ db, jobs, rooms, uploads: null, signer: null, publicUrl: '' })
    return { files, mount: () => ({ routes: [], settled: async () => {} }) }
  }
  const { storage, tusStore, signer, tools } = open
  const { maxFileBytes, unsentMs } = config.uploads
  const uploads = createUploads({
    db,
    storage,
    jobs,
    clock,
    limits: { ...config.uploads, allowedTypes: tools.allowedTypes },
  })
  const files = createFiles({ db, jobs, rooms, uploads, signer, publicUrl: config.publicUrl ?? '' })
  const processing = createProcessing({ db, storage, publisher, tools, logger })
  processing.handle(jobs)
  createCleanUp({ db, storage, processing, clock, unsentMs, tempDir: tools.tempDir }).handle(jobs)
  createOrphanSearch({ db, storage, clock, logger }).handle(jobs)
  const { corsOrigins } = config.http
  return {
    files,
    mount(authenticate) {
      const downloads = createDownloadRoute({
        ...{ files: files.lookup, storage, signer, authenticate, corsOrigins, clock, logger },
      })
      const leases = new UploadLeases({ db })
      const tus = createTusRoute({
        ...{ store: tusStore, gate: uploads, leases, authenticate, corsOrigins, maxBytes: maxFileBytes, logger },
      })
      return { routes: [{ prefix: FILES_PATH, route: downloads }, tus], settled: () => tus.settled() }
    },
  }
}
