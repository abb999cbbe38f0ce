/**
 * A throwaway S3-compatible server: `@20minutes/s3rver` from npm, with its files in a temporary folder, on a free port of
 * 127.0.0.1, gone with this process. It needs Node 24, so it is started with the binary of the package `node`, whatever the
 * tests run on.
 *
 * It checks signatures (version 4, of presigned urls too) and answers as S3 does, but it is no S3: it takes parts of any
 * size, keeps no versions, tags, lifecycles or checksums, takes a range that ends at the first byte for one without an end, and
 * lists folder by folder, which is S3's order only where no key begins with another's folder. What else it lacked is mended in s3-server-process.js.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import type { S3Options } from '../../src/files/file-storage-s3.ts'

export interface TestS3 {
  readonly endpoint: string
  /** For a client of its one bucket, reached as a client of ours would reach a real one. */
  readonly options: S3Options
  /** Multipart uploads that were neither completed nor given up. */
  openUploads(): Promise<number>
  /** Those, and what stands beside objects that are still coming. */
  leftovers(): Promise<number>
  /** Ends it and removes what it left. */
  stop(): Promise<void>
}

const BUCKET = 'sohbet-files'
/** The only account that s3rver knows. */
const CREDENTIALS = { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' }
const PROGRAM = fileURLToPath(new URL('./s3-server-process.js', import.meta.url))

export async function startTestS3(): Promise<TestS3> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'sohbet-test-s3-'))
  // Its tokens for the next page are made with DES, which OpenSSL calls legacy.
  const args = ['--openssl-legacy-provider', PROGRAM, folder, BUCKET]
  const child = spawn(nodeBinary(), args, { stdio: ['pipe', 'pipe', 'inherit'] })
  const port = await portOf(child).catch(async (error: unknown) => {
    await rm(folder, { recursive: true, force: true })
    throw error
  })
  const endpoint = `http://127.0.0.1:${port}`
  const openUploads = async () => {
    const uploads = path.join(folder, BUCKET, '._S3rver_uploads')
    return (await readdir(uploads).catch(() => [])).length
  }
  return {
    endpoint,
    options: {
      bucket: BUCKET,
      region: 'us-east-1',
      endpoint,
      publicEndpoint: null,
      forcePathStyle: true,
      credentials: CREDENTIALS,
      timeoutMs: 10_000,
    },
    openUploads,
    async leftovers() {
      const names = await readdir(path.join(folder, BUCKET), { recursive: true })
      return (await openUploads()) + names.filter((name) => /\.(?:info|part)\._S3rver_object$/.test(name)).length
    },
    async stop() {
      const ended = new Promise((resolve) => child.once('exit', resolve))
      child.stdin.end()
      await ended
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** Of the package `node`, which brings it as a file beside its package.json. */
function nodeBinary(): string {
  const manifest = createRequire(import.meta.url).resolve('node/package.json')
  return path.join(path.dirname(manifest), 'bin', 'node')
}

function portOf(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    let output = ''
    child.stdout?.setEncoding('utf8').on('data', (text) => {
      output += text
      const port = /listening on (\d+)/.exec(output)?.[1]
      if (port !== undefined) resolve(Number(port))
    })
    child.once('error', reject)
    child.once('exit', (code) => reject(new Error(`s3rver ended with ${code}: ${output}`)))
  })
}
