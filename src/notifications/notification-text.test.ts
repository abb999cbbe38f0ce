import { describe, expect, it } from 'vitest'
import { mention } from './kinds/mention.ts'
import { message } from './kinds/message.ts'
import { lineWithText, textFor } from './notification-text.ts'

const told = { count: 1, actorName: 'Ada', roomName: 'Garden', isOneToOne: false }

describe('the text of a notification', () => {
  it('is as private as its user wants it', () => {
    const parts = { kind: mention, ...told, excerpt: '@Bob the roses\n\n are out' }
    expect(textFor('FULL', parts)).toEqual({ title: 'Ada mentioned you in Garden', body: '@Bob the roses are out' })
    expect(textFor('SENDER_ONLY', parts)).toEqual({ title: 'Ada mentioned you in Garden', body: '' })
    expect(textFor('NONE', parts)).toEqual({ title: 'New notification', body: '' })
    expect(textFor('NONE', { ...parts, count: 12 })).toEqual({ title: 'New notification', body: '12 new' })
  })

  it('is a number where it stands for several', () => {
    const parts = { kind: message, ...told, count: 12, excerpt: 'the last of them' }
    expect(textFor('FULL', parts)).toEqual({ title: '12 new messages in Garden', body: '' })
    expect(textFor('FULL', { ...parts, isOneToOne: true }).title).toBe('12 new messages from Ada')
    expect(lineWithText(parts)).toBe('12 new messages in Garden')
  })

  it('has no text where there is none to show', () => {
    expect(textFor('FULL', { kind: message, ...told, excerpt: null })).toEqual({
      title: 'Ada wrote in Garden',
      body: '',
    })
    expect(lineWithText({ kind: message, ...told, excerpt: null })).toBe('Ada wrote in Garden')
    expect(lineWithText({ kind: message, ...told, isOneToOne: true, excerpt: 'hi' })).toBe('Ada wrote to you: hi')
  })

  it('is cut between characters as people count them', () => {
    const family = '👩‍👩‍👧‍👦'
    const { title, body } = textFor('FULL', {
      ...{ kind: message, ...told },
      ...{ actorName: family.repeat(150), excerpt: family.repeat(300) },
    })
    expect(title).toBe(`${family.repeat(99)}…`)
    expect(body).toBe(`${family.repeat(199)}…`)
  })
})
