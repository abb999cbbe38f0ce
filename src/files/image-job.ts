/** What the service and its image process tell each other. Plain data: it is sent as JSON. */

export interface ImageLimits {
  /** Width times height of a picture, or of a frame: decoding takes up to five bytes for each. */
  maxPixels: number
  /** Those of all frames of an animation, which its viewers have to decode. */
  maxAnimationPixels: number
  maxFrames: number
}

export interface ImageJob {
  inputPath: string
  contentType: string
  /** Where the results are written; an existing folder. */
  outputDir: string
  /** Long edges of the renditions, ascending. */
  renditionSizes: readonly number[]
  limits: ImageLimits
}

export interface ImageFile {
  path: string
  contentType: string
  sizeBytes: number
  width: number
  height: number
}

export interface Rendition extends ImageFile {
  /** The long edge it was made for, as `640`: its own may be shorter, where the picture is. */
  name: string
}

export interface ProcessedImage {
  status: 'PROCESSED'
  /** As it is seen, turned. */
  width: number
  height: number
  isAnimated: boolean
  /** A thumbhash in base64. */
  placeholder: string
  /** The picture without its metadata; null where it had none and is good as it is. */
  cleaned: ImageFile | null
  renditions: Rendition[]
}

export type ImageOutcome =
  | ProcessedImage
  /** It cannot be decoded, not even partly. */
  | { status: 'CORRUPT'; message: string }
  | { status: 'TOO_LARGE'; message: string }
  /** It has killed its decoder, or kept it busy for longer than allowed. */
  | { status: 'HOSTILE'; message: string }
