/**
 * Where the bytes of files are kept: the port. An object is written once, under a key that the service makes, and is never
 * changed. Readers see the whole object or none: a write that fails, is aborted or whose process dies leaves nothing that
 * `read`, `stat` or `list` would show. Everything streams with back-pressure; no call holds an object in memory.
 *
 * An object may be written anew under its key; the later one wins, whole. A call to another machine has a timeout for each
 * of its few tries and fails with StorageUnavailableError; a disk is trusted to answer.
 */
import { type Readable, Transform, type TransformCallback } from 'node:stream'

export interface FileStorage {
  /**
   * All of the source is stored, durably, when it resolves. The source is read to its end or destroyed.
   *
   * @throws ObjectTooLargeError past `maxBytes`; what the source throws; the signal's reason; StorageUnavailableError.
   */
  write(key: string, source: Readable, options: WriteOptions): Promise<{ sizeBytes: number }>

  /**
   * The object's bytes, or those of the range. The stream fails with StorageUnavailableError where it breaks in the middle,
   * and never ends early in silence. Whoever asked reads it to its end or destroys it; aborting the signal does the same.
   *
   * @throws MissingObjectError; RangeError for a range beyond the object.
   */
  read(key: string, options?: ReadOptions): Promise<StoredBytes>

  /** Null where there is no such object. */
  stat(key: string): Promise<ObjectStat | null>

  /** Safe to repeat: what is not there counts as deleted. Any number of keys. */
  delete(keys: readonly string[]): Promise<void>

  /**
   * Objects page by page, in no order that means anything. An object that exists all the while is listed exactly once;
   * one that comes or goes meanwhile may be.
   */
  list(options: { after: string | null; limit: number }): Promise<ObjectPage>

  /** A url at which anyone can fetch the object for a while, past this service; null where the storage has none. */
  presignDownload(key: string, options: PresignOptions): Promise<string | null>

  /**
   * Removes what unfinished writes have left behind that nobody has touched since; says how many. Whoever may still be
   * writing, or resuming, must have done something since then.
   */
  removeStale(untouchedSince: Date): Promise<number>

  close(): Promise<void>
}

export interface WriteOptions {
  maxBytes: number
  signal?: AbortSignal
}

export interface ReadOptions {
  /** The first byte and the last one, both included. */
  range?: { start: number; end: number }
  signal?: AbortSignal
}

export interface StoredBytes {
  stream: Readable
  /** Of the whole object, whatever the range. */
  sizeBytes: number
}

export interface ObjectStat {
  sizeBytes: number
  modifiedAt: Date
}

export interface ObjectPage {
  objects: (ObjectStat & { key: string })[]
  /** What to give as `after` for the next page; null: this is the last one. */
  next: string | null
}

/** What the storage is to answer with, besides the bytes. */
export interface PresignOptions {
  expiresAt: Date
  contentType: string
  contentDisposition: string
  cacheControl: string
}

export class MissingObjectError extends Error {
  constructor(key: string, options?: ErrorOptions) {
    super(`There is no object ${key}`, options)
    this.name = 'MissingObjectError'
  }
}

export class ObjectTooLargeError extends Error {
  readonly maxBytes: number

  constructor(maxBytes: number) {
    super(`The object is larger than ${maxBytes} bytes`)
    this.name = 'ObjectTooLargeError'
    this.maxBytes = maxBytes
  }
}

/** The storage does not answer, or answers with a failure of its own: the same may work in a moment. */
export class StorageUnavailableError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'StorageUnavailableError'
  }
}

const MAX_KEY_LENGTH = 200
/** Lower case alone: some disks do not tell the cases apart. No part begins with a dot, so none is `.` or `..`. */
const KEY = /^[a-z0-9][a-z0-9._-]*(\/[a-z0-9][a-z0-9._-]*)*$/
/** What stands beside an object that is still coming, in S3. */
const RESERVED = /\.(?:info|part)$/

/** Letters in lower case, digits, `.`, `_`, `-`, and `/` between parts that begin with a letter or a digit. */
export function isObjectKey(key: string): boolean {
  return key.length <= MAX_KEY_LENGTH && KEY.test(key) && !RESERVED.test(key)
}

/** Keys are made by the service; this is for the day on which one is not. Throws for what could leave the storage's root. */
export function requireObjectKey(key: string): void {
  if (!isObjectKey(key)) throw new TypeError(`${JSON.stringify(key.slice(0, MAX_KEY_LENGTH))} is no key of an object`)
}

/** Passes the bytes on, counts them, and fails with the first that is too many. */
export class ByteMeter extends Transform {
  bytes = 0
  readonly #maxBytes: number

  constructor(maxBytes: number) {
    super()
    this.#maxBytes = maxBytes
  }

  override _transform(chunk: Uint8Array, _encoding: BufferEncoding, done: TransformCallback): void {
    this.bytes += chunk.byteLength
    if (this.bytes > this.#maxBytes) done(new ObjectTooLargeError(this.#maxBytes))
    else done(null, chunk)
  }
}

/** A stream that may fail before its reader is there: that must not end the process. Readers get the failure all the same. */
export function heard(stream: Readable): Readable {
  return stream.on('error', () => {})
}

/** A range that the object has, or a RangeError. */
export function requireRange({ start, end }: { start: number; end: number }, sizeBytes: number): void {
  const fits = Number.isInteger(start) && Number.isInteger(end) && start >= 0 && start <= end && end < sizeBytes
  if (!fits) throw new RangeError(`An object of ${sizeBytes} bytes has no range from ${start} to ${end}`)
}
