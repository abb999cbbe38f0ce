/**
 * Text as searching compares it: lower case, without diacritics, one space between words. The Turkish dotless ı counts
 * as i, so that both "cay odasi" and "ÇAY ODASI" find "Çay Odası".
 */
export function foldForSearch(text: string): string {
  return text.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase().replaceAll('ı', 'i').replace(/\s+/g, ' ').trim()
}

/** A slug made of a name: ASCII letters, digits and single hyphens, at most `maxLength`; empty if none remain. */
export function slugFrom(name: string, maxLength: number): string {
  return foldForSearch(name)
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, maxLength)
    .replace(/-+$/, '')
}
