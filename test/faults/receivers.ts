// Webhooks and a push service, as the runner has them: they note every request with what it says of itself and how it was
// answered, and can be made to fail, to hang, to answer late, to break off, or to keep what comes until they are told.

import { createHash } from 'node:crypto'
import { createServer as createHttpServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { Webhook } from 'standardwebhooks'
import type { Certificate } from '../support/certificate.ts'
import { openBrowser, type PushBrowser } from '../support/push-browser.ts'
import type { ReceivedTelling } from './history.ts'

/** `late`: once nobody waits for it any more, as if it had been taken. */
export type ReceiverMode = 'answer' | 'fail' | 'hang' | 'late' | 'cut'

/** A request that has no answer yet. */
export interface KeptRequest {
  readonly telling: ReceivedTelling
  /** The port that the sender has. */
  readonly senderPort: number
  readonly isGone: boolean
}

/** What a request says; throws where it is not to be believed. */
type Read = (headers: IncomingMessage['headers'], body: Buffer) => Omit<ReceivedTelling, 'atMs' | 'target' | 'status'>

const MAX_ANSWER_DELAY_MS = 20

export class Receiver {
  readonly name: string
  readonly tellings: ReceivedTelling[] = []
  /** Requests that nobody could make anything of. */
  readonly surprises: string[] = []
  /** How many requests each mode has met. */
  readonly met: Record<ReceiverMode, number> = { answer: 0, fail: 0, hang: 0, late: 0, cut: 0 }
  /** Requests without an answer, while it keeps them. */
  readonly kept = new Set<KeptRequest>()
  mode: ReceiverMode = 'answer'
  /** Whether it gives no answer to what comes, whatever the mode. */
  keeps = false
  readonly #server: Server
  readonly #isTls: boolean
  readonly #lateMs: number
  readonly #reads = new Map<string, Read>()

  private constructor(name: string, lateMs: number, certificate: Certificate | null) {
    this.name = name
    this.#lateMs = lateMs
    this.#isTls = certificate !== null
    const listener = (request: IncomingMessage, response: ServerResponse) => {
      // A sender that breaks off was killed, or has waited for too long.
      this.#take(request, response).catch(() => {})
    }
    this.#server = certificate ? createHttpsServer(certificate, listener) : createHttpServer(listener)
  }

  /** `lateMs` is later than any sender waits. https where there is a certificate. */
  static async start(name: string, lateMs: number, certificate: Certificate | null = null): Promise<Receiver> {
    const receiver = new Receiver(name, lateMs, certificate)
    await new Promise<void>((resolve) => receiver.#server.listen(0, '127.0.0.1', resolve))
    return receiver
  }

  get port(): number {
    // A TCP server has an address object.
    return (this.#server.address() as AddressInfo).port
  }

  urlOf(path: string): string {
    return `${this.#isTls ? 'https' : 'http'}://127.0.0.1:${this.port}${path}`
  }

  /** A webhook at this path, which verifies by the secret. */
  addWebhook(path: string, secret: string): void {
    const webhook = new Webhook(secret)
    this.#reads.set(path, (headers, body) => {
      const names = ['webhook-id', 'webhook-timestamp', 'webhook-signature']
      const signed = Object.fromEntries(names.map((header) => [header, String(headers[header])]))
      // Of what the server sends this is all that is read here.
      const { data } = webhook.verify(body.toString('utf8'), signed) as {
        data: { id: string; version: number; count: number; user: { id: string } }
      }
      const { id: notification, version, count, user } = data
      return {
        identity: signed['webhook-id'] ?? '',
        digest: digestOf(body),
        notification,
        version,
        count,
        user: user.id,
      }
    })
  }

  /** A browser of a user's. */
  addBrowser(user: string): PushBrowser {
    const browser = openBrowser(this.urlOf(''))
    this.#reads.set(browser.path, (headers, body) => {
      const payload = browser.read({ path: browser.path, headers, body })
      const { id: notification, tag, version, count } = payload
      if (headers.topic !== tag.replaceAll('-', '')) throw new Error(`the topic ${headers.topic} of the tag ${tag}`)
      const digest = digestOf(JSON.stringify(payload))
      return { identity: `${tag} ${version}`, digest, notification, version, count, user }
    })
    return browser
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { mode } = this
    const atMs = performance.now()
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const path = request.url ?? ''
    const telling = this.#note(path, request.headers, Buffer.concat(chunks), atMs)
    if (!telling) return void response.writeHead(400).end()
    const kept = { telling, senderPort: request.socket.remotePort ?? 0, isGone: false }
    response.once('close', () => {
      kept.isGone = true
      this.kept.delete(kept)
    })
    if (this.keeps) return void this.kept.add(kept)
    this.met[mode] += 1
    const answer = (status: number) => {
      // To whom has gone nothing was said.
      if (!kept.isGone) telling.status = status
      response.writeHead(status).end()
    }
    if (mode === 'fail') answer(this.met.fail % 2 === 0 ? 503 : 429)
    else if (mode === 'cut') request.socket.destroy()
    else if (mode === 'late') setTimeout(() => answer(204), this.#lateMs).unref()
    else if (mode === 'answer') setTimeout(() => answer(204), atMs % MAX_ANSWER_DELAY_MS).unref()
  }

  #note(path: string, headers: IncomingMessage['headers'], body: Buffer, atMs: number): ReceivedTelling | null {
    try {
      const read = this.#reads.get(path)
      if (!read) throw new Error('nobody is here')
      const telling = { target: this.urlOf(path), atMs, status: null, ...read(headers, body) }
      this.tellings.push(telling)
      return telling
    } catch (error) {
      this.surprises.push(`${this.name}${path}: ${error}`)
      return null
    }
  }
}

function digestOf(body: Buffer | string): string {
  return createHash('sha256').update(body).digest('base64url')
}
