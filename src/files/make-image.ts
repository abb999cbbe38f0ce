/**
 * What happens inside of the image process. The order is the point: the size is judged by the header alone, then the
 * metadata goes without decoding, and only what is left of the file meets a decoder.
 */
import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import sharp, { type Metadata, type Sharp } from 'sharp'
import { rgbaToThumbHash } from 'thumbhash'
import type { ImageFile, ImageJob, ImageLimits, ImageOutcome, Rendition } from './image-job.ts'
import { stripGif } from './strip-gif.ts'
import { stripHeif } from './strip-heif.ts'
import { stripJpeg } from './strip-jpeg.ts'
import { stripPng } from './strip-png.ts'
import { stripWebp } from './strip-webp.ts'
import { CorruptImageError, type StrippedImage } from './stripped-image.ts'

const STRIPPERS: Readonly<Record<string, (data: Buffer) => StrippedImage>> = {
  'image/jpeg': stripJpeg,
  'image/png': stripPng,
  'image/gif': stripGif,
  'image/webp': stripWebp,
  'image/avif': stripHeif,
}

/** The only loaders of libvips that may run; SVG, PDF, TIFF and everything that is not fuzzed stay out. */
const LOADERS = ['JpegFile', 'PngFile', 'NsgifFile', 'WebpFile', 'HeifFile'].map((name) => `VipsForeignLoad${name}`)

/** The largest edge that a thumbhash is made of. */
const PLACEHOLDER_EDGE = 100
const RENDITION_QUALITY = 80
/**
 * A picture that has to be turned is encoded anew. At 92, with the colours as densely sampled as they were, a photo keeps
 * more than 40 dB against what it was (measured; eyes stop at about 40), and grows little where it came from a camera.
 */
const TURNED_QUALITY = 92

/** What makes an image upright, by its orientation: quarters of a turn clockwise, then a mirror. */
const TURNS: Readonly<Record<number, { quarters?: number; mirror?: 'flip' | 'flop' }>> = {
  2: { mirror: 'flop' },
  3: { quarters: 2 },
  4: { mirror: 'flip' },
  5: { quarters: 1, mirror: 'flop' },
  6: { quarters: 1 },
  7: { quarters: 1, mirror: 'flip' },
  8: { quarters: 3 },
}

/** To be called once, before anything else: it is for the whole process. */
export function confineDecoders(): void {
  sharp.cache(false)
  sharp.concurrency(1)
  sharp.block({ operation: ['VipsForeignLoad'] })
  sharp.unblock({ operation: LOADERS })
}

export async function makeImage(job: ImageJob): Promise<ImageOutcome> {
  try {
    return await process(job)
  } catch (error) {
    if (error instanceof CorruptImageError) return { status: 'CORRUPT', message: error.message }
    throw error
  }
}

async function process(job: ImageJob): Promise<ImageOutcome> {
  const strip = STRIPPERS[job.contentType]
  if (strip === undefined) throw new Error(`No images of type ${job.contentType} are made`)
  const input = await readFile(job.inputPath)
  const stripped = strip(input)
  const strippedPath = join(job.outputDir, 'stripped')
  await writeFile(strippedPath, stripped.parts)

  const header = await readHeader(strippedPath)
  const excess = findExcess(header, stripped, job.limits)
  if (excess !== null) return { status: 'TOO_LARGE', message: excess }

  const size = header.autoOrient
  const base = await decodeBase(strippedPath, stripped.orientation, job)
  const strippedBytes = stripped.parts.reduce((sum, part) => sum + part.length, 0)
  const isUnchanged = stripped.orientation === 1 && Buffer.concat([...stripped.parts]).equals(input)
  const plain = { path: strippedPath, contentType: job.contentType, sizeBytes: strippedBytes, ...size }
  return {
    status: 'PROCESSED',
    ...size,
    isAnimated: stripped.isAnimated,
    placeholder: await makePlaceholder(base),
    cleaned: isUnchanged ? null : await turnedUpright(plain, stripped, header, job),
    renditions: await makeRenditions(base, Math.max(size.width, size.height), job),
  }
}

/** Reads no pixels. */
async function readHeader(path: string): Promise<Metadata> {
  try {
    return await sharp(path, { limitInputPixels: false, failOn: 'none' }).metadata()
  } catch (error) {
    throw new CorruptImageError(`The image cannot be read: ${messageOf(error)}`)
  }
}

