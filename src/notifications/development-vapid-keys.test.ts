import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readOrMakeVapidKeys } from './development-vapid-keys.ts'

describe('the VAPID keys of development', () => {
  let folder: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sohbet-vapid-'))
  })
  afterEach(() => rm(folder, { recursive: true, force: true }))

  it('are made once, for the owner of the process alone', async () => {
    const file = join(folder, 'data', 'development-vapid')
    const made = await readOrMakeVapidKeys(file)
    expect(made).toEqual({
      publicKey: expect.stringMatching(/^[\w-]{87}$/),
      privateKey: expect.stringMatching(/^[\w-]{43}$/),
      subject: expect.stringMatching(/^mailto:/),
    })
    expect(await readOrMakeVapidKeys(file)).toEqual(made)
    expect((await stat(file)).mode & 0o777).toBe(0o600)
  })

  it('are not made anew where the file holds something else', async () => {
    const file = join(folder, 'development-vapid')
    await writeFile(file, 'half\n')
    await expect(readOrMakeVapidKeys(file)).rejects.toThrow(file)
  })
})
