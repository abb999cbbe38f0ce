import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { UserRecord } from '../users/user-record.ts'
import { chooseMentions, findCandidates, MAX_MENTIONS } from './mentions.ts'

const user = (id: string, name: string): UserRecord => ({
  ...{ id, name },
  ...{ avatarUrl: null, statusText: null, lastSeenAt: '' },
})

const MEMBERS = [
  user('1', 'Ada'),
  user('2', 'Ada Lovelace'),
  user('3', "J. R. O'Neil"),
  user('4', '山田 太郎'),
  user('5', 'Same'),
  user('6', 'Same'),
  user('7', 'Zoë-Ann'),
]

/** As the database finds them: by name, whatever its case. */
function mentionsIn(text: string): [string, string][] {
  const candidates = findCandidates(text)
  const byName = new Map(
    candidates.map(({ name }) => [name, MEMBERS.filter((one) => one.name.toLowerCase() === name.toLowerCase())]),
  )
  return chooseMentions(candidates, byName).map(({ start, length, user: meant }) => [
    text.slice(start, start + length),
    meant?.id ?? 'room',
  ])
}

describe('mentions', () => {
  const cases: [string, string, [string, string][]][] = [
    ['a name', 'hi @Ada', [['@Ada', '1']]],
    [
      'the longest name that is one',
      '@Ada Lovelace and @Ada, please',
      [
        ['@Ada Lovelace', '2'],
        ['@Ada', '1'],
      ],
    ],
    [
      'a name before punctuation',
      '(@Ada!) @ada?',
      [
        ['@Ada', '1'],
        ['@ada', '1'],
      ],
    ],
    ['a name that holds punctuation', "ask @J. R. O'Neil's", [["@J. R. O'Neil", '3']]],
    ['a name in another script', '@山田 太郎、こんにちは', [['@山田 太郎', '4']]],
    [
      'everybody of a name',
      '@Same',
      [
        ['@Same', '5'],
        ['@Same', '6'],
      ],
    ],
    [
      'the room',
      'all: @room @Room',
      [
        ['@room', 'room'],
        ['@Room', 'room'],
      ],
    ],
    ['no part of a word', '@Adam, @roommate, ada@Ada.org, @@Ada, @Ada_1', []],
    ['nobody who is no member', '@Bob @ Ada @', []],
    ['a name with letters that join', '@Zoë-Ann', [['@Zoë-Ann', '7']]],
    ['no name across lines', '@Ada\nLovelace', [['@Ada', '1']]],
  ]
  for (const [what, text, expected] of cases) {
    it(`find ${what}`, () => expect(mentionsIn(text)).toEqual(expected))
  }

  it('are at most fifty, however many there are', () => {
    expect(mentionsIn('@Ada '.repeat(10_000))).toHaveLength(MAX_MENTIONS)
    expect(mentionsIn('@Same '.repeat(10_000))).toHaveLength(MAX_MENTIONS)
  })

  it('do not overlap, stand in the order of the text, and name what stands there', () => {
    const word = fc.constantFrom(
      '@',
      'Ada',
      ' ',
      'Lovelace',
      '@room',
      '\n',
      'Same',
      '.',
      "O'Neil",
      'J. R. ',
      '👩‍🚀',
      'é',
    )
    fc.assert(
      fc.property(fc.array(word, { maxLength: 40 }), (words) => {
        const text = words.join('')
        const candidates = findCandidates(text)
        for (const { start, length, name } of candidates) expect(text.slice(start, start + length)).toBe(`@${name}`)
        const byName = new Map(candidates.map(({ name }) => [name, MEMBERS.filter((one) => one.name === name)]))
        let end = 0
        let last = -1
        for (const { start, length } of chooseMentions(candidates, byName)) {
          expect(start === last || start >= end).toBe(true)
          last = start
          end = start + length
        }
      }),
    )
  })
})
