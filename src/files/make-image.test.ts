import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { photo } from '../../test/support/image-samples.ts'
import { confineDecoders } from './make-image.ts'

// For the whole process, and this file has one of its own.
describe('confineDecoders', () => {
  let folder: string

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sohbet-decoders-'))
  })
  afterAll(() => rm(folder, { recursive: true }))

  async function files(): Promise<Record<string, string>> {
    const paths: Record<string, string> = {}
    const store = async (name: string, content: Buffer) => {
      const path = join(folder, `x.${name}`)
      await writeFile(path, content)
      paths[name] = path
    }
    await store('svg', Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'))
    for (const format of ['tiff', 'jpeg', 'png', 'gif', 'webp', 'avif'] as const) {
      await store(format, await photo(9, 9).toFormat(format).toBuffer())
    }
    return paths
  }

  async function readable(paths: Record<string, string>): Promise<string[]> {
    const names: string[] = []
    for (const [name, path] of Object.entries(paths)) {
      const pixels = sharp(path).raw().toBuffer()
      if (await pixels.then(() => true).catch(() => false)) names.push(name)
    }
    return names.sort()
  }

  it('leaves the decoders of the images that are taken, and no others', async () => {
    const paths = await files()
    expect(await readable(paths)).toEqual(['avif', 'gif', 'jpeg', 'png', 'svg', 'tiff', 'webp'])
    confineDecoders()
    expect(await readable(paths)).toEqual(['avif', 'gif', 'jpeg', 'png', 'webp'])
    expect(sharp.concurrency()).toBe(1)
  })
})
