/** A file as a request has brought it, already here in full: what a variable of the type File holds. Made by the transport. */
export class UploadedFile {
  /** As the client calls it. */
  readonly name: string
  /** As the client says; empty where it says nothing. */
  readonly claimedType: string
  readonly sizeBytes: number
  readonly open: () => AsyncIterable<Uint8Array>

  constructor({ name, claimedType, sizeBytes, open }: UploadedFile) {
    this.name = name
    this.claimedType = claimedType
    this.sizeBytes = sizeBytes
    this.open = open
  }
}
