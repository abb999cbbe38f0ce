// What became of files: a message has those that it was sent with, whole, as they were; and the storage holds what the
// database knows, no more and no less.

import type { FileHistory, History, SendHistory, StoredFile } from './history.ts'
import type { Violation, ViolationKind } from './violation.ts'

type Report = (kind: ViolationKind, what: string, room?: string) => void

export function checkFiles({ rooms, sends, files }: History): Violation[] {
  const found: Violation[] = []
  const report: Report = (kind, what, room = 'none') => found.push({ kind, room, what, seqs: [] })
  // Of a message that the database holds twice, the first.
  const messages = new Map(
    rooms.flatMap(({ room, events }) =>
      events.toReversed().map(({ user, clientMessageId, id }) => [`${room} ${user} ${clientMessageId}`, id] as const),
    ),
  )
  const sent = new Map<string, string>()
  const rows = new Map(files.stored.map((file) => [file.id, file]))
  for (const send of sends) {
    const message = messages.get(`${send.room} ${send.user} ${send.clientMessageId}`)
    if (!message) continue
    for (const { id } of send.attachments) sent.set(id, message)
    checkAttachments(send, message, rows, files, report)
  }
  for (const { id, message } of files.stored) {
    if (message !== null && sent.get(id) !== message)
      report('foreign', `${message} has the file ${id}, and was sent without`)
  }
  checkStorage(files, report)
  return found
}

/** Of a message that is stored, whether its sender knows it or not. */
function checkAttachments(
  { room, attachments }: SendHistory,
  message: string,
  rows: ReadonlyMap<string, StoredFile>,
  { downloads }: FileHistory,
  report: Report,
): void {
  for (const { id, digest } of attachments) {
    const row = rows.get(id)
    if (row?.message !== message) report('fileLost', `${message} does not have its file ${id}`, room)
    else if (row.status !== 'READY') report('fileLost', `the file ${id} of ${message} is ${row.status}`, room)
    const download = downloads.find(({ file }) => file === id)
    if (download?.digest !== digest) {
      report('fileLost', `the file ${id} of ${message} is not fetched as it was: ${download?.answer}`, room)
    }
  }
}

function checkStorage({ stored, objects }: FileHistory, report: Report): void {
  const [there, known] = [new Set(objects), new Set(stored.flatMap(({ keys }) => keys))]
  for (const { id, keys } of stored) {
    const lost = keys.filter((key) => !there.has(key))
    if (lost.length > 0) report('fileLost', `the storage lacks ${lost} of the file ${id}`)
  }
  for (const key of there) if (!known.has(key)) report('orphan', `the storage holds ${key}, which no file has`)
}
