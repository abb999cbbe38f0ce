// VAPID keys for development only, made on the first start and kept in the data directory: browsers subscribe with the
// public one, and other keys would make their subscriptions worthless.

import { randomUUID } from 'node:crypto'
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import webPush from 'web-push'
import type { VapidKeys } from './push-delivery-service.ts'

/** Push services want to know whom to turn to; in development there is nobody. */
const SUBJECT = 'mailto:development@sohbet.invalid'

/**
 * Reads the keys, or makes them with permissions 0600, whole or not at all.
 *
 * @throws Error naming the file when it holds no keys.
 */
export async function readOrMakeVapidKeys(file: string): Promise<VapidKeys> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null
    throw error
  })
  const [publicKey, privateKey] = text === null ? await makeKeys(file) : text.trim().split('\n')
  if (!publicKey || !privateKey) throw new Error(`${file} holds no VAPID keys: delete it, and browsers subscribe anew`)
  return { publicKey, privateKey, subject: SUBJECT }
}

/** Renamed into place only when it is on disk: a crash leaves the old state or the new one. */
async function makeKeys(file: string): Promise<[string, string]> {
  const { publicKey, privateKey } = webPush.generateVAPIDKeys()
  await mkdir(dirname(file), { recursive: true })
  const temporary = `${file}.${randomUUID()}`
  try {
    const handle = await open(temporary, 'wx', 0o600)
    try {
      await handle.writeFile(`${publicKey}\n${privateKey}\n`)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(temporary, file)
  } finally {
    await rm(temporary, { force: true })
  }
  return [publicKey, privateKey]
}
