const segmenter = new Intl.Segmenter('und', { granularity: 'grapheme' })

/** The first characters as people count them (grapheme clusters): an emoji with its joiners is one. */
export function firstCharacters(text: string, maxCharacters: number): string {
  let characters = 0
  for (const { index } of segmenter.segment(text)) {
    if (characters === maxCharacters) return text.slice(0, index)
    characters += 1
  }
  return text
}
