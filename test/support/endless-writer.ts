// A program that writes to a folder of files without end, for a test that kills it. Says when a megabyte was taken.

import { Readable } from 'node:stream'
import { openDiskFileStorage } from '../../src/files/file-storage-disk.ts'

const [dir = '', key = ''] = process.argv.slice(2)
const CHUNK = Buffer.alloc(64 * 1024)
let bytes = 0
const source = new Readable({
  read() {
    bytes += CHUNK.length
    if (bytes === 1024 * 1024) console.log('a megabyte')
    // Slow enough for the disk of whoever runs the test.
    setImmediate(() => this.push(CHUNK))
  },
})
const storage = await openDiskFileStorage({ dir })
await storage.write(key, source, { maxBytes: Number.MAX_SAFE_INTEGER })
