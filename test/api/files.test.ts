// Attachments from the upload to the message: what becomes of a file, who may see and send it, and every refusal.

import { afterEach, describe, expect, it } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { post } from '../support/graphql-over-http.ts'
import { photo, withMetadata } from '../support/image-samples.ts'
import { type Person, person, stopAll } from '../support/seed.ts'
import { useNodes } from '../support/start-nodes.ts'
import { subscribe } from '../support/stream.ts'
import { ATTACHMENT, findAttachment, type ShownAttachment, textFile, upload, uploaded } from '../support/uploads.ts'

const SEND = `mutation ($input: SendMessageInput!) { sendMessage(input: $input) { __typename
  ... on SendMessageSuccess { sentMessage { id seq text attachments { ${ATTACHMENT} } } }
  ... on Error { code message } ... on ValidationError { issues { path message } } } }`

interface Sent {
  __typename: string
  code?: string
  message?: string
  issues?: { path: string; message: string }[]
  sentMessage?: { id: string; seq: number; text: string; attachments: ShownAttachment[] }
}

const send = async (who: Person, roomId: string, attachmentIds: string[], more: object = {}) =>
  (await who.do<{ sendMessage: Sent }>(SEND, { input: { roomId, text: '', attachmentIds, ...more } })).sendMessage

const requireSent = async (...args: Parameters<typeof send>) => {
  const { sentMessage, ...rest } = await send(...args)
  if (!sentMessage) throw new Error(`not sent: ${JSON.stringify(rest)}`)
  return sentMessage
}

const remove = async (who: Person, attachmentId: string) =>
  (
    await who.do<{ deleteAttachment: { __typename: string; code?: string } }>(
      `mutation ($input: DeleteAttachmentInput!) { deleteAttachment(input: $input) {
        __typename ... on DeleteAttachmentSuccess { attachmentId } ... on Error { code } } }`,
      { input: { attachmentId } },
    )
  ).deleteAttachment

/** Waits until it is processed. */
const processed = (who: Person, id: string) =>
  eventually(async () => {
    const found = await findAttachment(who, id)
    expect(found?.status).not.toBe('PROCESSING')
    return found
  })

async function jpegWithMetadata(width = 800, height = 600): Promise<File> {
  const bytes = await withMetadata(photo(width, height)).jpeg().toBuffer()
  return new File([new Uint8Array(bytes)], 'kule.jpg', { type: 'image/jpeg' })
}

