/** A part of an ordered list: its bounds, exclusive, and the end that at most `limit` are taken from. */
export interface PageRange<Cursor> {
  readonly after: Cursor | null
  readonly before: Cursor | null
  readonly limit: number
  readonly from: 'start' | 'end'
}
