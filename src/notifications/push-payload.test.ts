import { describe, expect, it } from 'vitest'
import type { DueNotification } from './channel.ts'
import { cutToBytes, toPushPayload } from './push-payload.ts'

const FAMILY = '👨‍👩‍👧‍👦'

const due = (more: Partial<DueNotification> = {}): DueNotification => ({
  id: '019abcde-0000-7000-8000-000000000001',
  version: 1,
  userId: '019abcde-0000-7000-8000-000000000002',
  userSubject: 'ada',
  kind: 'MENTION',
  isUrgent: true,
  roomId: '019abcde-0000-7000-8000-000000000003',
  roomName: 'Lounge',
  actorName: 'Bob',
  count: 1,
  title: 'Bob in Lounge',
  body: 'Lunch?',
  createdAt: new Date('2026-11-23T12:00:00Z'),
  ...more,
})
const globalId = (typename: string, id: string) => `${typename}/${id}`
const bytesOf = (value: unknown) => Buffer.byteLength(JSON.stringify(value))

describe('a push message', () => {
  it('says what is shown and where it leads, and no name that the privacy setting may have taken out', () => {
    expect(toPushPayload(due({ url: 'https://chat.example.com/rooms/1' }), globalId)).toEqual({
      type: 'notification',
      id: 'Notification/019abcde-0000-7000-8000-000000000001',
      tag: '019abcde-0000-7000-8000-000000000001',
      version: 1,
      kind: 'MENTION',
      title: 'Bob in Lounge',
      body: 'Lunch?',
      count: 1,
      roomId: 'Room/019abcde-0000-7000-8000-000000000003',
      url: 'https://chat.example.com/rooms/1',
      createdAt: '2026-11-23T12:00:00.000Z',
    })
  })

  it.each([
    ['plain', 'a'.repeat(10_000)],
    ['escaped', '\n"\u0001'.repeat(5_000)],
    ['wide', 'ş'.repeat(5_000)],
    ['families', FAMILY.repeat(1_000)],
    ['one endless character', `e${'\u0301'.repeat(20_000)}`],
  ])('is at most 3,000 bytes, whatever the text: %s', (_, text) => {
    const payload = toPushPayload(due({ title: text, body: text, url: `https://a.example/${text}` }), globalId)
    expect(bytesOf(payload)).toBeLessThanOrEqual(3_000)
    expect([payload.url, payload.title.at(-1), payload.body.at(-1)]).toEqual([null, '…', '…'])
  })

  it('is cut between characters, and not where it fits', () => {
    const { body } = toPushPayload(due({ body: FAMILY.repeat(1_000) }), globalId)
    expect(body.replaceAll(FAMILY, '')).toBe('…')
    expect(body.length).toBeGreaterThan(500)
    expect(cutToBytes('abc', 3)).toBe('abc')
    expect(cutToBytes('abcdef', 5)).toBe('ab…')
  })
})
