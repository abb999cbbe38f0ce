/**
 * Images are decoded in a process of their own, one for each: whatever a decoder does to its process, to its memory or to
 * its time, this one goes on, and its event loop never waits. It does not even load the library.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Slots } from '../platform/slots.ts'
import type { ImageJob, ImageLimits, ImageOutcome } from './image-job.ts'

export interface ImageProcessorOptions {
  limits: ImageLimits
  /** Long edges of the renditions, ascending. */
  renditionSizes: readonly number[]
  /** How many images at once; the others wait. */
  maxConcurrent: number
  /** For one image, from the start of its process. */
  timeoutMs: number
}

export type ImageRequest = Pick<ImageJob, 'inputPath' | 'contentType' | 'outputDir'>

export interface ImageProcessor {
  /**
   * What cannot be made of the image's own fault is an outcome; a rejection is the service's trouble, to be tried again.
   * When it settles nothing is written any more.
   */
  process(request: ImageRequest, signal?: AbortSignal): Promise<ImageOutcome>
}

/** How a process ends that was broken by what it decoded. */
const CRASHES = new Set<NodeJS.Signals>(['SIGSEGV', 'SIGBUS', 'SIGILL', 'SIGABRT', 'SIGFPE', 'SIGTRAP'])
const MAX_REPORT_CHARACTERS = 2000
const MAX_HEAP_MIB = 128

type Answer = { outcome: ImageOutcome } | { failure: string }

export function createImageProcessor(options: ImageProcessorOptions): ImageProcessor {
  const slots = new Slots(options.maxConcurrent)
  return {
    async process(request, signal) {
      const release = await slots.take(signal)
      try {
        const { renditionSizes, limits } = options
        return await runJob({ ...request, renditionSizes, limits }, options.timeoutMs, signal)
      } finally {
        release()
      }
    },
  }
}

async function runJob(job: ImageJob, timeoutMs: number, signal: AbortSignal | undefined): Promise<ImageOutcome> {
  signal?.throwIfAborted()
  const child = startProcess(job.outputDir)
  let answer: Answer | null = null
  let isLate = false
  let complaint = ''
  const kill = () => child.kill('SIGKILL')
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    complaint = (complaint + text).slice(-MAX_REPORT_CHARACTERS)
  })
  child.on('message', (message) => {
    // Sent by image-process.ts, which sends nothing else.
    answer = message as Answer
    // It has nothing more to do. Not disconnect: then Node never says that the process is closed.
    kill()
  })
  const timer = setTimeout(() => {
    isLate = true
    kill()
  }, timeoutMs)
  signal?.addEventListener('abort', kill)
  try {
    // A job that cannot be sent shows as the end of the process.
    child.send(job, () => {})
    const [, endedBy] = await once(child, 'close')
    signal?.throwIfAborted()
    if (answer !== null) return outcomeOf(answer)
    if (isLate) return { status: 'HOSTILE', message: `The image could not be decoded within ${timeoutMs} ms` }
    if (CRASHES.has(endedBy)) return { status: 'HOSTILE', message: `The image crashes its decoder (${endedBy})` }
    throw new Error(`The image process ended without an answer${endedBy ? ` (${endedBy})` : ''}: ${complaint}`)
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', kill)
  }
}

function outcomeOf(answer: Answer): ImageOutcome {
  if ('outcome' in answer) return answer.outcome
  throw new Error(`The image process failed: ${answer.failure}`)
}

function startProcess(outputDir: string): ChildProcess {
  // Beside this file, as source or as built.
  const program = fileURLToPath(new URL(`./image-process${extname(import.meta.url)}`, import.meta.url))
  return fork(program, [], {
    // Nothing of this process's environment: it holds secrets.
    env: {
      TMPDIR: outputDir,
      MALLOC_ARENA_MAX: '2',
      UV_THREADPOOL_SIZE: '2',
      VIPS_BLOCK_UNTRUSTED: '1',
      VIPS_CONCURRENCY: '1',
    },
    execArgv: ['--disable-warning=ExperimentalWarning', `--max-old-space-size=${MAX_HEAP_MIB}`],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  })
}
