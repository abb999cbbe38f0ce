import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { settingRows } from '../../src/config-settings.ts'

const HEADER = ['Setting', 'What it is', 'Format', 'Default', 'Required']

describe('docs/operations.md', () => {
  it('has one table, and it says of every setting what src/config-settings.ts says, and of no other', async () => {
    const manual = await readFile(new URL('../../docs/operations.md', import.meta.url), 'utf8')
    const table = manual.split('\n').filter((line) => line.startsWith('|'))
    const rows = [HEADER, HEADER.map(() => '---'), ...settingRows()]
    expect(table).toEqual(rows.map((cells) => `| ${cells.join(' | ')} |`))
  })
})
