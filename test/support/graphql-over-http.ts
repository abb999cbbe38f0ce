/** What a GraphQL server answers over HTTP. */
export interface Answer {
  status: number
  data: Record<string, unknown> | null
  errors: { message: string; path?: (string | number)[]; extensions: Record<string, unknown> }[]
  headers: Headers
}

/** One request, as plain as a client without any library would send it. */
export async function post(
  url: string,
  query: string,
  { token, variables, operationName }: { token?: string; variables?: object; operationName?: string } = {},
): Promise<Answer> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(token ? { authorization: `Bearer ${token}` } : {}) },
    body: JSON.stringify({ query, variables, operationName }),
    signal: AbortSignal.timeout(20_000),
  })
  const body = await response.json()
  return { status: response.status, data: body.data ?? null, errors: body.errors ?? [], headers: response.headers }
}