function findExcess(header: Metadata, stripped: StrippedImage, limits: ImageLimits): string | null {
  const pixels = Math.max(header.width * header.height, stripped.canvasPixels)
  const frames = header.pages ?? 1
  if (pixels > limits.maxPixels) {
    return `The image has ${pixels} pixels; at most ${limits.maxPixels} are taken`
  }
  if (frames > limits.maxFrames) return `The animation has ${frames} frames; at most ${limits.maxFrames} are taken`
  if (stripped.isAnimated && pixels * frames > limits.maxAnimationPixels) {
    return `The animation has ${pixels * frames} pixels in all its frames; at most ${limits.maxAnimationPixels} are taken`
  }
  return null
}

/** The first frame, as broken as it may be: a photo that was cut off shows what there is of it, as in every browser. */
function open(path: string, { limits }: ImageJob): Sharp {
  return sharp(path, { limitInputPixels: limits.maxPixels, failOn: 'none', sequentialRead: true })
}

interface Pixels {
  data: Buffer
  raw: { width: number; height: number; channels: 1 | 2 | 3 | 4 }
}

/**
 * The largest rendition in sRGB, uncompressed, that all others are made of: the image is decoded once. It is turned after it
 * has become small: the other way round a large image would have to be decoded at full size, and held in memory.
 */
async function decodeBase(path: string, orientation: number, job: ImageJob): Promise<Pixels> {
  const edge = Math.max(...job.renditionSizes, PLACEHOLDER_EDGE)
  try {
    const small = await pixelsOf(
      open(path, job)
        .resize({ width: edge, height: edge, fit: 'inside', withoutEnlargement: true })
        .toColourspace('srgb'),
    )
    const { quarters, mirror } = TURNS[orientation] ?? {}
    const turned = quarters === undefined ? small : await pixelsOf(fromPixels(small).rotate(quarters * 90))
    return mirror === undefined ? turned : await pixelsOf(fromPixels(turned)[mirror]())
  } catch (error) {
    throw new CorruptImageError(`The image cannot be decoded: ${messageOf(error)}`)
  }
}

async function pixelsOf(image: Sharp): Promise<Pixels> {
  const { data, info } = await image.raw().toBuffer({ resolveWithObject: true })
  return { data, raw: { width: info.width, height: info.height, channels: info.channels } }
}

function fromPixels({ data, raw }: Pixels): Sharp {
  return sharp(data, { raw })
}

/** One for each size, up to the first that holds the whole picture. */
async function makeRenditions(base: Pixels, longEdge: number, job: ImageJob): Promise<Rendition[]> {
  const renditions: Rendition[] = []
  for (const size of job.renditionSizes) {
    const path = join(job.outputDir, `${size}.webp`)
    const info = await fromPixels(base)
      .resize({ width: size, height: size, fit: 'inside', withoutEnlargement: true })
      .webp({ quality: RENDITION_QUALITY })
      .toFile(path)
    const { width, height } = info
    renditions.push({ name: String(size), path, contentType: 'image/webp', sizeBytes: info.size, width, height })
    if (size >= longEdge) break
  }
  return renditions
}

async function makePlaceholder(base: Pixels): Promise<string> {
  const { data: rgba, info } = await fromPixels(base)
    .resize({ width: PLACEHOLDER_EDGE, height: PLACEHOLDER_EDGE, fit: 'inside', withoutEnlargement: true })
    .ensureAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true })
  return Buffer.from(rgbaToThumbHash(info.width, info.height, rgba)).toString('base64')
}

/**
 * The picture as it is to be seen, so that nobody needs to know of Exif. An animation cannot be turned frame by frame here:
 * it keeps the note that it is to be turned, and nothing else.
 */
async function turnedUpright(
  plain: ImageFile,
  stripped: StrippedImage,
  header: Metadata,
  job: ImageJob,
): Promise<ImageFile> {
  if (stripped.orientation === 1 || stripped.isAnimated) return plain
  const path = join(job.outputDir, 'upright')
  const upright = open(plain.path, job).autoOrient()
  // A profile for inks fits no longer once the colours are light.
  if (header.space !== 'cmyk') upright.keepIccProfile()
  if (header.depth === 'ushort') upright.toColourspace('rgb16')
  await encodeLike(upright, plain.contentType, stripped, header).toFile(path)
  const { size } = await stat(path)
  return { ...plain, path, sizeBytes: size }
}

function encodeLike(image: Sharp, contentType: string, stripped: StrippedImage, header: Metadata): Sharp {
  if (contentType === 'image/png') return image.png()
  if (contentType === 'image/webp') return image.webp({ quality: TURNED_QUALITY, lossless: stripped.isLossless })
  return image.jpeg({
    quality: TURNED_QUALITY,
    chromaSubsampling: header.chromaSubsampling === '4:2:0' ? '4:2:0' : '4:4:4',
    // Both would hold the whole image in memory once more.
    progressive: false,
    optimiseCoding: false,
  })
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
