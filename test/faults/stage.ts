// What a run stands on: the nodes with what they need, and receivers of what they send.

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { makeCertificate } from '../support/certificate.ts'
import { Cluster, LATE_MS, SECRET } from './cluster.ts'
import { Receiver } from './receivers.ts'
import type { Receivers } from './town.ts'

export interface Stage {
  readonly cluster: Cluster
  /** By what they are for, and all of them. */
  readonly places: Receivers
  readonly receivers: readonly Receiver[]
  /** Where the nodes keep files, and pictures while they work on them. */
  readonly folders: { files: string; temporary: string }
  close(): Promise<void>
}

/** Opens all of it, or nothing. `onAccident` hears of nodes that end by themselves. */
export async function openStage(nodes: number, onAccident: (what: string) => void): Promise<Stage> {
  const opened: (() => Promise<unknown>)[] = []
  const close = async () => {
    for (const end of opened.splice(0).reverse()) await end().catch(() => {})
  }
  try {
    const folder = await mkdtemp(join(tmpdir(), 'sohbet-faults-'))
    opened.push(() => rm(folder, { recursive: true, force: true }))
    const folders = { files: join(folder, 'files'), temporary: join(folder, 'temporary') }
    const certificate = await makeCertificate()
    const authority = join(folder, 'authority.pem')
    await writeFile(authority, certificate.cert)
    const receive = async (name: string, tls?: typeof certificate) => {
      const receiver = await Receiver.start(name, LATE_MS, tls)
      opened.push(() => receiver.close())
      return receiver
    }
    const webhooks = [await receive('webhook 1'), await receive('webhook 2')]
    const pushService = await receive('the push service', certificate)
    const settings = {
      NODE_EXTRA_CA_CERTS: authority,
      FILES_DIR: folders.files,
      FILES_TEMP_DIR: folders.temporary,
      FILES_URL_SECRET: SECRET,
    }
    const cluster = await Cluster.start(nodes, { onAccident, settings })
    opened.push(() => cluster.stop())
    return { cluster, places: { webhooks, pushService }, receivers: [...webhooks, pushService], folders, close }
  } catch (error) {
    await close()
    throw error
  }
}
