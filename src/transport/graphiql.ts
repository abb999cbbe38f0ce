import type { YogaServerOptions } from 'graphql-yoga'

export interface GraphiQLSettings {
  /** A token for this name, where signing in by name is possible; else null. */
  issueToken: ((name: string) => Promise<string>) | null
}

type Options = Pick<YogaServerOptions<object, object>, 'graphiql' | 'renderGraphiQL'>

/** The query parameter that signs GraphiQL in, in development: /graphql?as=Ada. */
export const SIGN_IN_PARAMETER = 'as'

/** GraphiQL at the endpoint itself, from this server alone: it needs no internet. */
export function createGraphiQL(settings: GraphiQLSettings | null): Options {
  if (!settings) return { graphiql: false }
  return {
    graphiql: async (request) => {
      const name = new URL(request.url).searchParams.get(SIGN_IN_PARAMETER)
      const token = name && settings.issueToken ? await settings.issueToken(name) : null
      const headers = token ? JSON.stringify({ authorization: `Bearer ${token}` }, null, 2) : '{}'
      return {
        title: 'Sohbet',
        subscriptionsProtocol: 'WS',
        defaultTabs: EXAMPLES.map(({ query, variables }) => ({ query, variables, headers })),
        headers,
        defaultHeaders: headers,
        defaultEditorToolsVisibility: 'variables',
        shouldPersistHeaders: false,
        inputValueDeprecation: true,
        schemaDescription: true,
      }
    },
    renderGraphiQL: async (options) => {
      // Nine megabytes of page: only who opens it pays for it.
      const { renderGraphiQL } = await import('@graphql-yoga/render-graphiql')
      const page = renderGraphiQL(options)
      return settings.issueToken ? page.replace(/<body[^>]*>/, (body) => `${body}${SIGN_IN_BAR}`) : page
    },
  }
}

const SIGN_IN_BAR = `<form method="get" style="position:fixed;bottom:12px;right:12px;z-index:99;font:14px sans-serif;background:#fff;color:#222;padding:8px;border:1px solid #999;border-radius:6px">
<label>Sign in as <input name="${SIGN_IN_PARAMETER}" value="Ada" maxlength="100" size="12" required></label>
<button type="submit">Sign in</button></form>`

const roomVariables = JSON.stringify({ roomId: 'the id of a room: run Rooms first' }, null, 2)

/** Ready operations, one a tab. */
const EXAMPLES: { query: string; variables: string }[] = [
  {
    query: `# Who am I, and what is here? Sign in with the form at the lower right.
query Rooms {
  viewer { id name }
  rooms(first: 20) {
    edges { node { id name topic memberCount presence { count } } }
  }
  activeRooms(first: 5) { edges { node { id name presence { count users { user { name } state } } } } }
}`,
    variables: '{}',
  },
  {
    query: `mutation CreateRoom($input: CreateRoomInput!) {
  createRoom(input: $input) {
    __typename
    ... on CreateRoomSuccess { room { id name slug } }
    ... on Error { code message }
    ... on ValidationError { issues { path message limit } }
  }
}`,
    variables: JSON.stringify({ input: { name: 'Tea room', topic: 'Black or green?' } }, null, 2),
  },
  {
    query: `# Everything that happens in a room, live. Open it, then send a message from another tab.
subscription RoomEvents($roomId: ID!, $after: Int) {
  roomEvents(roomId: $roomId, after: $after) {
    __typename
    seq
    ... on MessageSent { message { id text author { name } createdAt } }
    ... on MemberJoined { user { name } role }
    ... on MemberLeft { user { name } }
    ... on RoomUpdated { name topic }
    ... on ResyncRequired { fromSeq }
  }
}`,
    variables: roomVariables,
  },
  {
    query: `mutation SendMessage($input: SendMessageInput!) {
  sendMessage(input: $input) {
    __typename
    ... on SendMessageSuccess { sentMessage { id seq text } presentCount }
    ... on Error { code message }
    ... on ValidationError { issues { path message limit } }
  }
}`,
    variables: JSON.stringify(
      { input: { roomId: 'the id of a room: run Rooms first', text: 'Hello!', clientMessageId: 'one-of-my-own' } },
      null,
      2,
    ),
  },
  {
    query: `query History($roomId: ID!, $before: String) {
  room(id: $roomId) {
    name
    messages(last: 50, before: $before) {
      edges { node { seq text author { name } createdAt replyTo { text author { name } } } }
      pageInfo { hasPreviousPage startCursor }
    }
  }
}`,
    variables: roomVariables,
  },
  {
    query: `subscription RoomPresence($roomId: ID!) {
  roomPresence(roomId: $roomId) {
    __typename
    ... on PresenceSnapshot { presentCount present { user { name } state } typing { name } }
    ... on PresenceChanged { presentCount changes { user { name } state } }
    ... on TypingChanged { typing { name } }
  }
}`,
    variables: roomVariables,
  },
]
