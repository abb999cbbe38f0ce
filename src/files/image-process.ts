/**
 * The program that process-image.ts starts for each image. It is given one job, answers once and ends. Decoders are the
 * part of the house most likely to be broken into or to break; here they have no secrets, no sockets and no memory that
 * anybody else needs, and the operating system takes this process first when memory is short.
 */
import { writeFileSync } from 'node:fs'
import { setPriority } from 'node:os'
import process from 'node:process'
import type { ImageJob } from './image-job.ts'
import { confineDecoders, makeImage } from './make-image.ts'

const NICE = 10

function stepBack(): void {
  // Neither is possible everywhere, and neither is needed.
  try {
    setPriority(NICE)
    writeFileSync('/proc/self/oom_score_adj', '1000')
  } catch {}
}

// The parent is gone. Not process.exit: that would wait for the decoder.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'))

process.once('message', async (message) => {
  try {
    // The parent sends nothing else.
    process.send?.({ outcome: await makeImage(message as ImageJob) })
  } catch (error) {
    process.send?.({ failure: error instanceof Error ? (error.stack ?? error.message) : String(error) })
  }
})

stepBack()
confineDecoders()
