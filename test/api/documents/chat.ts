// The operations of a small chat client. Fragments have no name here: operations find them by theirs, in GraphQL.

import { graphql } from '../../generated/gql.ts'

graphql(`
  fragment UserParts on User {
    id
    name
    avatarUrl
    statusText
  }
`)

graphql(`
  fragment MessageParts on Message {
    id
    seq
    text
    createdAt
    clientMessageId
    author {
      ...UserParts
    }
    replyTo {
      id
      text
    }
  }
`)

graphql(`
  fragment RoomParts on Room {
    id
    kind
    name
    slug
    topic
    memberCount
    lastSeq
  }
`)

graphql(`
  fragment Refusal on Error {
    code
    message
    ... on ValidationError {
      issues {
        path
        message
        limit
      }
    }
  }
`)

graphql(`
  fragment FeedItemParts on RoomFeedItem {
    __typename
    seq
    ... on RoomEvent {
      at
      roomId
    }
    ... on MessageSent {
      message {
        ...MessageParts
      }
    }
    ... on MemberJoined {
      user {
        ...UserParts
      }
      role
    }
  }
`)

export const Viewer = graphql(`
  query Viewer {
    viewer {
      ...UserParts
    }
  }
`)

export const CreateRoom = graphql(`
  mutation CreateRoom($input: CreateRoomInput!) {
    createRoom(input: $input) {
      __typename
      ... on CreateRoomSuccess {
        room {
          ...RoomParts
        }
      }
      ...Refusal
    }
  }
`)

export const JoinRoom = graphql(`
  mutation JoinRoom($input: JoinRoomInput!) {
    joinRoom(input: $input) {
      __typename
      ... on JoinRoomSuccess {
        room {
          ...RoomParts
        }
        membership {
          role
          joinedAt
        }
      }
      ...Refusal
    }
  }
`)

export const SendMessage = graphql(`
  mutation SendMessage($input: SendMessageInput!) {
    sendMessage(input: $input) {
      __typename
      ... on SendMessageSuccess {
        sentMessage {
          ...MessageParts
        }
        presentCount
      }
      ...Refusal
    }
  }
`)

export const History = graphql(`
  query History($roomId: ID!, $last: Int, $before: String) {
    room(id: $roomId) {
      ...RoomParts
      messages(last: $last, before: $before) {
        edges {
          cursor
          node {
            ...MessageParts
          }
        }
        pageInfo {
          hasNextPage
          hasPreviousPage
          startCursor
          endCursor
        }
      }
    }
  }
`)

export const AnyNode = graphql(`
  query AnyNode($id: ID!) {
    node(id: $id) {
      __typename
      id
      ...RoomParts
      ...MessageParts
      ...UserParts
    }
  }
`)

export const RoomEvents = graphql(`
  subscription RoomEvents($roomId: ID!, $after: Int) {
    roomEvents(roomId: $roomId, after: $after) {
      ...FeedItemParts
    }
  }
`)

export const MessageAdded = graphql(`
  subscription MessageAdded($roomId: ID!, $after: Int) {
    messageAdded(roomId: $roomId, after: $after) {
      ...MessageParts
    }
  }
`)
