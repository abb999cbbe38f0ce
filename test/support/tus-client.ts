// The unmodified tus-js-client, as promises.

import * as tus from 'tus-js-client'

export interface TusResult {
  url: string
  /** The attachment's global id, from the last answer. */
  attachmentId: string
  /** Every request, as `PATCH 204`; `PATCH -` where no answer came. */
  requests: string[]
}

export interface TusUploadOptions extends Partial<tus.UploadOptions> {
  /** Asked after each piece that was handed to the socket; true stops the upload where it is. */
  stopAt?: (bytesSent: number) => boolean
}

export class StoppedError extends Error {
  readonly url: string

  constructor(url: string) {
    super('the upload was stopped')
    this.url = url
  }
}

/** Rejects with StoppedError, or with what the client gave up at. */
export function uploadByTus(
  bytes: Buffer,
  { stopAt = () => false, ...options }: TusUploadOptions & { token?: string },
): Promise<TusResult> {
  const { token = 'ada', ...rest } = options
  const requests: string[] = []
  return new Promise((resolve, reject) => {
    const upload = new tus.Upload(bytes, {
      headers: { authorization: `Bearer ${token}` },
      retryDelays: [0, 50, 100, 200, 400, 800, 1600],
      metadata: { filename: 'kedi şarkısı.bin', filetype: 'application/x-test' },
      ...rest,
      onBeforeRequest: (request) => void requests.push(`${request.getMethod()} -`),
      onAfterResponse: (_request, response) => {
        const last = requests.length - 1
        requests[last] = `${requests[last]?.replace(' -', '')} ${response.getStatus()}`
      },
      onProgress(bytesSent) {
        if (!stopAt(bytesSent)) return
        upload.abort().then(() => reject(new StoppedError(upload.url ?? '')), reject)
      },
      onError: reject,
      onSuccess: ({ lastResponse }) =>
        resolve({
          url: upload.url ?? '',
          attachmentId: lastResponse.getHeader('Sohbet-Attachment-Id') ?? '',
          requests,
        }),
    })
    upload.start()
  })
}
