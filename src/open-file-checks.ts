import type { FileChecksConfig } from './config.ts'
import { createImageProcessor } from './files/process-image.ts'
import type { UploadTools } from './files/process-upload.ts'
import type { VirusScanner } from './files/virus-scanner.ts'
import { createClamdScanner } from './files/virus-scanner-clamd.ts'
import { createHttpScanner } from './files/virus-scanner-http.ts'

const MAX_IMAGE_BYTES = 64 * 1024 * 1024
const RENDITION_SIZES = [160, 640]
const MAX_FRAMES = 2000
/** An animation is never decoded as a whole here, so its frames may be more than one image of them all. */
const ANIMATION_FACTOR = 10
/** For the largest image on a slow and busy machine; most take less than a second. */
const IMAGE_TIMEOUT_MS = 90_000

/** What every upload has to pass, by the settings. `tempDir` exists, and is the service's alone. */
export function openFileChecks(config: FileChecksConfig, tempDir: string): UploadTools {
  const images = createImageProcessor({
    limits: {
      maxPixels: config.maxImagePixels,
      maxAnimationPixels: config.maxImagePixels * ANIMATION_FACTOR,
      maxFrames: MAX_FRAMES,
    },
    renditionSizes: RENDITION_SIZES,
    maxConcurrent: config.imageProcesses,
    timeoutMs: IMAGE_TIMEOUT_MS,
  })
  const scanner = openScanner(config)
  return { images, scanner, allowedTypes: config.allowedTypes, maxImageBytes: MAX_IMAGE_BYTES, tempDir }
}

function openScanner({ scanner, scannerTimeoutMs }: FileChecksConfig): VirusScanner | null {
  if (scanner === null) return null
  return scanner.kind === 'clamd'
    ? createClamdScanner({ address: scanner.socket, idleTimeoutMs: scannerTimeoutMs })
    : createHttpScanner({ url: scanner.url, idleTimeoutMs: scannerTimeoutMs })
}
