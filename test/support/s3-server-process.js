// The program behind s3-server.ts: s3rver, mended where S3 promises more than it keeps. Prints its port, once it listens.
// Mended: an object appears whole or not at all; multipart uploads can be given up and listed, and so can their parts; the
// signatures of requests to the bucket itself, and with a quote or an asterisk in the query, are checked as S3 does.

import { createHash, randomUUID } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'

const require = createRequire(import.meta.url)
const S3rver = require('@20minutes/s3rver')
const S3Error = require('@20minutes/s3rver/lib/models/error')

const [, , directory, bucket] = process.argv

const server = new S3rver({
  directory,
  address: '127.0.0.1',
  port: 0,
  silent: true,
  vhostBuckets: false,
  configureBuckets: [{ name: bucket, configs: [] }],
})
const { store } = server

store.putContent = async (path, content) => {
  const partial = `${path}.${randomUUID()}`
  const md5 = createHash('md5')
  let size = 0
  const meter = new Transform({
    transform(chunk, _encoding, done) {
      md5.update(chunk)
      size += chunk.length
      done(null, chunk)
    },
  })
  try {
    const source = Buffer.isBuffer(content) ? Readable.from([content]) : content
    await pipeline(source, meter, createWriteStream(partial))
    await rename(partial, path)
  } catch (error) {
    await rm(partial, { force: true })
    throw error
  }
  return [size, md5.digest('hex')]
}

const uploadsOf = (name) => store.getResourcePath(name, undefined, 'uploads')

async function namesIn(folder) {
  try {
    return await readdir(folder)
  } catch (error) {
    if (error.code === 'ENOENT') return null
    throw error
  }
}

async function giveUp(name, uploadId) {
  const folder = join(uploadsOf(name), uploadId)
  if ((await namesIn(folder)) === null) throw noSuchUpload(uploadId)
  await rm(folder, { recursive: true })
}

async function listParts(name, uploadId) {
  const folder = join(uploadsOf(name), uploadId)
  const names = await namesIn(folder)
  if (names === null) throw noSuchUpload(uploadId)
  const numbers = names.filter((one) => /^\d+$/.test(one)).map(Number)
  const parts = numbers
    .sort((a, b) => a - b)
    .map(async (number) => {
      const { size, mtime } = await stat(join(folder, String(number)))
      const md5 = await readFile(join(folder, `${number}.md5`), 'utf8')
      return { PartNumber: number, Size: size, ETag: `"${md5}"`, LastModified: mtime.toISOString() }
    })
  return { ListPartsResult: { UploadId: uploadId, IsTruncated: false, Part: await Promise.all(parts) } }
}

async function listUploads(name) {
  const ids = (await namesIn(uploadsOf(name))) ?? []
  const uploads = ids.map(async (id) => {
    const folder = join(uploadsOf(name), id)
    const { birthtime } = await stat(join(folder, 'key'))
    return { Key: await readFile(join(folder, 'key'), 'utf8'), UploadId: id, Initiated: birthtime.toISOString() }
  })
  return { ListMultipartUploadsResult: { Bucket: name, IsTruncated: false, Upload: await Promise.all(uploads) } }
}

function noSuchUpload(UploadId) {
  return new S3Error('NoSuchUpload', 'The specified multipart upload does not exist.', { UploadId })
}

// Before the routes, which are the last: what comes here is not asked for its signature.
server.middleware.splice(-1, 0, async (ctx, next) => {
  const [, name, ...key] = ctx.path.split('/')
  const { uploadId } = ctx.query
  const isOfObject = key.join('/') !== ''
  if (ctx.method === 'DELETE' && uploadId) {
    await giveUp(name, uploadId)
    ctx.status = 204
  } else if (ctx.method === 'GET' && uploadId) ctx.body = await listParts(name, uploadId)
  else if (ctx.method === 'GET' && !isOfObject && 'uploads' in ctx.query) ctx.body = await listUploads(name)
  else {
    // The path that is signed ends in a slash, which s3rver leaves out, but for what it reads before the bucket.
    if (!isOfObject) Object.assign(ctx, { mountPath: '/', state: { ...ctx.state, vhost: true } })
    await next()
  }
})

// It encodes the signed query with this one, which leaves some characters that S3 encodes.
const encode = globalThis.encodeURIComponent
globalThis.encodeURIComponent = (text) =>
  encode(text).replace(/[!'()*]/g, (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`)

const { port } = await server.run()
console.log(`listening on ${port}`)

// Gone with whoever started it.
process.stdin.on('end', () => process.exit()).resume()
