import { execFile } from 'node:child_process'
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import sharp from 'sharp'
import { thumbHashToApproximateAspectRatio, thumbHashToAverageRGBA } from 'thumbhash'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { eventually } from '../../test/support/eventually.ts'
import {
  type Colour,
  cornersOf,
  frames,
  photo,
  pixelsOf,
  pngBomb,
  quadrants,
  SECRET,
  withMetadata,
} from '../../test/support/image-samples.ts'
import { processTable } from '../../test/support/process-table.ts'
import type { ImageOutcome, ProcessedImage } from './image-job.ts'
import { createImageProcessor, type ImageProcessorOptions } from './process-image.ts'

const OPTIONS: ImageProcessorOptions = {
  limits: { maxPixels: 50_000_000, maxAnimationPixels: 200_000, maxFrames: 50 },
  renditionSizes: [160, 640],
  maxConcurrent: 2,
  timeoutMs: 60_000,
}

let folder: string
let images = 0

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sohbet-images-'))
})

afterEach(() => rm(folder, { recursive: true }))

async function request(file: Buffer, contentType: string) {
  const outputDir = await mkdtemp(join(folder, `${images++}-`))
  const inputPath = join(outputDir, 'input')
  await writeFile(inputPath, file)
  return { inputPath, contentType, outputDir }
}

async function process(file: Buffer, contentType: string, options: Partial<ImageProcessorOptions> = {}) {
  return await createImageProcessor({ ...OPTIONS, ...options }).process(await request(file, contentType))
}

async function processed(file: Buffer, contentType: string): Promise<ProcessedImage> {
  return expectProcessed(await process(file, contentType))
}

function expectProcessed(outcome: ImageOutcome): ProcessedImage {
  if (outcome.status !== 'PROCESSED') throw new Error(`${outcome.status}: ${outcome.message}`)
  return outcome
}

async function imageProcesses() {
  const table = await processTable()
  return table.filter((row) => row.parent === globalThis.process.pid && row.args.includes('image-process'))
}

describe('an image', () => {
  it('is told its size, and gets renditions that are never larger, a placeholder and nothing of its metadata', async () => {
    const image = await processed(await withMetadata(photo(1200, 800)).jpeg().toBuffer(), 'image/jpeg')
    expect(image).toMatchObject({ width: 1200, height: 800, isAnimated: false })
    expect(image.cleaned).toMatchObject({ contentType: 'image/jpeg', width: 1200, height: 800 })
    expect(image.renditions).toMatchObject([
      { name: '160', contentType: 'image/webp', width: 160, height: 107 },
      { name: '640', contentType: 'image/webp', width: 640, height: 427 },
    ])
    for (const file of [image.cleaned, ...image.renditions]) {
      const { size } = await stat(file?.path ?? '')
      expect(file?.sizeBytes).toBe(size)
      const { exif, xmp, iptc } = await sharp(file?.path).metadata()
      expect({ exif, xmp, iptc }).toEqual({})
      expect(await sharp(file?.path).metadata()).toMatchObject({ width: file?.width, height: file?.height })
    }
    const hash = Buffer.from(image.placeholder, 'base64')
    expect(hash.length).toBeLessThan(40)
    expect(thumbHashToApproximateAspectRatio(hash)).toBeCloseTo(1.5, 0)
  })

  it('that is small gets one rendition, of its own size', async () => {
    const image = await processed(await photo(60, 90).png().toBuffer(), 'image/png')
    expect(image.renditions).toMatchObject([{ name: '160', width: 60, height: 90 }])
    const middling = await processed(await photo(300, 200).png().toBuffer(), 'image/png')
    expect(middling.renditions).toMatchObject([
      { name: '160', width: 160, height: 107 },
      { name: '640', width: 300, height: 200 },
    ])
  })

  it('that is clean stays as it is', async () => {
    expect((await processed(await photo(60, 90).png().toBuffer(), 'image/png')).cleaned).toBeNull()
  })

  it.each(['jpeg', 'png', 'webp', 'gif', 'avif'] as const)('of the format %s is taken', async (format) => {
    const image = await processed(await quadrants(320, 200).toFormat(format).toBuffer(), `image/${format}`)
    expect(image).toMatchObject({ width: 320, height: 200 })
    expect(await cornersOf(image.renditions[0]?.path ?? '')).toEqual(['red', 'green', 'blue', 'white'])
  })

  it('with transparent parts keeps them', async () => {
    const clear = sharp({
      create: { width: 300, height: 300, channels: 4, background: { r: 255, g: 0, b: 0, alpha: 0 } },
    })
    const image = await processed(await clear.png().toBuffer(), 'image/png')
    expect((await sharp(image.renditions[0]?.path).stats()).channels[3]).toMatchObject({ max: 0 })
    expect(thumbHashToAverageRGBA(Buffer.from(image.placeholder, 'base64')).a).toBe(0)
  })

  it.each([
    [5000, 1],
    [1, 5000],
    [1, 1],
  ])('may be as thin as %i x %i', async (width, height) => {
    expect(await processed(await photo(width, height).png().toBuffer(), 'image/png')).toMatchObject({ width, height })
  })

  it('in other colours gets renditions in sRGB', async () => {
    const inks = await quadrants(320, 200).toColourspace('cmyk').jpeg({ quality: 100 }).toBuffer()
    const image = await processed(inks, 'image/jpeg')
    expect(await sharp(image.renditions[0]?.path).metadata()).toMatchObject({ space: 'srgb' })
    const grey = await processed(await photo(320, 200).greyscale().png().toBuffer(), 'image/png')
    expect(await sharp(grey.renditions[0]?.path).metadata()).toMatchObject({ space: 'srgb' })
  })
})

