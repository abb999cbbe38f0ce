import type { Readable, Writable } from 'node:stream'

export type Verdict =
  | { verdict: 'CLEAN' }
  /** `name` is what the scanner calls it. */
  | { verdict: 'INFECTED'; name: string }
  /** The scanner does not look at files of this size, and will not the next time either. */
  | { verdict: 'TOO_LARGE' }

/** Looks at the bytes of a file before anybody but their uploader may have them. */
export interface VirusScanner {
  /**
   * Reads the stream to its end, at the scanner's pace, and destroys it in any case. CLEAN is only said of all of the
   * bytes. Rejects where the scanner is away, too slow or does not make sense, or the stream fails or `signal` aborts:
   * then nothing is known of the file, and it must not become visible.
   */
  scan(bytes: Readable, sizeBytes: number, signal?: AbortSignal): Promise<Verdict>
}

/** There is no verdict; it can be asked for again. */
export class ScannerUnavailableError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'ScannerUnavailableError'
  }
}

/** The stream's own failure, once it has failed: not that with which it is destroyed because the scanner has gone. */
export function watchSource(bytes: Readable, scanner: Writable): () => Error | null {
  let failure: Error | null = null
  bytes.once('error', (error) => {
    if (!scanner.destroyed) failure = error
  })
  return () => failure
}

/** Verdicts are lines; more than this is none. */
export const MAX_ANSWER_BYTES = 16 * 1024

/** What a scanner calls a virus goes to logs and people. */
export function cleanVirusName(text: string): string {
  const name = text.replace(/[^\p{L}\p{N} ._:/()+-]/gu, '').trim()
  return name.slice(0, 200) || 'unnamed'
}
