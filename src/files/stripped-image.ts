/** The bytes of an image are not what its format says; nothing can be made of it. */
export class CorruptImageError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'CorruptImageError'
  }
}

/**
 * An image without its metadata: no Exif, XMP, IPTC, comments, embedded thumbnails, and nothing after its end. The
 * pixels are untouched, the colour profile is kept.
 */
export interface StrippedImage {
  /** In order; views of the input where nothing had to be changed. */
  parts: readonly Buffer[]
  /** How the pixels must be turned, 1 to 8; where it is not 1, `parts` still says so, and says nothing else. */
  orientation: number
  /** More than one in an animation, as far as the format tells without decoding. */
  isAnimated: boolean
  isLossless: boolean
  /** The canvas that the format announces beside the picture, and that a viewer may take room for; 0 where there is none. */
  canvasPixels: number
}
