// The rules of direction of docs/architecture.md. Why this tool and this parser: docs/decisions/0002-boundaries-lint.md.
// test/schema/boundaries.test.ts plants a violation of every rule and expects each to be caught.

const KERNEL = ['events', 'graphql', 'platform', 'realtime', 'transport']

/** What each feature may import of other features. Whoever is not listed imports none; nobody imports notifications. */
const MAY_IMPORT = {
  users: [],
  auth: ['users'],
  rooms: ['auth', 'users'],
  messages: ['auth', 'users', 'rooms'],
  reactions: ['auth', 'users', 'rooms', 'messages'],
  'read-markers': ['auth', 'users', 'rooms', 'messages'],
  files: ['auth', 'users', 'rooms', 'messages', 'viewer-events'],
  // messages: how many are present stands in the answer to sendMessage, and presence adds that field from its own folder.
  presence: ['auth', 'users', 'rooms', 'messages'],
  typing: ['auth', 'users', 'rooms', 'presence'],
  'viewer-events': ['auth', 'users', 'rooms', 'messages', 'read-markers'],
  live: [
    'auth',
    'users',
    'rooms',
    'messages',
    'reactions',
    'read-markers',
    'files',
    'presence',
    'typing',
    'viewer-events',
  ],
  operations: ['auth'],
  'server-info': ['auth', 'users', 'rooms', 'messages', 'presence'],
  notifications: [
    'auth',
    'users',
    'rooms',
    'messages',
    'reactions',
    'read-markers',
    'files',
    'presence',
    'viewer-events',
    // What browsers subscribe to Web Push with stands in serverInfo.
    'server-info',
  ],
}

const anyOf = (names) => `(?:${names.join('|')})`
const TYPE_ONLY = ['type-only', 'type-import']

/** app.ts and the files beside it that it is split into. */
const COMPOSITION = String.raw`^src/(?:app|open-[a-z-]+)\.ts$`
/** The programs; serve.ts is main.ts once the Node is known to be fit. */
const ENTRY_POINT = String.raw`^src/(?:main|serve|migrate)\.ts$`
const GENERATED = '^src/generated/'
const KERNEL_FILE = `^src/${anyOf(KERNEL)}/`
const FEATURE_FILE = `^src/(?!${anyOf([...KERNEL, 'generated'])}/)[^/]+/`

/** File names of the layers inside a feature; each may carry more words, as in `room-service.ts` or `schema-inputs.ts`. */
const layer = (...names) => String.raw`[/-]${anyOf(names)}(?:-[a-z-]+|)\.ts$`
const inFeature = (...names) => `^src/(?!${anyOf([...KERNEL, 'generated'])}/).+${layer(...names)}`
const SCHEMA = inFeature('schema', 'mutations', 'queries', 'subscriptions')
const STORE = inFeature('store')
/** What a feature shows to other features. */
const FACE = layer('service', 'policy', 'types', 'record', 'event', 'events', 'errors', 'schema')

const ADAPTER = String.raw`^src/.+(?:-(?:memory|redis|disk|s3)|/embedded-postgres)\.ts$`
const GRAPHQL = '(?:^src/graphql/|node_modules/(?:graphql|graphql-yoga|graphql-ws|@graphql-yoga/[^/]+|@pothos/[^/]+)/)'
const PRISMA = String.raw`(?:${GENERATED}|^src/platform/(?:db|database|prisma)[a-z-]*\.ts$|node_modules/(?:@prisma/[^/]+|pg)/)`
const REDIS_CLIENT = 'node_modules/ioredis/'

const forbid = (name, comment, from, to) => ({ name, comment, severity: 'error', from, to })

const directions = Object.entries(MAY_IMPORT).map(([feature, others]) =>
  forbid(
    `${feature}-direction`,
    `${feature}/ may import ${others.length > 0 ? others.join(', ') : 'no feature'}.`,
    { path: `^src/${feature}/` },
    { path: FEATURE_FILE, pathNot: [`^src/${anyOf([feature, ...others])}/`] },
  ),
)

