// A node that takes resumable uploads and nothing else, for tests that kill it: everybody may send anything.

import { openDiskFileStorage } from '../../src/files/file-storage-disk.ts'
import { createTusRoute } from '../../src/files/tus-route.ts'
import { DiskTusStore } from '../../src/files/tus-store-disk.ts'
import type { ExpectedUpload, UploadGate } from '../../src/files/upload-gate.ts'
import { UploadLeases } from '../../src/files/upload-leases.ts'
import { createDb } from '../../src/platform/db.ts'
import { newId } from '../../src/platform/ids.ts'
import { authenticateByName, silentLogger, startFileHost } from './file-host.ts'

const [dir = '', databaseUrl = ''] = process.argv.slice(2)

const uploadOf = (attachmentId: string): ExpectedUpload => ({ attachmentId, objectKey: `${attachmentId}/original` })
const gate: UploadGate = {
  begin: async () => uploadOf(newId()),
  find: async (_viewer, objectKey) => uploadOf(objectKey.split('/')[0] ?? ''),
  finish: async () => {},
  abort: async () => {},
}
const db = createDb({ url: databaseUrl, poolSize: 3 })
const storage = await openDiskFileStorage({ dir })
const route = createTusRoute({
  store: new DiskTusStore({ storage, expirationMs: 86_400_000 }),
  leases: new UploadLeases({ db, ttlMs: 2000, renewMs: 200 }),
  ...{ gate, authenticate: authenticateByName, corsOrigins: [], maxBytes: 2 ** 40, logger: silentLogger },
})
const { url, http } = await startFileHost([route])
process.once('SIGTERM', async () => {
  http.startDraining()
  await http.drain(0)
  await route.settled()
  await db.$disconnect()
})
console.log(`Sohbet is ready at ${url}`)