describe('an attachment', () => {
  const nodes = useNodes()
  const url = () => nodes().urls[0] ?? ''
  afterEach(stopAll)

  it('is processed, told of to its uploader, sent, and the same in the answer, live and in history', async () => {
    const [ada, bo] = [await person(url(), 'Ada'), await person(url(), 'Bo')]
    const roomId = await ada.createRoom({ memberIds: [bo.id] })
    const own = subscribe<{ viewerEvents: { __typename: string; attachment?: ShownAttachment } }>(
      ada.connect(),
      `subscription { viewerEvents { __typename ... on AttachmentProcessed { attachment { ${ATTACHMENT} } } } }`,
    )
    const live = subscribe<{ roomEvents: { __typename: string; message?: { attachments: ShownAttachment[] } } }>(
      bo.connect(),
      `subscription ($roomId: ID!) { roomEvents(roomId: $roomId) { __typename
        ... on MessageSent { message { attachments { ${ATTACHMENT} } } } } }`,
      { roomId },
    )
    await Promise.all([own.next(), live.next()])

    const fresh = await uploaded(url(), ada, await jpegWithMetadata())
    expect(fresh).toMatchObject({ name: 'kule.jpg', status: 'PROCESSING', kind: 'FILE', url: null, renditions: [] })
    const told = (await own.next()).data?.viewerEvents
    expect(told?.__typename).toBe('AttachmentProcessed')
    const ready = told?.attachment
    expect(ready).toMatchObject({
      id: fresh.id,
      status: 'READY',
      refusal: null,
      contentType: 'image/jpeg',
      kind: 'IMAGE',
      width: 800,
      height: 600,
      placeholder: expect.stringMatching(/^[\w+/]+=*$/),
      url: expect.stringMatching(/^\/files\//),
    })
    expect(ready?.renditions.map(({ width, contentType }) => [width, contentType])).toEqual([
      [160, 'image/webp'],
      [640, 'image/webp'],
    ])
    expect(Date.parse(ready?.urlExpiresAt ?? '')).toBeGreaterThan(Date.now() + 3_000_000)

    const sent = await requireSent(ada, roomId, [fresh.id], { text: 'look' })
    expect(sent.attachments).toEqual([ready])
    expect((await live.next()).data?.roomEvents.message?.attachments).toEqual([ready])
    const history = await bo.do<{ room: { messages: { edges: { node: { attachments: ShownAttachment[] } }[] } } }>(
      `query ($id: ID!) { room(id: $id) { messages { edges { node { attachments { ${ATTACHMENT} } } } } } }`,
      { id: roomId },
    )
    expect(history.room.messages.edges.map(({ node }) => node.attachments)).toEqual([[ready]])
  })

  it('is waited for by the message that it is sent with, in the order of its author, without text', async () => {
    const ada = await person(url(), 'Ada')
    const roomId = await ada.createRoom()
    const files = [await jpegWithMetadata(300, 200), textFile('a.txt'), textFile('b.txt')]
    const ids: string[] = []
    for (const file of files) ids.push((await uploaded(url(), ada, file)).id)
    const { text, attachments } = await requireSent(ada, roomId, ids.toReversed())
    expect(text).toBe('')
    expect(attachments.map(({ name, status }) => [name, status])).toEqual([
      ['b.txt', 'READY'],
      ['a.txt', 'READY'],
      ['kule.jpg', 'READY'],
    ])
  })

  it('is sent once, also when the message is tried again', async () => {
    const ada = await person(url(), 'Ada')
    const roomId = await ada.createRoom()
    const { id } = await uploaded(url(), ada, textFile())
    const first = await requireSent(ada, roomId, [id], { clientMessageId: 'one' })
    expect(await requireSent(ada, roomId, [id], { clientMessageId: 'one' })).toEqual(first)
    expect(await send(ada, roomId, [id], { clientMessageId: 'two' })).toMatchObject({
      code: 'VALIDATION_FAILED',
      issues: [{ path: 'input.attachmentIds.0' }],
    })
  })

  it('belongs to its uploader until it is sent, then to those who may read the room', async () => {
    const [ada, bo, eve] = [await person(url(), 'Ada'), await person(url(), 'Bo'), await person(url(), 'Eve')]
    const roomId = await ada.createRoom({ kind: 'PRIVATE', memberIds: [bo.id] })
    const { id } = await uploaded(url(), ada, textFile())
    await processed(ada, id)
    const seenBy = async (...people: Person[]) =>
      Promise.all(people.map(async (who) => (await findAttachment(who, id)) !== null))
    expect(await seenBy(ada, bo, eve)).toEqual([true, false, false])
    for (const stranger of [bo, eve]) {
      expect(await send(stranger, await stranger.createRoom(), [id])).toMatchObject({
        code: 'VALIDATION_FAILED',
        issues: [{ path: 'input.attachmentIds.0' }],
      })
      expect(await remove(stranger, id)).toMatchObject({ code: 'NOT_FOUND' })
    }
    await requireSent(ada, roomId, [id])
    expect(await seenBy(ada, bo, eve)).toEqual([true, true, false])
    expect(await remove(ada, id)).toMatchObject({ code: 'FORBIDDEN' })
    expect(await remove(eve, id)).toMatchObject({ code: 'NOT_FOUND' })
    await bo.leave(roomId)
    await ada.leave(roomId)
    expect(await seenBy(ada, bo, eve)).toEqual([false, false, false])
  })

  it('can be taken away before it is sent, and goes with its message after', async () => {
    const [ada, bo] = [await person(url(), 'Ada'), await person(url(), 'Bo')]
    const roomId = await ada.createRoom({ memberIds: [bo.id] })
    const { id: unsent } = await uploaded(url(), ada, textFile())
    expect(await remove(ada, unsent)).toMatchObject({ __typename: 'DeleteAttachmentSuccess', attachmentId: unsent })
    expect(await findAttachment(ada, unsent)).toBeNull()
    expect(await remove(ada, unsent)).toMatchObject({ code: 'NOT_FOUND' })
    expect(await send(ada, roomId, [unsent])).toMatchObject({ code: 'VALIDATION_FAILED' })

    const { id } = await uploaded(url(), ada, textFile())
    const { id: messageId } = await requireSent(ada, roomId, [id])
    const deletion = `mutation ($input: DeleteMessageInput!) { deleteMessage(input: $input) { __typename } }`
    expect(await ada.do(deletion, { input: { messageId } })).toEqual({
      deleteMessage: { __typename: 'DeleteMessageSuccess' },
    })
    expect([await findAttachment(ada, id), await findAttachment(bo, id)]).toEqual([null, null])
    const { node } = await bo.do<{ node: { attachments: unknown[] } }>(
      'query ($id: ID!) { node(id: $id) { ... on Message { attachments { id } } } }',
      { id: messageId },
    )
    expect(node.attachments).toEqual([])
  })

  it('keeps names of any Unicode, without folders, controls and what turns text around', async () => {
    const ada = await person(url(), 'Ada')
    const names: [string, string][] = [
      ['résumé 🧾 çağ.txt', 'résumé 🧾 çağ.txt'],
      ['../../etc/passwd', 'passwd'],
      ['C:\\fotos\\a.png', 'a.png'],
      ['photo\u202egpj.exe', 'photogpj.exe'],
      ['...', 'file'],
      ['tab\there.txt', 'tabhere.txt'],
      [`${'x'.repeat(300)}.tar`, `${'x'.repeat(196)}.tar`],
    ]
    for (const [given, kept] of names) expect((await uploaded(url(), ada, textFile(given))).name).toBe(kept)
  })

  it('is refused typed where it is too large, empty or no file at all', async () => {
    const ada = await person(url(), 'Ada')
    expect(await upload(url(), ada, textFile('empty.txt', ''))).toMatchObject({
      code: 'VALIDATION_FAILED',
      issues: [{ path: 'file', limit: 1 }],
    })
    const { errors } = await post(url(), 'mutation ($file: File!) { uploadFile(file: $file) { __typename } }', {
      token: ada.token,
      variables: { file: 'a string' },
    })
    expect(errors[0]?.extensions.code).toBe('BAD_USER_INPUT')
  })
})
