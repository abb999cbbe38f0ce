import { RefusedError } from '../platform/errors.ts'

/** The file is larger than this server takes by this way. */
export class FileTooLargeError extends RefusedError {
  readonly maxBytes: number

  constructor(maxBytes: number) {
    super('FILE_TOO_LARGE', `The file is larger than ${maxBytes} bytes.`)
    this.name = 'FileTooLargeError'
    this.maxBytes = maxBytes
  }
}

/** With this file the user would have uploaded more than a user may in a day. */
export class QuotaExceededError extends RefusedError {
  readonly bytesPerDay: number
  readonly resetsAt: Date

  constructor({ bytesPerDay, resetsAt }: { bytesPerDay: number; resetsAt: Date }) {
    super('QUOTA_EXCEEDED', `Of a day's ${bytesPerDay} bytes less is left than the file has.`)
    this.name = 'QuotaExceededError'
    this.bytesPerDay = bytesPerDay
    this.resetsAt = resetsAt
  }
}
