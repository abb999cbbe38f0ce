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

/** One question, over a connection that is destroyed in any case. */
export interface Question<Answer> {
  /** Of the scanner, for what is said when it gives no verdict. */
  name: string
  bytes: Readable
  signal: AbortSignal | undefined
  send(): Promise<void>
  readAnswer(): Promise<Answer>
  verdictOf(answer: Answer, isAllSent: boolean): Verdict
}

/** Sends and listens at once, because a scanner may have seen enough before the end. Rejects as `VirusScanner.scan` does. */
export async function askScanner<Answer>(
  connection: Writable,
  { name, bytes, signal, send, readAnswer, verdictOf }: Question<Answer>,
): Promise<Verdict> {
  const sourceFailure = watchSource(bytes, connection)
  try {
    const [sent, answered] = await Promise.allSettled([send(), readAnswer()])
    signal?.throwIfAborted()
    if (sourceFailure() !== null) throw sourceFailure()
    if (answered.status === 'rejected') throw answered.reason
    return verdictOf(answered.value, sent.status === 'fulfilled')
  } catch (error) {
    signal?.throwIfAborted()
    if (error === sourceFailure() || error instanceof ScannerUnavailableError) throw error
    throw new ScannerUnavailableError(`${name} gave no verdict: ${String(error)}`, { cause: error })
  } finally {
    connection.destroy()
  }
}

/** The stream's own failure, once it has failed: not that with which it is destroyed because the scanner has gone. */
function watchSource(bytes: Readable, scanner: Writable): () => Error | null {
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
