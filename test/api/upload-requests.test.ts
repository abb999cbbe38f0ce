// Files in GraphQL requests: the clients that people use, the limits, and every way to get the form wrong.

import { request } from 'node:http'
import { ApolloClient, gql, InMemoryCache } from '@apollo/client'
import UploadHttpLink from 'apollo-upload-client/UploadHttpLink.mjs'
import { describe, expect, it } from 'vitest'
import type { Answer } from '../support/graphql-over-http.ts'
import { type Person, person } from '../support/seed.ts'
import { useNodes } from '../support/start-nodes.ts'
import { countRows } from '../support/stored-rows.ts'
import { openUrql } from '../support/typed-clients.ts'
import {
  bytesFile,
  postForm,
  textFile,
  UPLOAD,
  type UploadResult,
  upload,
  uploaded,
  uploadParts,
} from '../support/uploads.ts'

const UPLOAD_MAX_BYTES = 100_000
const BYTES_PER_DAY = 250_000

const bearer = ({ token }: Person) => ({ authorization: `Bearer ${token}` })
const codeOf = ({ errors }: Answer) => errors[0]?.extensions.code

describe('uploads by GraphQL', () => {
  const nodes = useNodes({ settings: { UPLOAD_MAX_BYTES: String(UPLOAD_MAX_BYTES) } })
  const url = () => nodes().urls[0] ?? ''
  const countFiles = async () => {
    const { uploads, attachments } = await countRows(nodes().databaseUrl)
    return { uploads, attachments }
  }

  it('come from an unmodified urql client', async () => {
    const ada = await person(url(), 'Ada')
    const { client, dispose } = openUrql({ url: url(), token: ada.token })
    try {
      const { data, error } = await client.mutation(UPLOAD, { file: textFile('urql.txt') }).toPromise()
      expect(error).toBeUndefined()
      expect(data.uploadFile).toMatchObject({ attachment: { name: 'urql.txt', sizeBytes: 5 } })
      const blob = await client.mutation(UPLOAD, { file: new Blob(['abc']) }).toPromise()
      expect(blob.data.uploadFile).toMatchObject({ attachment: { sizeBytes: 3 } })
    } finally {
      await dispose()
    }
  })

  it('come from an unmodified Apollo client with apollo-upload-client', async () => {
    const ada = await person(url(), 'Ada')
    const link = new UploadHttpLink({ uri: url(), headers: bearer(ada) })
    const client = new ApolloClient({ link, cache: new InMemoryCache() })
    try {
      const { data } = await client.mutate<{ uploadFile: UploadResult }>({
        mutation: gql`mutation ($file: File!) { uploadFile(file: $file) {
          ... on UploadFileSuccess { attachment { name sizeBytes } } } }`,
        variables: { file: textFile('apollo.txt') },
      })
      expect(data?.uploadFile).toMatchObject({ attachment: { name: 'apollo.txt', sizeBytes: 5 } })
    } finally {
      client.stop()
    }
  })

  it('may be several in a request, each where the map says', async () => {
    const ada = await person(url(), 'Ada')
    const query = `mutation ($a: File!, $b: File!) {
      a: uploadFile(file: $a) { ... on UploadFileSuccess { attachment { name } } }
      b: uploadFile(file: $b) { ... on UploadFileSuccess { attachment { name } } } }`
    const { data } = await postForm(
      url(),
      [
        ['operations', JSON.stringify({ query, variables: { a: null, b: null } })],
        ['map', '{"x":["variables.b"],"y":["variables.a"]}'],
        ['x', textFile('x.txt')],
        ['y', textFile('y.txt')],
      ],
      bearer(ada),
    )
    expect(data).toEqual({ a: { attachment: { name: 'y.txt' } }, b: { attachment: { name: 'x.txt' } } })
  })

  it('are refused without a token before anything of them is read, and with a bad one', async () => {
    const before = await countFiles()
    const anonymous = await postForm(url(), uploadParts(textFile()))
    expect([anonymous.status, codeOf(anonymous)]).toEqual([401, 'UNAUTHENTICATED'])
    const forged = await postForm(url(), uploadParts(textFile()), { authorization: 'Bearer not.a.token' })
    expect([forged.status, codeOf(forged)]).toEqual([401, 'UNAUTHENTICATED'])
    // The rest of this body never comes: whoever waits for it answers nothing.
    expect(await beginForm(url(), {})).toBe(401)
    expect(await countFiles()).toEqual(before)
  })

  it('are refused typed where they are larger than this way takes, however much larger', async () => {
    const ada = await person(url(), 'Ada')
    expect(await upload(url(), ada, bytesFile(UPLOAD_MAX_BYTES))).toMatchObject({ __typename: 'UploadFileSuccess' })
    expect(await upload(url(), ada, bytesFile(UPLOAD_MAX_BYTES + 1))).toMatchObject({
      __typename: 'FileTooLargeError',
      code: 'FILE_TOO_LARGE',
      maxBytes: UPLOAD_MAX_BYTES,
    })
    const answer = await postForm(url(), uploadParts(bytesFile(5_000_000)), bearer(ada))
    expect([answer.status, answer.errors[0]?.extensions]).toEqual([
      413,
      expect.objectContaining({ code: 'FILE_TOO_LARGE', maxBytes: UPLOAD_MAX_BYTES, retryable: false }),
    ])
  })

  it('name what is wrong with a form, and store nothing of it', async () => {
    const ada = await person(url(), 'Ada')
    const file = textFile()
    const operations = JSON.stringify({ query: UPLOAD, variables: { file: null } })
    const forms: [string, [string, string | File][]][] = [
      ['no operations', [['map', '{}']]],
      [
        'operations that are no JSON',
        [
          ['operations', '{'],
          ['map', '{}'],
        ],
      ],
      ['operations that are a file', [['operations', file]]],
      [
        'operations that are a list',
        [
          ['operations', `[${operations}]`],
          ['map', '{}'],
        ],
      ],
      [
        'operations that are null',
        [
          ['operations', 'null'],
          ['map', '{"0":["variables.file"]}'],
          ['0', file],
        ],
      ],
      [
        'a map that is no JSON',
        [
          ['operations', operations],
          ['map', 'x'],
        ],
      ],
      [
        'a map without lists',
        [
          ['operations', operations],
          ['map', '{"0":1}'],
          ['0', file],
        ],
      ],
      [
        'a map of no texts',
        [
          ['operations', operations],
          ['map', '{"0":[1]}'],
          ['0', file],
        ],
      ],
      [
        'a file that is not there',
        [
          ['operations', operations],
          ['map', '{"0":["variables.file"]}'],
        ],
      ],
      [
        'a text for a file',
        [
          ['operations', operations],
          ['map', '{"0":["variables.file"]}'],
          ['0', 'text'],
        ],
      ],
      ...['query', 'variables', 'variables.other', 'variables.file.deep', 'variables.__proto__', '__proto__.x', ''].map(
        (path): [string, [string, string | File][]] => [
          `the path ${path}`,
          [
            ['operations', operations],
            ['map', JSON.stringify({ 0: [path] })],
            ['0', file],
          ],
        ],
      ),
      ['eleven files', [['operations', operations], ['map', '{}'], ...many(11, file)]],
      ['many fields', [['operations', operations], ['map', '{}'], ...many(30, 'x')]],
    ]
    const before = await countFiles()
    for (const [what, parts] of forms) {
      const answer = await postForm(url(), parts, bearer(ada))
      expect([what, answer.status, codeOf(answer)]).toEqual([what, 400, 'BAD_REQUEST'])
    }
    expect(await countFiles()).toEqual(before)
  })

  it('name what is wrong with a body that is no form', async () => {
    const ada = await person(url(), 'Ada')
    const bodies: [string, string][] = [
      ['multipart/form-data', 'x'],
      ['multipart/form-data; boundary=b', 'nothing of a form'],
      ['multipart/form-data; boundary=b', '--b\r\ncontent-disposition: form-data; name="operations"\r\n\r\n{"que'],
      ['multipart/form-data; boundary=b', ''],
    ]
    for (const [contentType, body] of bodies) {
      const response = await fetch(url(), {
        method: 'POST',
        headers: { ...bearer(ada), 'content-type': contentType },
        body,
        signal: AbortSignal.timeout(10_000),
      })
      const { errors } = await response.json()
      expect([body, response.status, errors[0].extensions.code]).toEqual([body, 400, 'BAD_REQUEST'])
    }
  })

  it('wait for their turn, and those of one user keep no others waiting', async () => {
    const [ada, bo] = [await person(url(), 'Ada'), await person(url(), 'Bo')]
    const slow: Promise<unknown>[] = []
    // One more is refused as soon as three are being read. Between, so that it does not come first, something else is asked.
    const refused = await refusedSoon(async () => {
      slow.push(beginForm(url(), bearer(ada)).catch(() => null))
      await bo.do('{ viewer { id } }')
      return postForm(url(), uploadParts(textFile()), bearer(ada))
    })
    expect([refused.status, refused.errors[0]?.extensions]).toEqual([
      503,
      expect.objectContaining({ code: 'UNAVAILABLE', retryable: true }),
    ])
    expect(await uploaded(url(), bo, textFile())).toMatchObject({ status: 'PROCESSING' })
    for (const one of begun.splice(0)) one.destroy()
    await Promise.all(slow)
    const { data } = await acceptedSoon(() => postForm(url(), uploadParts(textFile()), bearer(ada)))
    expect(data?.uploadFile).toMatchObject({ __typename: 'UploadFileSuccess' })
  })
})

