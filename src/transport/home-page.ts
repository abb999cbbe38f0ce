import { SIGN_IN_PARAMETER } from './graphiql.ts'
import { GRAPHQL_PATH } from './graphql-endpoint.ts'

export interface HomePageOptions {
  name: string
  version: string
  hasGraphiQL: boolean
  canSignIn: boolean
}

/** What a person sees who opens the server's address. */
export function homePage({ name, version, hasGraphiQL, canSignIn }: HomePageOptions): string {
  const graphiql = hasGraphiQL ? `<li><a href="${GRAPHQL_PATH}">GraphiQL</a>, to try the API</li>` : ''
  const signIn = canSignIn
    ? `<form method="get" action="${GRAPHQL_PATH}">
<label>Your name <input name="${SIGN_IN_PARAMETER}" value="Ada" maxlength="100" required autofocus></label>
<button type="submit">Open GraphiQL signed in</button>
</form>
<p>For programs: <code>POST /sign-in</code> with <code>{"name":"Ada"}</code> answers with a token, with <code>"operator":true</code> an operator’s. Only in development.</p>`
    : ''
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${name}</title>
<link rel="icon" href="data:,">
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:4rem auto;padding:0 1rem;color:#222}input,button{font:inherit;padding:.3rem .6rem}code{background:#f2f2f2;padding:.1rem .3rem}</style>
</head>
<body>
<h1>${name} <small>${version}</small></h1>
<p>A chat backend behind one GraphQL endpoint.</p>
${signIn}
<ul>
<li><code>${GRAPHQL_PATH}</code>: queries, mutations and subscriptions, over HTTP, server-sent events and WebSocket</li>
${graphiql}
<li><a href="/schema.graphql">schema.graphql</a>, for code generation</li>
<li><a href="/health">/health</a> and <a href="/ready">/ready</a>, for orchestrators</li>
</ul>
</body>
</html>
`
}
