const segmenter = new Intl.Segmenter('und', { granularity: 'grapheme' })

/** Code units that one character may have on average; text beyond is not writing but padding. */
const MAX_UNITS_PER_CHARACTER = 16

/**
 * The text's length in characters as people count them (Unicode grapheme clusters, UAX #29): an emoji with its joiners
 * is one. Stops counting beyond `max`; text of absurdly many marks per character counts as longer than `max`.
 */
export function countCharacters(text: string, max: number): number {
  // A character has at least one code unit, so that short text needs no segmenting.
  if (text.length <= max) return text.length
  if (text.length > max * MAX_UNITS_PER_CHARACTER) return max + 1
  let count = 0
  for (const _ of segmenter.segment(text)) if (++count > max) break
  return count
}

/** The first `max` characters, counted as above. */
export function firstCharacters(text: string, max: number): string {
  let count = 0
  for (const { index } of segmenter.segment(text)) if (count++ === max) return text.slice(0, index)
  return text
}
