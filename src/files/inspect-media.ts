/**
 * How long a sound or a film is, and how large its picture, as its headers say. Nothing is decoded, and no more is read
 * than a few megabytes: what cannot be told cheaply is null.
 */
import { parseBlob } from 'music-metadata'
import type { ObjectBytes } from './object-bytes.ts'
import { rangedBlob } from './ranged-blob.ts'

export interface MediaFacts {
  durationMs: number | null
  width: number | null
  height: number | null
  /** Null where the format does not tell. */
  hasPicture: boolean | null
}

export const NO_MEDIA_FACTS: MediaFacts = { durationMs: null, width: null, height: null, hasPicture: null }

const MAX_READ_BYTES = 8 * 1024 * 1024
const TIMEOUT_MS = 10_000
/** A year; beyond it is no film but a joke. */
const MAX_DURATION_MS = 366 * 24 * 3600 * 1000
const MAX_EDGE = 100_000

export async function inspectMedia(bytes: ObjectBytes, contentType: string, signal?: AbortSignal): Promise<MediaFacts> {
  const timeout = AbortSignal.timeout(TIMEOUT_MS)
  const blob = rangedBlob(bytes, contentType, {
    maxBytes: MAX_READ_BYTES,
    signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
  })
  try {
    // Of a Blob the library uses what RangedBlob has; the contract test would show if it asked for more.
    const { format } = await parseBlob(blob as unknown as Blob, { skipCovers: true, mkvUseIndex: true })
    const picture = format.trackInfo.map(({ video }) => video).find((video) => video !== undefined)
    const width = edge(picture?.pixelWidth)
    const height = edge(picture?.pixelHeight)
    const isKnown = width !== null && height !== null
    return {
      durationMs: duration(format.duration ?? longest(format.trackInfo.map((track) => track.duration))),
      width: isKnown ? width : null,
      height: isKnown ? height : null,
      hasPicture: format.trackInfo.length === 0 ? null : (format.hasVideo ?? null),
    }
  } catch {
    signal?.throwIfAborted()
    // Broken, unknown or too long to look through: it can still be played or kept.
    return NO_MEDIA_FACTS
  }
}

function longest(seconds: readonly (number | undefined)[]): number | undefined {
  const known = seconds.filter((each) => each !== undefined)
  return known.length === 0 ? undefined : Math.max(...known)
}

function duration(seconds: number | undefined): number | null {
  const ms = Math.round((seconds ?? Number.NaN) * 1000)
  return ms > 0 && ms <= MAX_DURATION_MS ? ms : null
}

function edge(pixels: number | undefined): number | null {
  return pixels !== undefined && Number.isInteger(pixels) && pixels > 0 && pixels <= MAX_EDGE ? pixels : null
}
