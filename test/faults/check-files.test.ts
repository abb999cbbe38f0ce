import { describe, it } from 'vitest'
import type { Download, History, StoredFile } from './history.ts'
import { expectCaught, type Planting, pickWhere } from './planting.ts'

/** Changes one; the model's rows are not readonly to its own tests. */
const changingFile =
  (to: (file: StoredFile, history: History) => Partial<StoredFile>): Planting =>
  (history, random) => {
    const file = pickWhere(history.files.stored, () => true, random)
    if (file) Object.assign(file, to(file, history))
    return file !== null
  }
const changingDownload =
  (to: (download: Download) => Partial<Download>): Planting =>
  ({ files }, random) => {
    const download = pickWhere(files.downloads, () => true, random)
    if (download) Object.assign(download, to(download))
    return download !== null
  }

describe('the checker of files', () => {
  it('catches a file that its message does not have, and one that was not made ready', () => {
    expectCaught(
      changingFile(() => ({ message: null })),
      'fileLost',
    )
    expectCaught(
      changingFile(() => ({ status: 'PROCESSING' })),
      'fileLost',
    )
  })

  it('catches a file whose row is gone', () => {
    const plant: Planting = ({ files }, random) => {
      const gone = pickWhere(files.stored, () => true, random)
      if (!gone) return null
      const left = {
        stored: files.stored.filter((file) => file !== gone),
        objects: files.objects.filter((key) => !gone.keys.includes(key)),
      }
      // The model's lists are not readonly to its own tests.
      return Object.assign(files, left) && true
    }
    expectCaught(plant, 'fileLost')
  })

  it('catches a file that comes otherwise than it was sent, or not at all', () => {
    expectCaught(
      changingDownload(({ digest }) => ({ digest: `half of ${digest}` })),
      'fileLost',
    )
    expectCaught(
      changingDownload(() => ({ digest: null, answer: '404' })),
      'fileLost',
    )
  })

  it('catches a file of a message that was sent without it', () => {
    const plant: Planting = ({ files, rooms, sends }, random) => {
      const withFiles = new Set(sends.flatMap((send) => (send.attachments.length > 0 ? [send.clientMessageId] : [])))
      const messages = rooms.flatMap(({ events }) => events.filter(({ type }) => type === 'MessageSent'))
      const other = pickWhere(messages, ({ clientMessageId }) => !withFiles.has(clientMessageId ?? ''), random)
      if (!other) return null
      const strange = { id: 'a strange file', message: other.id, status: 'READY', keys: [] }
      // The model's lists are not readonly to its own tests.
      return Object.assign(files, { stored: [...files.stored, strange] }) && true
    }
    expectCaught(plant, 'foreign')
  })

  it('catches an object without a row, and a row without an object', () => {
    const without: Planting = ({ files }, random) => {
      const key = pickWhere(files.objects, () => true, random)
      if (key === null) return null
      // The model's lists are not readonly to its own tests.
      return Object.assign(files, { objects: files.objects.filter((each) => each !== key) }) && true
    }
    expectCaught(without, 'fileLost')
    const more: Planting = ({ files }) => Object.assign(files, { objects: [...files.objects, 'x/upload'] }) && true
    expectCaught(more, 'orphan')
  })
})
