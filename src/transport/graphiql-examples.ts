/** Ready operations of GraphiQL, one a tab. */

const ROOM_ID = 'PASTE_THE_ID_OF_A_ROOM'

export const EXAMPLES: readonly { query: string; variables: object }[] = [
  {
    query: `# Who am I, and what is here?
query Rooms {
  viewer { id name }
  rooms(first: 20) {
    edges {
      node {
        id name topic memberCount
        presence { count }
      }
    }
  }
  activeRooms(first: 5) {
    edges {
      node {
        id name
        presence {
          count
          users { user { name } state }
        }
      }
    }
  }
}`,
    variables: {},
  },
  {
    query: `# Take the id from the answer to the other tabs.
mutation CreateRoom($input: CreateRoomInput!) {
  createRoom(input: $input) {
    __typename
    ... on CreateRoomSuccess {
      room { id name slug }
    }
    ... on Error { code message }
    ... on ValidationError {
      issues { path message limit }
    }
  }
}`,
    variables: { input: { name: 'Tea room', topic: 'Black or green?' } },
  },
  {
    query: `# Everything that happens in a room, live.
# Run it, then send a message from a second window.
subscription RoomEvents($roomId: ID!, $after: Int) {
  roomEvents(roomId: $roomId, after: $after) {
    __typename
    seq
    ... on MessageSent {
      message { id text author { name } createdAt }
    }
    ... on MessageDeleted { messageId }
    ... on MemberJoined { user { name } role }
    ... on MemberLeft { user { name } }
    ... on RoomUpdated { name topic }
    ... on ResyncRequired { fromSeq }
  }
}`,
    variables: { roomId: ROOM_ID },
  },
  {
    query: `# Only members write. Who made the room is one.
mutation JoinRoom($input: JoinRoomInput!) {
  joinRoom(input: $input) {
    __typename
    ... on JoinRoomSuccess {
      room { id name memberCount }
    }
    ... on Error { code message }
  }
}`,
    variables: { input: { roomId: ROOM_ID } },
  },
  {
    query: `mutation SendMessage($input: SendMessageInput!) {
  sendMessage(input: $input) {
    __typename
    ... on SendMessageSuccess {
      sentMessage { id seq text }
      presentCount
    }
    ... on Error { code message }
    ... on ValidationError {
      issues { path message limit }
    }
  }
}`,
    variables: { input: { roomId: ROOM_ID, text: 'Hello!' } },
  },
  {
    query: `query History($roomId: ID!, $before: String) {
  room(id: $roomId) {
    name
    messages(last: 50, before: $before) {
      edges {
        node {
          seq text createdAt deletedAt
          author { name }
          replyTo { text author { name } }
          attachments {
            name kind url
            renditions { width height url }
          }
        }
      }
      pageInfo { hasPreviousPage startCursor }
    }
  }
}`,
    variables: { roomId: ROOM_ID },
  },
  {
    query: `# Who is here and who types, live.
subscription RoomPresence($roomId: ID!) {
  roomPresence(roomId: $roomId) {
    __typename
    ... on PresenceSnapshot {
      presentCount
      present { user { name } state }
      typing { name }
    }
    ... on PresenceChanged {
      presentCount
      changes { user { name } state }
    }
    ... on TypingChanged { typing { name } }
  }
}`,
    variables: { roomId: ROOM_ID },
  },
  {
    query: `# What reaches me wherever I am, live.
# Run it, then let somebody else mention you: "Hello @Ada".
subscription ViewerEvents($after: Int) {
  viewerEvents(after: $after) {
    __typename
    seq
    ... on NotificationAdded {
      unreadCount
      notification { id kind text count }
    }
    ... on NotificationUpdated {
      unreadCount
      notification { id kind text count }
    }
    ... on NotificationsRead { unreadCount }
    ... on AttachmentProcessed {
      attachment { id name status refusal url }
    }
    ... on RoomGained { room { id name } }
    ... on RoomLost { roomId reason }
  }
}`,
    variables: {},
  },
  {
    query: `# My inbox, and what I want to be told of.
query Inbox {
  viewer {
    unreadNotificationCount
    notifications(first: 20) {
      edges {
        node {
          id kind text count createdAt readAt
          room { id name }
        }
      }
    }
    notificationSettings {
      level pushPrivacy
      doNotDisturb { start end timeZone days }
    }
  }
}`,
    variables: {},
  },
]
