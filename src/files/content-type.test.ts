import { describe, expect, it } from 'vitest'
import { frames, quadrants } from '../../test/support/image-samples.ts'
import { mp3, mp4, wav } from '../../test/support/media-samples.ts'
import { sniffContentType } from './content-type.ts'

const sniff = (file: Buffer | string) => {
  const bytes = typeof file === 'string' ? Buffer.from(file, 'latin1') : file
  return sniffContentType(bytes, bytes.length)
}

function utf16(text: string, order: 'LE' | 'BE', { mark = true } = {}): Buffer {
  const bytes = Buffer.from((mark ? '\ufeff' : '') + text, 'utf16le')
  return order === 'LE' ? bytes : bytes.swap16()
}

const HTML = '<html><script>alert(1)</script></html>'

describe('sniffContentType', () => {
  it('knows the pictures that it can decode', async () => {
    for (const format of ['jpeg', 'png', 'webp', 'gif', 'avif'] as const) {
      const contentType = `image/${format}`
      const file = await quadrants().toFormat(format).toBuffer()
      expect(await sniff(file)).toEqual({ contentType, kind: 'IMAGE', isInlineSafe: true })
    }
    expect(await sniff(await frames(3).gif().toBuffer())).toMatchObject({ contentType: 'image/gif', kind: 'IMAGE' })
  })

  it('takes a picture that it cannot decode for a download', async () => {
    const tiff = await quadrants().tiff().toBuffer()
    expect(await sniff(tiff)).toEqual({ contentType: 'image/tiff', kind: 'FILE', isInlineSafe: false })
    const heic = Buffer.concat([Buffer.from([0, 0, 0, 24]), Buffer.from('ftypheic\0\0\0\0mif1heic', 'latin1')])
    expect(await sniff(heic)).toEqual({ contentType: 'image/heic', kind: 'FILE', isInlineSafe: false })
  })

  it('knows sounds and films', async () => {
    expect(await sniff(wav(1))).toEqual({ contentType: 'audio/wav', kind: 'AUDIO', isInlineSafe: true })
    expect(await sniff(mp3(3))).toEqual({ contentType: 'audio/mpeg', kind: 'AUDIO', isInlineSafe: true })
    expect(await sniff(mp4())).toEqual({ contentType: 'video/mp4', kind: 'VIDEO', isInlineSafe: true })
  })

  it.each([
    ['a document', '<!DOCTYPE html><title>x</title>'],
    ['an element', HTML],
    ['a lone script', '<script>alert(1)</script>'],
    ['white space and comments before it', '\r\n\t <!-- a --><!-- b -->\n<BODY onload=alert(1)>'],
    ['zero bytes before it', `\0\0${HTML}`],
    ['binary behind it', `${HTML}\0\x01\x02`],
    ['a comment that does not end', '<!-- <script>alert(1)</script>'],
    ['an unknown element', '<x onclick=alert(1)>'],
    ['a closing tag', '</p><script>alert(1)</script>'],
    ['a mark of UTF-8', `\xef\xbb\xbf${HTML}`],
    ['UTF-16', utf16(HTML, 'LE')],
    ['UTF-16, the other way round', utf16(HTML, 'BE')],
    ['UTF-16 without a mark', utf16(HTML, 'LE', { mark: false })],
    ['UTF-16 without a mark, the other way round', utf16(HTML, 'BE', { mark: false })],
    ['XHTML', '<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><script>alert(1)</script></html>'],
  ])('sees HTML: %s', async (_case, file) => {
    expect(await sniff(file)).toEqual({ contentType: 'text/html', kind: 'FILE', isInlineSafe: false })
  })

  it.each([
    ['plain', '<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'],
    ['with everything before it', '<?xml version="1.0"?>\n<!-- c --><!DOCTYPE svg [<!ENTITY a "b">]>\n<svg/>'],
    ['with a prefix', '<s:svg xmlns:s="http://www.w3.org/2000/svg"><s:script>alert(1)</s:script></s:svg>'],
    ['as UTF-16', utf16('<?xml version="1.0"?><svg/>', 'BE')],
  ])('sees SVG, which is no image here: %s', async (_case, file) => {
    expect(await sniff(file)).toEqual({ contentType: 'image/svg+xml', kind: 'FILE', isInlineSafe: false })
  })

  it('sees other XML', async () => {
    const file = '<?xml version="1.0"?><?xml-stylesheet href="x.xsl"?><feed/>'
    expect(await sniff(file)).toEqual({ contentType: 'application/xml', kind: 'FILE', isInlineSafe: false })
  })

  it('lets text be shown that nobody could take for HTML', async () => {
    const shown = { contentType: 'text/plain', kind: 'FILE', isInlineSafe: true }
    expect(await sniff('Merhaba! 1 < 2, a <- b, <3\n')).toEqual(shown)
    expect(await sniff(Buffer.from('Günaydın, dünya 👋'))).toEqual(shown)
    // Cut in the middle of a character, as the beginning of a longer file is.
    expect(await sniffContentType(Buffer.from('ağ').subarray(0, 2), 1000)).toEqual(shown)
  })

  it.each([
    ['HTML further on', `Look:\n${HTML}`],
    ['an encoding that browsers guess', 'G\xfcnayd\xfdn'],
    ['UTF-16', utf16('Merhaba', 'LE')],
  ])('lets other text be downloaded only: %s', async (_case, file) => {
    expect(await sniff(file)).toEqual({ contentType: 'text/plain', kind: 'FILE', isInlineSafe: false })
  })

  it('knows JSON where it has all of it', async () => {
    expect(await sniff('{"a":[1]}')).toMatchObject({ contentType: 'application/json', isInlineSafe: false })
    expect(await sniffContentType(Buffer.from('{"a":[1]}'), 1000)).toMatchObject({ contentType: 'text/plain' })
  })

  it.each([
    ['GIF', 'GIF89a=1;alert(document.domain)//'],
    ['GIF, longer', `GIF87a/*${'x'.repeat(500)}*/=0;alert(1)`],
    ['bitmap', 'BM=1;alert(1)'],
    ['MP3', 'ID3=1;alert(1)'],
  ])('takes a script for text that begins like a %s', async (_case, file) => {
    expect(await sniff(file)).toMatchObject({ contentType: 'text/plain', kind: 'FILE' })
  })

  it('knows a PDF that is all text', async () => {
    const file = '%PDF-1.4\n1 0 obj\n<</Type/Catalog>>\nendobj\n'
    expect(await sniff(file)).toEqual({ contentType: 'application/pdf', kind: 'FILE', isInlineSafe: false })
  })

  it('calls everything else unknown', async () => {
    const unknown = { contentType: 'application/octet-stream', kind: 'FILE', isInlineSafe: false }
    expect(await sniff(Buffer.alloc(0))).toEqual(unknown)
    expect(await sniff(Buffer.from([1, 2, 3, 4]))).toEqual(unknown)
    expect(await sniff(Buffer.from([0x89, 0x50, 0]))).toEqual(unknown)
  })
})
