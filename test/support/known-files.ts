import type { FileLookup, ServableFile } from '../../src/files/file-lookup.ts'
import { newId } from '../../src/platform/ids.ts'

/** Files that only some may see: the interface that the files service keeps, over a map. */
export class KnownFiles implements FileLookup {
  readonly #files = new Map<string, { file: ServableFile; owner: string }>()

  add(
    file: Pick<ServableFile, 'sizeBytes'> & Partial<ServableFile>,
    owner = 'ada',
  ): { id: string; file: ServableFile } {
    const id = newId()
    const known: ServableFile = {
      objectKey: `${id}/original`,
      name: 'cat.png',
      contentType: 'image/png',
      etag: `"${id}"`,
      isInlineSafe: true,
      ...file,
    }
    this.#files.set(`${id}/original`, { file: known, owner })
    return { id, file: known }
  }

  async findServable(attachmentId: string, rendition: string) {
    return this.#files.get(`${attachmentId}/${rendition}`)?.file ?? null
  }

  async findServableFor({ userId }: { userId: string }, attachmentId: string, rendition: string) {
    const known = this.#files.get(`${attachmentId}/${rendition}`)
    return known?.owner === userId ? known.file : null
  }
}
