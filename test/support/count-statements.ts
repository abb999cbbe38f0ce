// Every statement that the nodes of this process send to their database, with its text, as the driver is asked for it.

import pg from 'pg'

/** The nodes' own names for their connections, for people and for jobs: a test's own are not counted. */
type ApplicationName = 'sohbet' | 'sohbet-background'

export interface Statement {
  /** White space is one space. */
  text: string
  values: unknown[]
}

export interface StatementCounter {
  /** The texts of the statements since the start or the last call, in the order in which they were sent. */
  take(): string[]
  /** The same with their values. */
  takeStatements(): Statement[]
  stop(): void
}

/** Counts from now on, until stopped, what is sent to this database, on connections old and new. */
export function countStatements(databaseUrl: string, of: ApplicationName = 'sohbet'): StatementCounter {
  const database = decodeURIComponent(new URL(databaseUrl).pathname.slice(1))
  let sent: Statement[] = []
  const original = pg.Client.prototype.query
  const counting = function (this: pg.Client, ...args: unknown[]): unknown {
    if (this.database === database && applicationOf(this) === of) sent.push(toStatement(args[0]))
    return Reflect.apply(original, this, args)
  }
  // The driver has a dozen overloads; whatever comes in goes on unchanged.
  pg.Client.prototype.query = counting as typeof original
  const takeStatements = () => {
    const taken = sent
    sent = []
    return taken
  }
  return {
    take: () => takeStatements().map(({ text }) => text),
    takeStatements,
    stop() {
      pg.Client.prototype.query = original
    },
  }
}

function applicationOf(client: pg.Client): unknown {
  // Not in the driver's types, but where its clients keep what they were made with.
  const { connectionParameters } = client as { connectionParameters?: { application_name?: unknown } }
  return connectionParameters?.application_name
}

/** A statement comes as a text, or as an object that has one and, where it has parameters, their values. */
function toStatement(query: unknown): Statement {
  const { text, values } = typeof query === 'object' && query !== null ? Object(query) : { text: query }
  return { text: String(text).replaceAll(/\s+/g, ' ').trim(), values: Array.isArray(values) ? values : [] }
}