describe('the limits of a user', () => {
  const nodes = useNodes({
    settings: { UPLOAD_BYTES_PER_DAY: String(BYTES_PER_DAY), FILES_ALLOWED_TYPES: 'text/*,application/octet-stream' },
  })
  const url = () => nodes().urls[0] ?? ''

  it('count the bytes of a day, also of what was deleted, and not of others', async () => {
    const [ada, bo] = [await person(url(), 'Ada'), await person(url(), 'Bo')]
    const { id } = await uploaded(url(), ada, bytesFile(BYTES_PER_DAY - 10))
    await ada.do('mutation ($id: ID!) { deleteAttachment(input: { attachmentId: $id }) { __typename } }', { id })
    const refused = await upload(url(), ada, bytesFile(11))
    expect(refused).toMatchObject({
      __typename: 'QuotaExceededError',
      code: 'QUOTA_EXCEEDED',
      bytesPerDay: BYTES_PER_DAY,
    })
    const resetsAt = Date.parse(String(refused.resetsAt))
    expect(resetsAt % 86_400_000).toBe(0)
    expect(resetsAt).toBeGreaterThan(Date.now())
    expect(await upload(url(), ada, bytesFile(10))).toMatchObject({ __typename: 'UploadFileSuccess' })
    expect(await upload(url(), bo, bytesFile(11))).toMatchObject({ __typename: 'UploadFileSuccess' })
    expect(await upload(url(), bo, bytesFile(BYTES_PER_DAY + 1))).toMatchObject({ __typename: 'QuotaExceededError' })
  })

  it('are not passed by many uploads at once', async () => {
    const ada = await person(url(), 'Ada')
    const share = BYTES_PER_DAY / 2
    const results = await Promise.all(Array.from({ length: 3 }, () => upload(url(), ada, bytesFile(share))))
    expect(results.map(({ __typename }) => __typename).sort()).toEqual([
      'QuotaExceededError',
      'UploadFileSuccess',
      'UploadFileSuccess',
    ])
  })

  it('refuse types that are not allowed: by what the client says, then by what it is', async () => {
    const ada = await person(url(), 'Ada')
    const claimed = new File(['x'], 'a.png', { type: 'image/png' })
    expect(await upload(url(), ada, claimed)).toMatchObject({ code: 'FILE_TYPE_NOT_ALLOWED' })
  })
})

const many = (count: number, value: string | File) =>
  Array.from({ length: count }, (_, i): [string, string | File] => [`part-${i}`, value])

const begun: ReturnType<typeof request>[] = []

/** Sends the beginning of a form and no more; gives the status of the answer. */
function beginForm(target: string, headers: Record<string, string>): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const sending = request(target, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'multipart/form-data; boundary=b', 'content-length': 50_000 },
    })
    begun.push(sending)
    sending.on('error', reject)
    sending.on('response', (response) => {
      resolve(response.statusCode)
      sending.destroy()
    })
    sending.write('--b\r\ncontent-disposition: form-data; name="operations"\r\n\r\n{')
  })
}

async function untilStatus(post: () => Promise<Answer>, isWanted: (status: number) => boolean): Promise<Answer> {
  for (let attempt = 0; attempt < 80; attempt++) {
    const answer = await post()
    if (isWanted(answer.status)) return answer
  }
  throw new Error('the status never came')
}

const refusedSoon = (post: () => Promise<Answer>) => untilStatus(post, (status) => status === 503)
const acceptedSoon = (post: () => Promise<Answer>) => untilStatus(post, (status) => status === 200)
