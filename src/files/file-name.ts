import { firstCharacters } from '../platform/text.ts'

export const MAX_FILE_NAME_CHARACTERS = 200
const MAX_EXTENSION_CHARACTERS = 20
/** As it is called where nothing is left of its name. */
const NAMELESS = 'file'

/** Control characters, and those that turn the direction of text: `photo‮gpj.exe` is read as photoexe.jpg. */
const INVISIBLE_CONTROLS = /[\p{Cc}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu

/** The name as others will see it: any Unicode in one line, without folders, and its end kept where it is too long. */
export function cleanFileName(raw: string): string {
  const base = raw.toWellFormed().split(/[/\\]/).at(-1) ?? ''
  const name = base.replaceAll(INVISIBLE_CONTROLS, '').normalize('NFC').trim()
  if (/^[.\s]*$/.test(name)) return NAMELESS
  const shortened = firstCharacters(name, MAX_FILE_NAME_CHARACTERS)
  if (shortened === name) return name
  const extension = /\.[^.\s]+$/.exec(name)?.[0] ?? ''
  if (extension.length > MAX_EXTENSION_CHARACTERS) return shortened
  return firstCharacters(name, MAX_FILE_NAME_CHARACTERS - extension.length) + extension
}
