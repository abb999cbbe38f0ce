import { Transform } from 'node:stream'

/** Bytes that are written over those of a file; its length stays. */
export interface BytePatch {
  at: number
  bytes: Buffer
}

/** Writes the patches over what flows through. They must not overlap. */
export function applyPatches(patches: readonly BytePatch[]): Transform {
  const ordered = patches.toSorted((a, b) => a.at - b.at)
  let first = 0
  let position = 0
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      const end = position + chunk.length
      let patched = chunk
      for (let index = first; index < ordered.length; index++) {
        const patch = ordered[index]
        if (patch === undefined || patch.at >= end) break
        const patchEnd = patch.at + patch.bytes.length
        if (patchEnd <= end) first = index + 1
        if (patchEnd <= position) continue
        // The source may still hold the chunk.
        if (patched === chunk) patched = Buffer.from(chunk)
        const from = Math.max(patch.at, position)
        patch.bytes.copy(patched, from - position, from - patch.at, Math.min(patchEnd, end) - patch.at)
      }
      position = end
      done(null, patched)
    },
  })
}

/** The same for a whole file in memory. */
export function patched(data: Buffer, patches: readonly BytePatch[]): Buffer {
  const copy = Buffer.from(data)
  for (const { at, bytes } of patches) bytes.copy(copy, at)
  return copy
}