describe('an image that is to be turned', () => {
  const UPRIGHT: Colour[] = ['red', 'green', 'blue', 'white']
  /** Where the corners of the upright image lie in the file: above left, above right, below left, below right. */
  const FILED: Record<number, Colour[]> = {
    1: ['red', 'green', 'blue', 'white'],
    2: ['green', 'red', 'white', 'blue'],
    3: ['white', 'blue', 'green', 'red'],
    4: ['blue', 'white', 'red', 'green'],
    5: ['red', 'blue', 'green', 'white'],
    6: ['green', 'white', 'red', 'blue'],
    7: ['white', 'green', 'blue', 'red'],
    8: ['blue', 'red', 'white', 'green'],
  }

  it.each([
    ...[1, 2, 3, 4, 5, 6, 7, 8].map((orientation) => [orientation, 'jpeg'] as const),
    [6, 'png'] as const,
    [6, 'webp'] as const,
  ])('is upright, with orientation %i in a %s', async (orientation, format) => {
    const filed = await arranged(FILED[orientation] ?? [], orientation >= 5 ? [200, 320] : [320, 200])
    const file = await withMetadata(filed, orientation).toFormat(format, { quality: 95 }).toBuffer()
    expect(await cornersOf(file)).toEqual(FILED[orientation])

    const image = await processed(file, `image/${format}`)
    expect(image).toMatchObject({ width: 320, height: 200 })
    const cleaned = image.cleaned?.path ?? ''
    const { width, height, exif, icc } = await sharp(cleaned, { autoOrient: false }).metadata()
    expect({ width, height, exif }).toEqual({ width: 320, height: 200, exif: undefined })
    expect(icc).toBeDefined()
    for (const { path } of [{ path: cleaned }, ...image.renditions]) expect(await cornersOf(path)).toEqual(UPRIGHT)
  })

  it('looks as it did', async () => {
    const original = await photo(900, 600).jpeg({ quality: 90 }).toBuffer()
    const file = await withMetadata(sharp(original), 3).jpeg({ quality: 90 }).toBuffer()
    const image = await processed(file, 'image/jpeg')
    const before = await sharp(file, { autoOrient: true }).raw().toBuffer()
    expect(signalToNoise(before, await pixelsOf(image.cleaned?.path ?? ''))).toBeGreaterThan(40)
  })
})

