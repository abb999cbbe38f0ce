// Files as a client without any library would upload them, by the GraphQL multipart request specification.

import type { Answer } from './graphql-over-http.ts'
import type { Person } from './seed.ts'

export const ATTACHMENT =
  'id name contentType kind status refusal sizeBytes width height durationMs placeholder url urlExpiresAt renditions { url width height contentType sizeBytes }'

export interface ShownAttachment {
  id: string
  name: string
  contentType: string
  kind: string
  status: string
  refusal: string | null
  sizeBytes: number
  width: number | null
  height: number | null
  durationMs: number | null
  placeholder: string | null
  url: string | null
  urlExpiresAt: string | null
  renditions: { url: string; width: number; height: number; contentType: string; sizeBytes: number }[]
}

export const UPLOAD = `mutation ($file: File!) { uploadFile(file: $file) { __typename
  ... on UploadFileSuccess { attachment { ${ATTACHMENT} } }
  ... on Error { code message }
  ... on ValidationError { issues { path limit } }
  ... on FileTooLargeError { maxBytes }
  ... on QuotaExceededError { bytesPerDay resetsAt } } }`

export type UploadResult = Record<string, unknown> & { __typename: string; attachment?: ShownAttachment }

/** One form, as it stands: fields and files in this order. */
export async function postForm(
  url: string,
  parts: readonly (readonly [name: string, value: string | File])[],
  headers: Record<string, string> = {},
): Promise<Answer> {
  const form = new FormData()
  for (const [name, value] of parts) form.append(name, value)
  const response = await fetch(url, { method: 'POST', headers, body: form, signal: AbortSignal.timeout(25_000) })
  const body = await response.json()
  return { status: response.status, data: body.data ?? null, errors: body.errors ?? [], headers: response.headers }
}

/** The parts of an upload as clients send them. */
export function uploadParts(file: File): [string, string | File][] {
  return [
    ['operations', JSON.stringify({ query: UPLOAD, variables: { file: null } })],
    ['map', '{"0":["variables.file"]}'],
    ['0', file],
  ]
}

/** The answer to an upload that must be answered with data. */
export async function upload(url: string, { token }: Person, file: File): Promise<UploadResult> {
  const { data, errors } = await postForm(url, uploadParts(file), { authorization: `Bearer ${token}` })
  if (!data) throw new Error(`the upload failed: ${JSON.stringify(errors)}`)
  // What UPLOAD asks for.
  return data.uploadFile as UploadResult
}

/** Uploads what must be accepted. */
export async function uploaded(url: string, who: Person, file: File): Promise<ShownAttachment> {
  const { attachment, ...rest } = await upload(url, who, file)
  if (!attachment) throw new Error(`the upload was refused: ${JSON.stringify(rest)}`)
  return attachment
}

export async function findAttachment(who: Person, id: string): Promise<ShownAttachment | null> {
  const query = `query ($id: ID!) { node(id: $id) { ... on Attachment { ${ATTACHMENT} } } }`
  return (await who.do<{ node: ShownAttachment | null }>(query, { id })).node
}

export function textFile(name = 'notes.txt', text = 'hello'): File {
  return new File([text], name, { type: 'text/plain' })
}

/** Bytes of no known type. */
export function bytesFile(sizeBytes: number, name = 'data.bin'): File {
  return new File([new Uint8Array(sizeBytes).fill(7)], name, { type: 'application/octet-stream' })
}
