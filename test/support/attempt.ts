// A mutation that may be refused: what a client sees, whatever it is.

import type { ErrorCode } from '../../src/platform/errors.ts'
import { post } from './graphql-over-http.ts'
import type { Person } from './seed.ts'

export interface Issue {
  path: string
  message: string
  limit: number | null
}

/** The member of the result's union, or the GraphQL error's code where there was none. */
export type Attempted<T> = Partial<T> & {
  __typename: string
  code?: ErrorCode
  message?: string
  issues?: Issue[]
}

/** `selection` is what to read of the success; the fields that refusals have are always read. */
export async function attempt<T = object>(
  url: string,
  person: Pick<Person, 'token'>,
  field: string,
  input: object,
  selection = '__typename',
): Promise<Attempted<T>> {
  const type = field.charAt(0).toUpperCase() + field.slice(1)
  const query = `mutation ($input: ${type}Input!) { ${field}(input: $input) {
    __typename ... on ${type}Success { ${selection} }
    ... on Error { code message } ... on ValidationError { issues { path message limit } } } }`
  const { data, errors } = await post(url, query, { token: person.token, variables: { input } })
  // What a test reads is what its own selection asked for.
  if (data?.[field]) return data[field] as Attempted<T>
  throw new Error(`${field} gave no result: ${JSON.stringify(errors)}`)
}
