// Files as clients upload them and fetch them again, and the clean-up of what nobody has sent.

import { createHash } from 'node:crypto'
import { createCleanUp } from '../../src/files/clean-up-jobs.ts'
import type { FileStorage } from '../../src/files/file-storage.ts'
import { openDiskFileStorage } from '../../src/files/file-storage-disk.ts'
import { createOrphanSearch } from '../../src/files/orphan-jobs.ts'
import { createDb } from '../../src/platform/db.ts'
import { createLogger } from '../../src/platform/logger.ts'
import { post } from '../support/graphql-over-http.ts'
import { postForm } from '../support/uploads.ts'
import type { Download, SentFile } from './history.ts'
import type { Random } from './random.ts'

const UPLOAD = `mutation ($file: File!) { uploadFile(file: $file) {
  ... on UploadFileSuccess { attachment { id } } ... on Error { code } } }`
const FIND = 'query ($id: ID!) { node(id: $id) { ... on Attachment { status url } } }'
const DAY_MS = 24 * 60 * 60 * 1_000
const PAGE = 500

/** One attempt; null where nobody knows what became of it. What was not sent in the end is cleaned up. */
export async function uploadFile(url: string, token: string, text: string): Promise<SentFile | null> {
  const parts: [string, string | File][] = [
    ['operations', JSON.stringify({ query: UPLOAD, variables: { file: null } })],
    ['map', '{"0":["variables.file"]}'],
    ['0', new File([text], 'said.txt', { type: 'text/plain' })],
  ]
  try {
    const { data } = await postForm(url, parts, { authorization: `Bearer ${token}` })
    // What UPLOAD asks for.
    const answer = data?.uploadFile as { attachment?: { id: string } } | undefined
    return answer?.attachment ? { id: answer.attachment.id, digest: digestOf(text) } : null
  } catch {
    return null
  }
}

/** A text that is nobody else's, of up to some 60 KB. */
export function textOf(clientMessageId: string, random: Random): string {
  return `${clientMessageId} ${random.fraction()} `.repeat(random.integer(1, 2_000))
}

/** One node says where it is, another one gives the bytes. */
export async function downloadFile(
  [asked, giving]: readonly [string, string],
  token: string,
  file: string,
): Promise<Download> {
  const { data, errors } = await post(`${asked}/graphql`, FIND, { token, variables: { id: file } })
  // What FIND asks for.
  const node = data?.node as { status: string; url: string | null } | null | undefined
  if (!node?.url) return { file, digest: null, answer: JSON.stringify(node ?? errors) }
  const response = await fetch(giving + node.url, { signal: AbortSignal.timeout(20_000) })
  const bytes = Buffer.from(await response.arrayBuffer())
  const answer = `${response.status} with ${bytes.length} bytes`
  return { file, digest: response.ok ? digestOf(bytes) : null, answer }
}

/** As the service does it some days later: nothing of what was not sent is to be left. */
export async function cleanUpFiles(databaseUrl: string, dir: string, tempDir: string): Promise<string[]> {
  const db = createDb({ url: databaseUrl, poolSize: 2 })
  const storage = await openDiskFileStorage({ dir })
  try {
    const clock = { now: () => Date.now() + 3 * DAY_MS }
    const refuse = async (id: string) => Promise.reject(new Error(`the file ${id} was never processed`))
    const parts = { db, storage, clock, logger: createLogger('fatal') }
    const { signal } = new AbortController()
    await createCleanUp({ ...parts, processing: { refuse }, unsentMs: DAY_MS, tempDir }).cleanUp(signal)
    await createOrphanSearch(parts).findOrphans(signal)
    return await listObjects(storage)
  } finally {
    await storage.close()
    await db.$disconnect()
  }
}

async function listObjects(storage: FileStorage): Promise<string[]> {
  const keys: string[] = []
  let after: string | null = null
  do {
    const page: Awaited<ReturnType<FileStorage['list']>> = await storage.list({ after, limit: PAGE })
    keys.push(...page.objects.map(({ key }) => key))
    after = page.next
  } while (after !== null)
  return keys
}

function digestOf(bytes: string | Buffer): string {
  return createHash('sha256').update(bytes).digest('base64url')
}
