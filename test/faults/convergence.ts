// After the faults: everybody gets the time to come to rest, and only then counts what is still wrong.

import { setTimeout as delay } from 'node:timers/promises'
import { countUnread, readPresent } from './api.ts'
import type { FaultClient } from './clients.ts'
import type { Cluster } from './cluster.ts'
import { readPending, readStoredFiles, readStoredNotifications, readStoredRooms } from './database-history.ts'
import { cleanUpFiles, downloadFile } from './files.ts'
import type {
  Download,
  FileHistory,
  NotificationHistory,
  PresenceReport,
  StoredRoom,
  StreamHistory,
} from './history.ts'
import type { Receivers, Town } from './town.ts'

const SETTLE_TIMEOUT_MS = 40_000
const READ_TIMEOUT_MS = 60_000
/** Longer than a lease, twice. */
const PRESENCE_TIMEOUT_MS = 30_000
/** A job of a killed node is taken up after 15 seconds, and one that has failed again and again waits longer. */
const TELLING_TIMEOUT_MS = 90_000
const POLL_MS = 200

/** What all nodes share. */
export interface FileFolders {
  readonly files: string
  readonly temporary: string
}

/** Whether all sends came to an end. */
export function settleSends(clients: readonly FaultClient[]): Promise<boolean> {
  return holdsWithin(SETTLE_TIMEOUT_MS, async () => clients.every(({ pendingSends }) => pendingSends === 0))
}

/** Waits until every stream has read up to the head; marks those that had to, and gives what the database holds. */
export async function readToHead(cluster: Cluster, town: Town): Promise<StoredRoom[]> {
  let stored = await readStoredRooms((sql) => cluster.query(sql))
  const streams = town.clients.flatMap((client) => client.streams.map((stream) => ({ client, stream })))
  const reading = streams.filter(({ stream }) => town.mayRead(stream.user, stream.room))
  await holdsWithin(READ_TIMEOUT_MS, async () => {
    const heads = new Map(stored.map(({ room, lastSeq }) => [room, lastSeq]))
    const isThere = ({ client, stream }: { client: FaultClient; stream: StreamHistory }) =>
      (client.positionOf(stream) ?? -1) >= (heads.get(stream.room) ?? 0)
    if (!reading.every(isThere)) return false
    // Somebody may have written meanwhile.
    stored = await readStoredRooms((sql) => cluster.query(sql))
    return stored.every(({ room, lastSeq }) => heads.get(room) === lastSeq)
  })
  for (const { stream } of reading) stream.mustReachHead = true
  return stored
}

/** Every other client goes; then all nodes must name exactly those who stayed. */
export async function comparePresence(cluster: Cluster, town: Town): Promise<PresenceReport[]> {
  const [going, staying] = [0, 1].map((rest) => town.clients.filter((_, index) => index % 2 === rest))
  await Promise.all((going ?? []).map((client) => client.leave()))
  let reports: PresenceReport[] = []
  await holdsWithin(PRESENCE_TIMEOUT_MS, async () => {
    reports = await readReports(cluster, town, staying ?? [])
    return reports.every(({ said, connected }) => said.toSorted().join() === connected.toSorted().join())
  })
  return reports
}

/** Waits until the service has told everybody of everything. */
export async function settleNotifications(
  cluster: Cluster,
  town: Town,
  { webhooks, pushService }: Receivers,
): Promise<NotificationHistory> {
  let pending: string[] = []
  await holdsWithin(TELLING_TIMEOUT_MS, async () => {
    pending = await readPending((sql) => cluster.query(sql))
    return pending.length === 0
  })
  const { absentees, targets } = town
  const stored = await readStoredNotifications((sql) => cluster.query(sql))
  const received = [...webhooks, pushService].flatMap(({ tellings }) => tellings)
  const unread = await Promise.all(
    town.absentUsers.map(async ({ id: user, token }) => ({ user, said: await countUnread(town.pickUrl(), token) })),
  )
  return { absentees, targets, received, pending, unread, ...stored }
}

/** What became of files, once what nobody has sent is cleaned up. The service has nothing left to process. */
export async function readFiles(cluster: Cluster, town: Town, folders: FileFolders): Promise<FileHistory> {
  const objects = await cleanUpFiles(cluster.postgres.url, folders.files, folders.temporary)
  const stored = await readStoredFiles((sql) => cluster.query(sql))
  const sent = new Set(stored.filter(({ message }) => message !== null).map(({ id }) => id))
  const urls = cluster.running.flatMap(({ node }) => node.url ?? [])
  const downloads: Download[] = []
  for (const { sends, token } of town.clients) {
    for (const { id } of sends.flatMap(({ attachments }) => attachments.filter((file) => sent.has(file.id)))) {
      const [asked = '', giving = asked] = [0, 1].map((next) => urls[(downloads.length + next) % urls.length])
      downloads.push(await downloadFile([asked, giving], token, id))
    }
  }
  return { stored, objects, downloads }
}

async function readReports(cluster: Cluster, town: Town, staying: readonly FaultClient[]): Promise<PresenceReport[]> {
  const reports = cluster.running.flatMap(({ node }) =>
    town.rooms.map(async ({ id, owner }): Promise<PresenceReport> => {
      const here = staying.filter(
        ({ user, streams }) => town.mayRead(user, id) && streams.some(({ room }) => room === id),
      )
      const said = await readPresent(`${node.url}/graphql`, owner.token, id).catch(() => null)
      return { node: node.name, room: id, said: said ?? [], connected: [...new Set(here.map(({ user }) => user))] }
    }),
  )
  return Promise.all(reports)
}

async function holdsWithin(timeoutMs: number, check: () => Promise<boolean>): Promise<boolean> {
  for (const untilMs = performance.now() + timeoutMs; performance.now() < untilMs; await delay(POLL_MS)) {
    if (await check()) return true
  }
  return check()
}