export default {
  forbidden: [
    // 1. Only app.ts constructs adapters and reads the configuration.
    forbid(
      'adapters-in-app-only',
      'Twins (memory, Redis, disk, embedded Postgres) are picked in app.ts; everybody else sees the port.',
      { path: '^src/', pathNot: [COMPOSITION, ADAPTER] },
      { path: ADAPTER },
    ),
    forbid(
      'redis-in-adapters-only',
      'Redis is spoken in files that say so by their name, and constructed in app.ts.',
      { path: '^src/', pathNot: [COMPOSITION, layer('redis')] },
      { path: REDIS_CLIENT },
    ),
    forbid(
      'configuration-comes-in',
      'Settings are passed in as arguments; only the composition and the entry points hold the configuration.',
      { path: '^src/[^/]+/' },
      { path: String.raw`^src/config[a-z-]*\.ts$`, dependencyTypesNot: TYPE_ONLY },
    ),
    forbid(
      'composition-is-the-top',
      'Nothing imports the composition root or an entry point, but an entry point the root.',
      { path: '^src/', pathNot: [ENTRY_POINT, COMPOSITION] },
      { path: [COMPOSITION, ENTRY_POINT] },
    ),

    // 2. Feature -> kernel, never back.
    forbid(
      'kernel-knows-no-feature',
      'The kernel knows no feature; graphql/schema.ts (imports only) and the registry of event types are the exceptions.',
      { path: KERNEL_FILE, pathNot: [String.raw`^src/graphql/schema\.ts$`, String.raw`^src/events/room-event\.ts$`] },
      { path: FEATURE_FILE },
    ),
    forbid(
      'event-registry-is-types-only',
      'The registry of events takes types from features, nothing that runs.',
      { path: String.raw`^src/events/room-event\.ts$` },
      { path: FEATURE_FILE, dependencyTypesNot: TYPE_ONLY },
    ),
    forbid(
      'platform-is-the-ground',
      'platform/ imports no other part of the kernel.',
      { path: '^src/platform/' },
      { path: KERNEL_FILE, pathNot: ['^src/platform/'] },
    ),
    forbid(
      'events-know-no-transport',
      'The log knows neither GraphQL nor sockets.',
      { path: '^src/events/' },
      { path: ['^src/transport/', GRAPHQL] },
    ),

    forbid(
      'event-sources-in-app-only',
      'A source of events is read by the log alone: app.ts hands it over.',
      { path: '^src/', pathNot: [COMPOSITION] },
      { path: layer('event-source') },
    ),

    // 3. schema -> service -> store.
    forbid(
      'services-know-no-graphql',
      'A service, a store or a policy reaches no GraphQL, not even through what it imports.',
      { path: inFeature('service', 'store', 'policy') },
      { path: [GRAPHQL, SCHEMA], reachable: true },
    ),
    forbid(
      'schema-asks-the-service',
      'A schema file takes rows from its service, never from a store.',
      { path: SCHEMA },
      { path: STORE, dependencyTypesNot: TYPE_ONLY },
    ),
    forbid(
      'schema-holds-no-database',
      'A schema file takes no database client; generated types and enums are fine.',
      { path: SCHEMA },
      { path: PRISMA, pathNot: [String.raw`^src/generated/prisma/enums\.ts$`], dependencyTypesNot: TYPE_ONLY },
    ),
    forbid(
      'store-decides-nothing',
      'A store imports neither a service nor a policy.',
      { path: STORE },
      { path: inFeature('service', 'policy') },
    ),

    // 4. Between features.
    forbid(
      'features-meet-at-their-faces',
      'Of another feature only types, and what stands in its service, policy, schema, records, events and errors.',
      { path: '^src/([^/]+)/', pathNot: [KERNEL_FILE] },
      { path: FEATURE_FILE, pathNot: ['^src/$1/', FACE], dependencyTypesNot: TYPE_ONLY },
    ),
    ...directions,
    forbid(
      'feature-is-listed',
      'A new feature declares what it may import: add it to MAY_IMPORT.',
      { path: FEATURE_FILE, pathNot: [`^src/${anyOf(Object.keys(MAY_IMPORT))}/`] },
      { path: '.' },
    ),

    // 5. realtime/ is blind to what it carries.
    forbid(
      'realtime-is-opaque',
      'realtime/ imports neither Prisma nor GraphQL nor any part of the house but platform/.',
      { path: '^src/realtime/' },
      { path: [GRAPHQL, PRISMA, '^src/'], pathNot: ['^src/(?:realtime|platform)/(?!db|database|prisma)'] },
    ),

    // 7. No drawers.
    forbid(
      'no-drawers',
      'No utils, no helpers, no barrels: name a file by what it does.',
      { path: '^src/' },
      {
        path: String.raw`^src/.*\b(?:utils|util|helpers|helper|common|misc|index)(?:/|\.ts$)`,
        pathNot: [GENERATED],
      },
    ),

    // And what keeps any house standing.
    forbid(
      'no-cycles',
      'Files import each other in one direction.',
      { path: '^src/', pathNot: [GENERATED] },
      { circular: true },
    ),
    forbid(
      'no-orphans',
      'A file that nobody imports and that imports nobody is dead.',
      { orphan: true, path: '^src/', pathNot: [ENTRY_POINT, GENERATED] },
      {},
    ),
    forbid(
      'source-runs-without-dev-packages',
      'The service is installed without devDependencies.',
      { path: '^src/' },
      { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'] },
    ),
    forbid(
      'source-stands-alone',
      'src/ imports no test, script or bench.',
      { path: '^src/' },
      { path: '^(?:test|scripts|bench)/' },
    ),
    forbid(
      'imports-resolve',
      'An import that does not resolve hides an edge. Generated sources are made by the build.',
      { path: '^src/' },
      { couldNotResolve: true, pathNot: ['generated/'] },
    ),
  ],
  options: {
    // TypeScript 7 has no compiler API for the default parser; swc sees type imports as well.
    parser: 'swc',
    exclude: { path: String.raw`\.test\.ts$` },
    doNotFollow: { path: ['node_modules', GENERATED] },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default', 'types'] },
  },
}