/** A picture of four rectangles. */
async function arranged(corners: readonly Colour[], [width, height]: readonly [number, number]) {
  const backgrounds = { red: '#f00', green: '#0f0', blue: '#00f', white: '#fff' }
  const tiles = corners.map((colour, index) => ({
    input: { create: { width: width / 2, height: height / 2, channels: 3 as const, background: backgrounds[colour] } },
    left: (index % 2) * (width / 2),
    top: Math.floor(index / 2) * (height / 2),
  }))
  const canvas = sharp({ create: { width, height, channels: 3, background: '#000' } })
  return sharp(await canvas.composite(tiles).png().toBuffer())
}

/** In decibels. */
function signalToNoise(before: Buffer, after: Buffer): number {
  let squares = 0
  for (const [index, value] of before.entries()) squares += (value - (after[index] ?? 0)) ** 2
  return 10 * Math.log10(255 ** 2 / (squares / before.length))
}

describe('an animation', () => {
  it.each(['gif', 'webp'] as const)('stays one: %s', async (format) => {
    const file = await frames(5, 40, 20)
      .withExif({ IFD0: { Copyright: SECRET } })
      .toFormat(format, { delay: Array(5).fill(70) })
      .toBuffer()
    const image = await processed(file, `image/${format}`)
    expect(image).toMatchObject({ width: 40, height: 20, isAnimated: true })
    const kept = image.cleaned?.path ?? file
    expect(await sharp(kept).metadata()).toMatchObject({ pages: 5, delay: [70, 70, 70, 70, 70] })
    expect((await sharp(image.renditions[0]?.path).metadata()).pages).toBeUndefined()
  })

  it('of too many frames, or too many pixels in all of them, is too large', async () => {
    const long = await frames(51, 8, 8).gif().toBuffer()
    expect(await process(long, 'image/gif')).toMatchObject({ status: 'TOO_LARGE' })
    const wide = await frames(10, 200, 200).webp().toBuffer()
    expect(await process(wide, 'image/webp')).toMatchObject({ status: 'TOO_LARGE' })
  })
})

describe('a bomb', () => {
  it('is known by its header', async () => {
    const bomb = await pngBomb(50_000, 50_000)
    expect(bomb.length).toBeLessThan(1_000_000)
    expect(await process(bomb, 'image/png')).toEqual({
      status: 'TOO_LARGE',
      message: 'The image has 2500000000 pixels; at most 50000000 are taken',
    })
  })

  it('of a GIF with a huge canvas is known too', async () => {
    const bomb = await frames(1, 8, 8).gif().toBuffer()
    bomb.writeUInt16LE(65_535, 6)
    bomb.writeUInt16LE(65_535, 8)
    expect(await process(bomb, 'image/gif')).toMatchObject({ status: 'TOO_LARGE' })
  })
})

describe('what is no image', () => {
  it('is corrupt, whatever it is called', async () => {
    const svg = Buffer.from(
      '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><script>alert(1)</script></svg>',
    )
    for (const type of ['jpeg', 'png', 'gif', 'webp', 'avif']) {
      for (const file of [svg, Buffer.alloc(0), Buffer.from('%PDF-1.4'), await photo(9, 9).tiff().toBuffer()]) {
        expect(await process(file, `image/${type}`)).toMatchObject({ status: 'CORRUPT' })
      }
    }
  })

  it('is corrupt where nothing of it can be decoded', async () => {
    const png = await photo(50, 50).png().toBuffer()
    png.fill(0xaa, 43, png.length - 12)
    expect(await process(png, 'image/png')).toMatchObject({ status: 'CORRUPT' })
    const jpeg = await photo(50, 50).jpeg().toBuffer()
    expect(await process(jpeg.subarray(0, 280), 'image/jpeg')).toMatchObject({ status: 'CORRUPT' })
  })

  it('but half of a photo is a photo', async () => {
    const file = await photo(800, 600).jpeg().toBuffer()
    expect(await process(file.subarray(0, file.length / 2), 'image/jpeg')).toMatchObject({
      status: 'PROCESSED',
      width: 800,
    })
  })
})

