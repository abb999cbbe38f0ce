/** A random key in a file of its own, for servers that nobody has given one: made on the first start, kept from then on. */
import { randomBytes, randomUUID } from 'node:crypto'
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'

const SECRET_BYTES = 32

/**
 * Reads the key, or makes it with permissions 0600, whole or not at all.
 *
 * @throws Error naming the file, and with the advice, when it holds no key.
 */
export async function ensureSecretFile(file: string, advice: string): Promise<string> {
  return (await readSecret(file, advice)) ?? (await createSecret(file))
}

async function readSecret(file: string, advice: string): Promise<string | null> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null
    throw error
  })
  if (text === null) return null
  if (Buffer.byteLength(text.trim()) >= SECRET_BYTES) return text.trim()
  throw new Error(`${file} holds no key ${advice}`)
}

/** Renamed into place only when it is on disk: a crash leaves the old state or the new one. */
async function createSecret(file: string): Promise<string> {
  await mkdir(dirname(file), { recursive: true })
  const temporary = `${file}.${randomUUID()}`
  const secret = randomBytes(SECRET_BYTES).toString('base64url')
  try {
    const handle = await open(temporary, 'wx', 0o600)
    try {
      await handle.writeFile(`${secret}\n`)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(temporary, file)
  } finally {
    await rm(temporary, { force: true })
  }
  return secret
}
