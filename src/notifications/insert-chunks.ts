/** A statement has at most 65,535 parameters, and each of these rows takes some. */
const ROWS_PER_STATEMENT = 1_000

/** Inserts any number of rows, and returns what their inserts return. */
export async function inChunks<Row, Inserted>(
  rows: readonly Row[],
  insert: (chunk: readonly Row[]) => Promise<Inserted[]>,
): Promise<Inserted[]> {
  const inserted: Inserted[] = []
  for (let at = 0; at < rows.length; at += ROWS_PER_STATEMENT) {
    inserted.push(...(await insert(rows.slice(at, at + ROWS_PER_STATEMENT))))
  }
  return inserted
}
