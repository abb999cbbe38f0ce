// The one piece of Exif that matters to how a picture looks: how it must be turned. Exif is a TIFF file in small.

const ORIENTATION_TAG = 0x0112
const SHORT = 3
/** Longer directories are padding. */
const MAX_ENTRIES = 1000

/** 1 (as it is) to 8, out of an Exif block with or without its `Exif` prefix; 1 where there is none or it makes no sense. */
export function readOrientation(block: Buffer): number {
  const tiff = block.subarray(0, 6).toString('latin1') === 'Exif\0\0' ? block.subarray(6) : block
  const order = tiff.subarray(0, 2).toString('latin1')
  if (tiff.length < 8 || (order !== 'II' && order !== 'MM')) return 1
  const short = (at: number) => (order === 'II' ? tiff.readUInt16LE(at) : tiff.readUInt16BE(at))
  const directory = order === 'II' ? tiff.readUInt32LE(4) : tiff.readUInt32BE(4)
  if (directory + 2 > tiff.length) return 1
  const entries = Math.min(short(directory), MAX_ENTRIES)
  for (let at = directory + 2, left = entries; left > 0 && at + 12 <= tiff.length; at += 12, left--) {
    if (short(at) !== ORIENTATION_TAG || short(at + 2) !== SHORT) continue
    const orientation = short(at + 8)
    return orientation >= 1 && orientation <= 8 ? orientation : 1
  }
  return 1
}

/** The smallest Exif block that says this, without the `Exif` prefix. */
export function orientationBlock(orientation: number): Buffer {
  const tiff = Buffer.alloc(26)
  tiff.write('MM\0*', 0, 'latin1')
  tiff.writeUInt32BE(8, 4)
  tiff.writeUInt16BE(1, 8)
  tiff.writeUInt16BE(ORIENTATION_TAG, 10)
  tiff.writeUInt16BE(SHORT, 12)
  tiff.writeUInt32BE(1, 14)
  tiff.writeUInt16BE(orientation, 18)
  return tiff
}
