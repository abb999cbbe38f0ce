/**
 * What text is: markup that a browser would run, or text that it only shows. Judged like the browsers' own sniffing
 * judges, and more strictly: whatever might be taken for HTML anywhere is HTML here.
 */

/** White space and zero bytes, which lenient parsers skip. */
const LEADING = /^[\s\0\ufeff]+/
const ELEMENT = /^<\/?(?:([a-z_][\w.-]{0,99}):)?([a-z_][\w.-]{0,99})/i
/** The tags by which sniffers know HTML, wherever they stand in the text. */
const HTML_ANYWHERE =
  /<(?:!doctype|html|head|body|script|iframe|object|embed|svg|math|img|style|title|table|div|font|meta|link|form|base|h1|br|a|b|p)[\s/>]/i
/** As far as any sniffer looks, and some. */
const SNIFFED_CHARACTERS = 4096

interface DecodedText {
  text: string
  /** Well-formed UTF-8 without control characters: what a browser shows as it is meant. */
  isPlainUtf8: boolean
}

export interface TextType {
  contentType: string
  isInlineSafe: boolean
}

/** Null where the bytes are no text. Never null where they begin like markup. */
export function findTextType(head: Buffer, isWhole: boolean): TextType | null {
  const decoded = decode(head)
  const markup = findMarkup(decoded.text)
  if (markup !== null) return { contentType: markup, isInlineSafe: false }
  if (!looksLikeText(head, decoded.text)) return null
  if (isWhole && isJson(decoded.text)) return { contentType: 'application/json', isInlineSafe: false }
  const mayBeTakenForHtml = HTML_ANYWHERE.test(decoded.text.slice(0, SNIFFED_CHARACTERS))
  return { contentType: 'text/plain', isInlineSafe: decoded.isPlainUtf8 && !mayBeTakenForHtml }
}

function decode(head: Buffer): DecodedText {
  const encoding = wideEncoding(head)
  if (encoding !== null) return { text: new TextDecoder(encoding).decode(head), isPlainUtf8: false }
  try {
    // As a stream: the head may end in the middle of a character.
    const text = new TextDecoder('utf-8', { fatal: true }).decode(head, { stream: true })
    return { text, isPlainUtf8: !hasControls(text) }
  } catch {
    return { text: head.toString('latin1'), isPlainUtf8: false }
  }
}

/** By the byte order mark; without one, by every other byte of the beginning being zero. */
function wideEncoding(head: Buffer): 'utf-16le' | 'utf-16be' | null {
  if (head[0] === 0xff && head[1] === 0xfe) return 'utf-16le'
  if (head[0] === 0xfe && head[1] === 0xff) return 'utf-16be'
  const start = head.subarray(0, Math.min(head.length, 64) & ~1)
  if (start.length < 4) return null
  const isZero = [0, 0]
  for (const [index, byte] of start.entries()) if (byte === 0) isZero[index & 1] = (isZero[index & 1] ?? 0) + 1
  const half = start.length / 2
  if (isZero[0] === 0 && (isZero[1] ?? 0) >= half * 0.75) return 'utf-16le'
  if (isZero[1] === 0 && (isZero[0] ?? 0) >= half * 0.75) return 'utf-16be'
  return null
}

/** The type of a document that begins with markup, whatever stands before its first element. */
function findMarkup(text: string): string | null {
  const document = text.replace(LEADING, '')
  if (!document.startsWith('<')) return null
  const { doctype, rest } = skipPreamble(document)
  const name = ELEMENT.exec(rest)?.[2]?.toLowerCase() ?? ''
  if (name === 'svg' || (rest === '' && doctype === 'svg')) return 'image/svg+xml'
  if (doctype === 'html' || name === 'html') return 'text/html'
  if (/^<\?xml\s/i.test(document) && rest !== '') return 'application/xml'
  // `<3` and `<-` are no markup. Any element may be HTML's, and so may what follows a comment that does not end here.
  return name !== '' || doctype !== '' || rest === '' ? 'text/html' : null
}

/** What follows the comments, declarations and processing instructions; nothing where one of them does not end. */
function skipPreamble(document: string): { doctype: string; rest: string } {
  let doctype = ''
  for (let rest = document; ; ) {
    const end = endOfPreamble(rest)
    if (end === null) return { doctype, rest }
    doctype ||= /^<!doctype\s+([\w:.-]{1,100})/i.exec(rest)?.[1]?.toLowerCase() ?? ''
    if (end === -1) return { doctype, rest: '' }
    rest = rest.slice(end).replace(LEADING, '')
  }
}

/** Where the comment, declaration or processing instruction ends with which the text begins; -1 where it does not end. */
function endOfPreamble(text: string): number | null {
  if (text.startsWith('<!--')) return endAfter(text, '-->')
  if (text.startsWith('<?')) return endAfter(text, '?>')
  if (!/^<!doctype/i.test(text)) return null
  const close = text.indexOf('>')
  const bracket = text.indexOf('[')
  // A document type with declarations of its own.
  return bracket !== -1 && bracket < close ? endAfter(text, ']>') : endAfter(text, '>')
}

function endAfter(text: string, mark: string): number {
  const index = text.indexOf(mark)
  return index === -1 ? -1 : index + mark.length
}

function looksLikeText(head: Buffer, text: string): boolean {
  return head.length > 0 && !hasControls(text)
}

/** The bytes that make sniffers say "binary". */
function hasControls(text: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: it is them that are looked for
  return /[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]/.test(text)
}

function isJson(text: string): boolean {
  if (!/^[\s\ufeff]*[[{]/.test(text)) return false
  try {
    JSON.parse(text.replace(/^\ufeff/, ''))
    return true
  } catch {
    return false
  }
}
