// Postgres, Redis and some nodes, with a proxy before everything that talks over the network: each node has its own way
// to Postgres and to Redis, and clients have one way to each node.

import pg from 'pg'
import webPush from 'web-push'
import { FaultNode, FaultPostgres, FaultRedis } from './processes.ts'
import { TcpProxy } from './tcp-proxy.ts'

export const SECRET = 'a secret of the fault suite, long enough for HS256'

/** Short times, so that what has to expire does within the run. */
const SETTINGS = {
  HOST: '127.0.0.1',
  PORT: '0',
  JWT_SECRET: SECRET,
  LOG_LEVEL: 'info',
  SWEEP_INTERVAL_MS: '1000',
  WS_KEEPALIVE_MS: '3000',
  DRAIN_WINDOW_MS: '1000',
  PRESENCE_TTL_MS: '6000',
  PRESENCE_GRACE_MS: '500',
  PRESENCE_COALESCE_MS: '100',
  NOTIFICATION_WINDOW_MS: '2000',
  OUTBOUND_PRIVATE_ADDRESSES: 'allow',
  OUTBOUND_TIMEOUT_MS: '1500',
  DELIVERY_RETRY_FIRST_MS: '200',
}

/** Longer than a node waits for a webhook or a push service. */
export const LATE_MS = 2_000

const NODE_STARTS = 10

export interface Member {
  readonly node: FaultNode
  readonly sockets: TcpProxy
  readonly toPostgres: TcpProxy
  readonly toRedis: TcpProxy
}

export interface ClusterOptions {
  /** Hears of nodes that end by themselves; they are started again. */
  onAccident: (what: string) => void
  /** Of all nodes, beside the usual ones. */
  settings: Readonly<Record<string, string>>
}

export class Cluster {
  readonly postgres: FaultPostgres
  readonly redis: FaultRedis
  readonly members: Member[] = []
  readonly #onAccident: (what: string) => void
  readonly #keys = webPush.generateVAPIDKeys()
  readonly #more: Readonly<Record<string, string>>
  #isStopping = false

  private constructor(postgres: FaultPostgres, redis: FaultRedis, { onAccident, settings }: ClusterOptions) {
    this.#onAccident = onAccident
    this.#more = settings
    this.postgres = postgres
    this.redis = redis
  }

  static async start(nodes: number, options: ClusterOptions): Promise<Cluster> {
    const postgres = await FaultPostgres.start()
    const redis = await FaultRedis.start().catch(async (error) => {
      await postgres.stop()
      throw error
    })
    const cluster = new Cluster(postgres, redis, options)
    try {
      for (let index = 0; index < nodes; index++) await cluster.#addMember(`node ${index + 1}`)
    } catch (error) {
      await cluster.stop()
      throw error
    }
    return cluster
  }

  /** Of the members that are up. */
  get running(): Member[] {
    return this.members.filter(({ node }) => node.url !== null)
  }

  get proxies(): TcpProxy[] {
    return this.members.flatMap(({ sockets, toPostgres, toRedis }) => [sockets, toPostgres, toRedis])
  }

  /** After an end of Postgres. */
  async restartPostgres(): Promise<void> {
    await this.postgres.restart()
    for (const { toPostgres } of this.members) toPostgres.retarget(this.postgres.port)
  }

  /** As an orchestrator does: what the node needs may be away at the first attempts. */
  async startNode({ node, sockets }: Member): Promise<void> {
    for (let start = 1; node.url === null && !this.#isStopping; start++) {
      try {
        await node.start()
      } catch (error) {
        if (start === NODE_STARTS) throw error
      }
    }
    if (node.url !== null) sockets.retarget(Number(new URL(node.url).port))
  }

  /** On a connection past the proxies. */
  async query<Row extends pg.QueryResultRow>(sql: string, values: unknown[] = []): Promise<Row[]> {
    const client = new pg.Client({
      connectionString: this.postgres.url,
      connectionTimeoutMillis: 10_000,
      query_timeout: 60_000,
      application_name: 'faults',
    })
    client.on('error', () => {})
    try {
      await client.connect()
      return (await client.query<Row>(sql, values)).rows
    } finally {
      await client.end().catch(() => {})
    }
  }

  heal(): void {
    for (const proxy of this.proxies) proxy.heal()
  }

  async stop(): Promise<void> {
    this.#isStopping = true
    this.heal()
    await Promise.allSettled(this.members.map(({ node }) => node.end('SIGKILL')))
    await Promise.allSettled([...this.proxies.map((proxy) => proxy.close()), this.redis.stop(), this.postgres.stop()])
  }

  async #addMember(name: string): Promise<void> {
    const toPostgres = await TcpProxy.start({ targetPort: this.postgres.port })
    const toRedis = await TcpProxy.start({ targetPort: this.redis.port, isRedis: true })
    const url = new URL(this.postgres.url)
    url.port = String(toPostgres.port)
    const vapid = { VAPID_PUBLIC_KEY: this.#keys.publicKey, VAPID_PRIVATE_KEY: this.#keys.privateKey }
    const settings = {
      ...{ ...SETTINGS, ...vapid, VAPID_SUBJECT: 'mailto:chat@example.com' },
      ...{ DATABASE_URL: url.href, REDIS_URL: `redis://127.0.0.1:${toRedis.port}`, ...this.#more },
    }
    // The node's port is known when it is ready.
    const sockets = await TcpProxy.start({ targetPort: 1 })
    const onAccident = (what: string) => {
      this.#onAccident(what)
      void this.startNode(member).catch((error) => this.#onAccident(String(error)))
    }
    const member = { node: new FaultNode({ name, settings, onAccident }), sockets, toPostgres, toRedis }
    this.members.push(member)
    await this.startNode(member)
  }
}
