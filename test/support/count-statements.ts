// Every statement that the nodes of this process send to their database, with its text, as the driver is asked for it.

import pg from 'pg'

/** The nodes' own name for their connections: a test's own are not counted. */
const APPLICATION_NAME = 'sohbet'

export interface StatementCounter {
  /** The statements since the start or the last call, in the order in which they were sent. White space is one space. */
  take(): string[]
  stop(): void
}

/** Counts from now on, until stopped, what is sent to this database, on connections old and new. */
export function countStatements(databaseUrl: string): StatementCounter {
  const database = decodeURIComponent(new URL(databaseUrl).pathname.slice(1))
  let texts: string[] = []
  const original = pg.Client.prototype.query
  const counting = function (this: pg.Client, ...args: unknown[]): unknown {
    if (this.database === database && applicationOf(this) === APPLICATION_NAME) texts.push(textOf(args[0]))
    return Reflect.apply(original, this, args)
  }
  // The driver has a dozen overloads; whatever comes in goes on unchanged.
  pg.Client.prototype.query = counting as typeof original
  return {
    take() {
      const taken = texts
      texts = []
      return taken
    },
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

/** A statement comes as a text, or as an object that has one. */
function textOf(query: unknown): string {
  const text = typeof query === 'object' && query !== null && 'text' in query ? query.text : query
  return String(text).replaceAll(/\s+/g, ' ').trim()
}