describe('the process', () => {
  it('is ended when it takes too long, which is the fault of the image', async () => {
    const outcome = await process(await photo(60, 90).png().toBuffer(), 'image/png', { timeoutMs: 1 })
    expect(outcome).toEqual({ status: 'HOSTILE', message: 'The image could not be decoded within 1 ms' })
    expect(await imageProcesses()).toEqual([])
  })

  it('that is crashed by the image does no harm here', async () => {
    const running = process(await slowImage(), 'image/png')
    const [child] = await eventually(async () => {
      const rows = await imageProcesses()
      expect(rows).toHaveLength(1)
      return rows
    })
    globalThis.process.kill(child?.pid ?? 0, 'SIGSEGV')
    expect(await running).toEqual({ status: 'HOSTILE', message: 'The image crashes its decoder (SIGSEGV)' })
  })

  it('that is killed by somebody else says nothing about the image', async () => {
    const running = process(await slowImage(), 'image/png')
    const [child] = await eventually(async () => {
      const rows = await imageProcesses()
      expect(rows).toHaveLength(1)
      return rows
    })
    globalThis.process.kill(child?.pid ?? 0, 'SIGKILL')
    await expect(running).rejects.toThrow('The image process ended without an answer (SIGKILL)')
  })

  it('ends with the signal that is aborted, and so does the wait for a turn', async () => {
    const processor = createImageProcessor({ ...OPTIONS, maxConcurrent: 1 })
    const [first, second] = [new AbortController(), new AbortController()]
    const slow = await slowImage()
    const running = processor.process(await request(slow, 'image/png'), first.signal)
    const waiting = processor.process(await request(slow, 'image/png'), second.signal)
    await eventually(async () => expect(await imageProcesses()).toHaveLength(1))
    second.abort(new Error('no more'))
    await expect(waiting).rejects.toThrow('no more')
    first.abort(new Error('enough'))
    await expect(running).rejects.toThrow('enough')
    expect(await imageProcesses()).toEqual([])
    const small = await request(await photo(9, 9).png().toBuffer(), 'image/png')
    expect(await processor.process(small)).toMatchObject({ status: 'PROCESSED' })
  })

  it('is one of so many at once', async () => {
    const processor = createImageProcessor({ ...OPTIONS, maxConcurrent: 2 })
    const file = await photo(400, 300).png().toBuffer()
    const seen: number[] = []
    let isDone = false
    const all = Promise.all(
      Array.from({ length: 6 }, async () => processor.process(await request(file, 'image/png'))),
    ).finally(() => {
      isDone = true
    })
    while (!isDone) seen.push((await imageProcesses()).length)
    expect(Math.max(...seen)).toBe(2)
    for (const outcome of await all) expect(outcome).toMatchObject({ status: 'PROCESSED' })
  })

  it('alone loads the decoders: the service does not', async () => {
    const script = `
      import(${JSON.stringify(new URL('./process-upload.ts', import.meta.url).href)}).then(() => {
        process.report.excludeNetwork = true
        console.log(JSON.stringify(process.report.getReport().sharedObjects))
      })`
    const { stdout } = await promisify(execFile)(globalThis.process.execPath, ['-e', script])
    expect(stdout).toContain('libc')
    expect(stdout).not.toContain('vips')
  })

  it('writes nothing outside of the folder that it was given', async () => {
    const job = await request(await withMetadata(photo(300, 200), 6).jpeg().toBuffer(), 'image/jpeg')
    await createImageProcessor(OPTIONS).process(job)
    expect(await readdir(folder)).toHaveLength(1)
    expect((await readdir(job.outputDir)).sort()).toEqual(['160.webp', '640.webp', 'input', 'stripped', 'upright'])
  })

  /** Takes some seconds. */
  function slowImage(): Promise<Buffer> {
    return pngBomb(20_000, 2_400)
  }
})
