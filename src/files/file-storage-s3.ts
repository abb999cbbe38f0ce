/**
 * Files in a bucket of S3 or of what speaks its protocol. See FileStorage. S3 itself shows an object whole or not at all;
 * a larger one goes there in parts, and its parts are given up when it fails. The parts of a process that was killed are
 * what `removeStale` gives up, or a rule of the bucket.
 */

import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import {
  AbortMultipartUploadCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  type ListMultipartUploadsCommandOutput,
  ListObjectsV2Command,
  type MultipartUpload,
  S3Client,
  type S3ClientConfig,
} from '@aws-sdk/client-s3'
import { Upload } from '@aws-sdk/lib-storage'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import {
  ByteMeter,
  type FileStorage,
  heard,
  isObjectKey,
  MissingObjectError,
  type ObjectPage,
  type ObjectStat,
  type PresignOptions,
  type ReadOptions,
  requireObjectKey,
  requireRange,
  StorageUnavailableError,
  type StoredBytes,
  type WriteOptions,
} from './file-storage.ts'

export interface S3Options {
  bucket: string
  region: string
  /** Null: Amazon's own for the region. */
  endpoint: string | null
  /** Where clients reach the bucket; null: they do not, and downloads go through the service. */
  publicEndpoint: string | null
  /** Whether the bucket stands in the path instead of the host name. */
  forcePathStyle: boolean
  /** Null: what the SDK finds, as the role of the machine. */
  credentials: { accessKeyId: string; secretAccessKey: string } | null
  /** For each try of a call, and for each pause of a body. */
  timeoutMs: number
}

/** Tries of a call, the first one included. */
const MAX_ATTEMPTS = 3
/** Two of them in memory for each object that is being written. Ten thousand are the most that S3 takes: 80 GB. */
const PART_BYTES = 8 * 1024 * 1024
const PARTS_AT_ONCE = 2
/** What S3 deletes in one call, and lists. */
const PAGE = 1000
/** The same url for some minutes, so that browsers can keep what they got by it. */
const SIGNING_STEP_MS = 5 * 60_000

export class S3FileStorage implements FileStorage {
  /** How another client of the same bucket is made. */
  readonly clientConfig: S3ClientConfig
  readonly #bucket: string
  readonly #timeoutMs: number
  readonly #client: S3Client
  readonly #publicClient: S3Client | null

  constructor(options: S3Options) {
    this.clientConfig = clientConfigOf(options, options.endpoint)
    this.#bucket = options.bucket
    this.#timeoutMs = options.timeoutMs
    this.#client = new S3Client(this.clientConfig)
    this.#publicClient =
      options.publicEndpoint === null ? null : new S3Client(clientConfigOf(options, options.publicEndpoint))
  }

