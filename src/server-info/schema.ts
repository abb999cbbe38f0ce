import { builder } from '../graphql/builder.ts'
import { requireViewer } from '../graphql/context.ts'
import type { Health, ServerDescription, ServerInfo } from './service.ts'

declare module '../graphql/context.ts' {
  interface Services {
    readonly serverInfo: ServerInfo
  }
}

const ServerLimits = builder.objectRef<ServerDescription['limits']>('ServerLimits').implement({
  description: 'What this server accepts at most.',
  fields: (t) => ({
    messageCharacters: t.exposeInt('messageCharacters', {
      description: 'Characters of a message, counted as people count them.',
    }),
    requestBytes: t.exposeInt('requestBytes', { description: 'Bytes of an HTTP request’s body.' }),
    webSocketMessageBytes: t.exposeInt('webSocketMessageBytes', { description: 'Bytes of a message over WebSocket.' }),
    subscriptionsPerConnection: t.exposeInt('subscriptionsPerConnection', {
      description: 'Subscriptions that one WebSocket connection may hold.',
    }),
    pageSize: t.exposeInt('pageSize', { description: 'Objects on one page of a connection.' }),
    attachmentsPerMessage: t.exposeInt('attachmentsPerMessage', { description: 'Attachments of one message.' }),
    uploadBytes: t.exposeInt('uploadBytes', { description: 'Bytes of a file that comes by `uploadFile`.' }),
    fileBytes: t.exposeInt('fileBytes', { description: 'Bytes of a file that comes by tus, at `/uploads`.' }),
    fileBytesPerDay: t.exposeFloat('fileBytesPerDay', {
      description: 'Bytes that one user may upload in a day (UTC): a whole number, which may be larger than an Int.',
    }),
    fileTypes: t.field({
      type: ['String'],
      description: 'The types of files that are taken, as patterns: `*/*`, `image/*` or `application/pdf`.',
      resolve: ({ fileTypes }) => [...fileTypes],
    }),
    unsentFiles: t.exposeInt('unsentFiles', {
      description: 'Files of one user that are coming or wait to be sent.',
    }),
  }),
})

export const ServerInfoType = builder.objectRef<ServerDescription>('ServerInfo').implement({
  description: 'What this server is and can do.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Its name.' }),
    version: t.exposeString('version', { description: 'Its version (Semantic Versioning).' }),
    capabilities: t.field({
      type: ['String'],
      description: 'What it can do, by name, so that a client can ask before it relies on something.',
      resolve: ({ capabilities }) => [...capabilities],
    }),
    limits: t.field({
      type: ServerLimits,
      description: 'What it accepts at most.',
      resolve: ({ limits }) => limits,
    }),
  }),
})

const HealthState = builder.enumType('HealthState', {
  description: 'Whether something the server needs answers.',
  values: {
    UP: { description: 'It answers.' },
    DOWN: { description: 'It does not answer in time.' },
    NOT_USED: { description: 'This server runs without it.' },
  } as const,
})

const HealthType = builder.objectRef<Health>('Health').implement({
  description: 'The health of something that the server needs.',
  fields: (t) => ({
    state: t.expose('state', { type: HealthState, description: 'Whether it answers.' }),
    latencyMs: t.exposeFloat('latencyMs', {
      nullable: true,
      description: 'How long its answer took, in milliseconds; null without one.',
    }),
  }),
})

type Totals = Awaited<ReturnType<ServerInfo['countPresence']>>

const ServerStatus = builder.objectRef<{ totals: Totals }>('ServerStatus').implement({
  description: 'How the server is doing, over all its nodes.',
  fields: (t) => ({
    usersOnline: t.int({
      nullable: true,
      description: 'Users with a live connection; null while presence cannot be read.',
      resolve: ({ totals }) => totals?.usersOnline ?? null,
    }),
    activeRooms: t.int({
      nullable: true,
      description: 'Rooms that somebody is in; null while presence cannot be read.',
      resolve: ({ totals }) => totals?.activeRooms ?? null,
    }),
    participants: t.int({
      nullable: true,
      description: 'Users present, added up over those rooms; null while presence cannot be read.',
      resolve: ({ totals }) => totals?.participants ?? null,
    }),
    database: t.field({
      type: HealthType,
      description: 'Postgres.',
      resolve: (_status, _args, { serverInfo }) => serverInfo.checkDatabase(),
    }),
    redis: t.field({
      type: HealthType,
      description: 'Redis.',
      resolve: (_status, _args, { serverInfo }) => serverInfo.checkRedis(),
    }),
    time: t.field({
      type: 'DateTime',
      description: 'The node’s time.',
      resolve: (_status, _args, { serverInfo }) => serverInfo.now(),
    }),
  }),
})

builder.queryFields((t) => ({
  serverInfo: t.field({
    type: ServerInfoType,
    description: 'What this server is and can do. Needs no sign-in.',
    resolve: (_root, _args, { serverInfo }) => serverInfo.description,
  }),
  serverStatus: t.field({
    type: ServerStatus,
    description: 'How the server is doing.',
    resolve: async (_root, _args, context) => {
      requireViewer(context)
      return { totals: await context.serverInfo.countPresence() }
    },
  }),
}))
