import type { GraphiQLOptions, YogaServerOptions } from 'graphql-yoga'
import { ValidationError } from '../platform/errors.ts'
import { EXAMPLES } from './graphiql-examples.ts'
import type { IssueToken } from './sign-in-route.ts'

export interface GraphiQLSettings {
  /** A token for this name, where signing in by name is possible; else null. */
  issueToken: IssueToken | null
}

type Options = Pick<YogaServerOptions<object, object>, 'graphiql' | 'renderGraphiQL'>

/** What the page gets: GraphiQL's options; what its WebSocket introduces itself with; what the sign-in bar says. */
interface PageOptions extends GraphiQLOptions {
  connectionParams?: Record<string, string>
  signIn?: SignIn
}

interface SignIn {
  token: string | null
  /** As asked for; empty where nobody is to be signed in. */
  name: string
  isOperator: boolean
  /** Who is signed in, or why nobody is. */
  says: string
}

/** The query parameter that signs GraphiQL in, in development: /graphql?as=Ada. */
export const SIGN_IN_PARAMETER = 'as'
/** The query parameter that makes them an operator: /graphql?as=Ada&operator=true. */
const OPERATOR_PARAMETER = 'operator'

/** GraphiQL at the endpoint itself, from this server alone: it needs no internet. */
export function createGraphiQL(settings: GraphiQLSettings | null): Options {
  if (!settings) return { graphiql: false }
  const { issueToken } = settings
  return {
    graphiql: async (request) => {
      const { searchParams } = new URL(request.url)
      const name = searchParams.get(SIGN_IN_PARAMETER) ?? ''
      const isOperator = searchParams.get(OPERATOR_PARAMETER) === 'true'
      const signIn = issueToken ? await signInAs(name, isOperator, issueToken) : undefined
      // Beside the Headers tab, not in it: GraphiQL forgets those headers when the page is loaded again.
      const authorized: Record<string, string> = signIn?.token ? { authorization: `Bearer ${signIn.token}` } : {}
      const options: PageOptions = {
        title: 'Sohbet',
        subscriptionsProtocol: 'WS',
        additionalHeaders: authorized,
        connectionParams: authorized,
        defaultTabs: EXAMPLES.map(({ query, variables }) => ({ query, variables: JSON.stringify(variables, null, 2) })),
        defaultEditorToolsVisibility: 'variables',
        shouldPersistHeaders: false,
        inputValueDeprecation: true,
        schemaDescription: true,
        signIn,
      }
      return options
    },
    renderGraphiQL: async ({ signIn, ...options }: PageOptions) => {
      // Nine megabytes of page: only who opens it pays for it.
      const { renderGraphiQL } = await import('@graphql-yoga/render-graphiql')
      const more = `${MEND_TABS}${signIn ? signInBar(signIn) : ''}`
      return renderGraphiQL(options).replace(/<body[^>]*>/, (body) => `${body}${more}`)
    },
  }
}

async function signInAs(name: string, isOperator: boolean, issueToken: IssueToken): Promise<SignIn> {
  if (name === '') return { token: null, name, isOperator, says: 'Not signed in.' }
  try {
    const says = `Signed in as ${name.trim()}${isOperator ? ', an operator' : ''}.`
    return { token: await issueToken(name, { isOperator }), name, isOperator, says }
  } catch (error) {
    if (!(error instanceof ValidationError)) throw error
    return { token: null, name: '', isOperator, says: `Not signed in. ${error.message}` }
  }
}

/** Above GraphiQL, where it covers nothing. */
function signInBar({ name, isOperator, says }: SignIn): string {
  return `<style>
body { display: flex; flex-direction: column; height: 100vh }
#root { flex: 1; min-height: 0 }
#root .graphiql-container { height: 100% }
#sign-in { display: flex; gap: 8px; align-items: center; padding: 6px 16px; font: 14px system-ui, sans-serif }
#sign-in output { flex: 1 }
#sign-in :is(input, button) { font: inherit; padding: 2px 8px }
</style>
<form id="sign-in" method="get"><output>${escapeHtml(says)}</output>
<label>Name <input name="${SIGN_IN_PARAMETER}" value="${escapeHtml(name || 'Ada')}" maxlength="100" size="16" required></label>
<label><input type="checkbox" name="${OPERATOR_PARAMETER}" value="true"${isOperator ? ' checked' : ''}> operator</label>
<button>Sign in</button></form>`
}

const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)

/**
 * GraphiQL moves a tab that is pressed to where it was first laid out, away from the mouse, so that no click comes of it.
 * And it keeps its tabs, but opens one more with every load unless the last operation that it remembers is one of them.
 */
const MEND_TABS = `<style>.graphiql-container .graphiql-tab { transform: none !important }</style>
<script>
try {
  const { tabs, activeTabIndex } = JSON.parse(localStorage.getItem('graphiql:tabState'))
  const url = new URL(location.href)
  const linked = url.searchParams.get('query')
  const tab = tabs[linked === null ? activeTabIndex : tabs.findIndex(({ query }) => query === linked)]
  if (tab) {
    url.searchParams.delete('query')
    history.replaceState({}, '', url)
    localStorage.setItem('graphiql:query', tab.query ?? '')
    localStorage.setItem('graphiql:variables', tab.variables ?? '')
  }
} catch {} // nothing is kept yet
</script>`
