/** Words about a database for a person who starts the service: which one it is, never its password; and what is wrong. */

/** As `database sohbet at db.example.com:5432`. */
export function describeDatabase(connectionString: string): string {
  const { host, pathname } = new URL(connectionString)
  return `database ${decodeURIComponent(pathname.slice(1))} at ${host}`
}

/** A host with several addresses fails with one error for each, and with no message of its own. */
export function reasonOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(reasonOf).join('; ')
  return error instanceof Error && error.message !== '' ? error.message : String(error)
}

/** SQLSTATE: there is no such database. */
export const isAbsentDatabase = (error: unknown): boolean => Object(error).code === '3D000'