  async write(key: string, source: Readable, { maxBytes, signal }: WriteOptions): Promise<{ sizeBytes: number }> {
    requireObjectKey(key)
    const body = new ByteMeter(maxBytes)
    // What the source throws, and the limit, are told as they are; all else is the storage's failure.
    let failure: unknown = null
    const flowing = pipeline(source, body, { signal }).catch((error: unknown) => {
      failure = signal?.aborted ? signal.reason : error
    })
    try {
      await new Upload({
        client: this.#client,
        params: { Bucket: this.#bucket, Key: key, Body: body },
        partSize: PART_BYTES,
        queueSize: PARTS_AT_ONCE,
      }).done()
      return { sizeBytes: body.bytes }
    } catch (error) {
      body.destroy()
      await flowing
      throw isOwnFailure(failure) ? failure : unavailable(error)
    }
  }

  async read(key: string, { range, signal }: ReadOptions = {}): Promise<StoredBytes> {
    requireObjectKey(key)
    const command = new GetObjectCommand({
      Bucket: this.#bucket,
      Key: key,
      Range: range && `bytes=${range.start}-${range.end}`,
    })
    const found = await this.#client.send(command, { abortSignal: signal }).catch((error: unknown) => {
      if (signal?.aborted) throw signal.reason
      if (statusOf(error) === 416) throw new RangeError(`${key} has no such range`, { cause: error })
      throw isMissing(error) ? new MissingObjectError(key, { cause: error }) : unavailable(error)
    })
    // In Node the body is a stream of Node.
    const body = found.Body as Readable
    const sizeBytes = Number(found.ContentRange?.split('/')[1] ?? found.ContentLength)
    try {
      if (range) requireRange(range, sizeBytes)
    } catch (error) {
      body.destroy()
      throw error
    }
    return { stream: guardBody(body, { timeoutMs: this.#timeoutMs, signal }), sizeBytes }
  }

  async stat(key: string): Promise<ObjectStat | null> {
    requireObjectKey(key)
    try {
      const found = await this.#client.send(new HeadObjectCommand({ Bucket: this.#bucket, Key: key }))
      return { sizeBytes: found.ContentLength ?? 0, modifiedAt: found.LastModified ?? new Date(0) }
    } catch (error) {
      if (isMissing(error)) return null
      throw unavailable(error)
    }
  }

  async delete(keys: readonly string[]): Promise<void> {
    for (const key of keys) requireObjectKey(key)
    for (let at = 0; at < keys.length; at += PAGE)
      await deletePage(this.#client, this.#bucket, keys.slice(at, at + PAGE))
  }

  async list({ after, limit }: { after: string | null; limit: number }): Promise<ObjectPage> {
    const found = await this.#client
      .send(
        new ListObjectsV2Command({
          Bucket: this.#bucket,
          StartAfter: after ?? undefined,
          MaxKeys: Math.min(limit, PAGE),
        }),
      )
      .catch(throwUnavailable)
    const all = found.Contents ?? []
    const objects = all.flatMap(({ Key = '', Size = 0, LastModified = new Date(0) }) =>
      isObjectKey(Key) ? [{ key: Key, sizeBytes: Size, modifiedAt: LastModified }] : [],
    )
    return { objects, next: found.IsTruncated ? (all.at(-1)?.Key ?? null) : null }
  }

  async presignDownload(key: string, options: PresignOptions): Promise<string | null> {
    requireObjectKey(key)
    if (this.#publicClient === null) return null
    const signingDate = new Date(Math.floor(Date.now() / SIGNING_STEP_MS) * SIGNING_STEP_MS)
    const command = new GetObjectCommand({
      Bucket: this.#bucket,
      Key: key,
      ResponseContentType: options.contentType,
      ResponseContentDisposition: options.contentDisposition,
      ResponseCacheControl: options.cacheControl,
    })
    const expiresIn = Math.max(1, Math.floor((options.expiresAt.getTime() - signingDate.getTime()) / 1000))
    return getSignedUrl(this.#publicClient, command, { signingDate, expiresIn })
  }

  removeStale(untouchedSince: Date): Promise<number> {
    return giveUpUploads(this.#client, this.#bucket, untouchedSince)
  }

  async close(): Promise<void> {
    this.#client.destroy()
    this.#publicClient?.destroy()
  }
}

function clientConfigOf(
  { region, forcePathStyle, credentials, timeoutMs }: S3Options,
  endpoint: string | null,
): S3ClientConfig {
  return {
    region,
    forcePathStyle,
    endpoint: endpoint ?? undefined,
    credentials: credentials ?? undefined,
    maxAttempts: MAX_ATTEMPTS,
    // Bodies have a watch of their own (guardBody): a socket is idle, too, while a client takes its time to read.
    requestHandler: {
      connectionTimeout: timeoutMs,
      requestTimeout: timeoutMs,
      throwOnRequestTimeout: true,
      socketTimeout: 0,
    },
    // Trailing checksums are what many that speak S3's protocol do not know.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  }
}

/** Fails where the storage stops in the middle. Only the time in which we wait for it counts. */
function guardBody(body: Readable, { timeoutMs, signal }: { timeoutMs: number; signal?: AbortSignal }): Readable {
  async function* guarded(): AsyncGenerator<Uint8Array, void, void> {
    const late = () => body.destroy(new StorageUnavailableError(`The storage has sent nothing for ${timeoutMs} ms`))
    let watch = setTimeout(late, timeoutMs)
    try {
      for await (const chunk of body) {
        clearTimeout(watch)
        yield chunk
        watch = setTimeout(late, timeoutMs)
      }
    } catch (error) {
      throw unavailable(error)
    } finally {
      clearTimeout(watch)
    }
  }
  const stream = heard(Readable.from(guarded(), { objectMode: false }))
  const stop = () => stream.destroy(signal?.reason)
  signal?.addEventListener('abort', stop, { once: true })
  stream.once('close', () => {
    signal?.removeEventListener('abort', stop)
    body.destroy()
  })
  return stream
}

async function deletePage(client: S3Client, Bucket: string, keys: readonly string[]): Promise<void> {
  const Objects = keys.map((Key) => ({ Key }))
  const done = await client
    .send(new DeleteObjectsCommand({ Bucket, Delete: { Objects, Quiet: true } }))
    .catch(throwUnavailable)
  const [failed] = done.Errors ?? []
  if (failed) throw new StorageUnavailableError(`${failed.Key} was not deleted: ${failed.Code} ${failed.Message}`)
}

async function giveUpUploads(client: S3Client, Bucket: string, untouchedSince: Date): Promise<number> {
  let count = 0
  let markers: { KeyMarker?: string; UploadIdMarker?: string } | null = {}
  while (markers !== null) {
    const page: ListMultipartUploadsCommandOutput = await client
      .send(new ListMultipartUploadsCommand({ Bucket, ...markers }))
      .catch(throwUnavailable)
    const stale = (page.Uploads ?? []).filter(({ Initiated }) => Initiated && Initiated < untouchedSince)
    for (const upload of stale) await giveUp(client, Bucket, upload)
    count += stale.length
    markers = page.IsTruncated ? { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker } : null
  }
  return count
}

/** With what a resumable upload keeps beside its parts. */
async function giveUp(client: S3Client, Bucket: string, { Key, UploadId }: MultipartUpload): Promise<void> {
  try {
    await client.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }))
  } catch (error) {
    if (!isMissing(error)) throw unavailable(error) // else it has ended meanwhile
  }
  await deletePage(client, Bucket, [`${Key}.info`, `${Key}.part`])
}

function statusOf(error: unknown): number | null {
  const { $metadata } = error as { $metadata?: { httpStatusCode?: number } } // of the SDK's errors; of others undefined
  return $metadata?.httpStatusCode ?? null
}

/** Of the object or the upload; a bucket that is not there is a failure. */
function isMissing(error: unknown): boolean {
  return error instanceof Error && ['NoSuchKey', 'NotFound', 'NoSuchUpload'].includes(error.name)
}

/** A body that was destroyed because its reader gave up says so by this code; then the reader's failure counts. */
function isOwnFailure(failure: unknown): boolean {
  return (
    failure !== null &&
    !(failure instanceof Error && 'code' in failure && failure.code === 'ERR_STREAM_PREMATURE_CLOSE')
  )
}

function unavailable(error: unknown): StorageUnavailableError {
  if (error instanceof StorageUnavailableError) return error
  return new StorageUnavailableError(`The storage failed: ${error instanceof Error ? error.message : String(error)}`, {
    cause: error,
  })
}

function throwUnavailable(error: unknown): never {
  throw unavailable(error)
}
