import { it } from 'vitest'
import { WebSocket } from 'ws'
import { useNodes, signToken } from '../support/start-nodes.ts'
import { person, stopAll } from '../support/seed.ts'

const nodes = useNodes({ settings: { WS_KEEPALIVE_MS: '500', MAX_SUBSCRIPTIONS_PER_CONNECTION: '2', LOG_LEVEL: process.env.PROBE_LOG ?? 'fatal' } })
async function raw(url: string, messages: unknown[], { protocol = 'graphql-transport-ws', waitMs = 700 } = {}) {
  const ws = new WebSocket(url.replace(/^http/, 'ws'), protocol)
  const got: string[] = []
  ws.on('message', (m) => got.push(String(m)))
  ws.on('ping', () => got.push('PING'))
  ws.on('error', (e) => got.push(`ERR ${e.message}`))
  const closed = new Promise((r) => ws.on('close', (code, reason) => { got.push(`CLOSE ${code} ${reason}`); r(0) }))
  await new Promise((r) => { ws.on('open', r); ws.on('error', r) })
  for (const m of messages) { if (typeof m === 'number') { await new Promise((r) => setTimeout(r, m)); continue } ws.send(typeof m === 'string' ? m : JSON.stringify(m)) }
  await Promise.race([closed, new Promise((r) => setTimeout(r, waitMs))])
  ws.close()
  return got
}
async function http(url: string, init: RequestInit = {}) {
  const r = await fetch(url, init)
  return [r.status, r.headers.get('content-type'), (await r.text()).slice(0, 600)]
}
it('probe', async () => {
  const url = nodes().urls[0] ?? ''
  const ada = await person(url, 'Ada')
  const room = await ada.createRoom()
  await ada.send(room, 'one')
  const log = (n: string, x: unknown) => console.log(n, JSON.stringify(x))
  const init = { type: 'connection_init', payload: { authorization: `Bearer ${ada.token}` } }
  const sub = (id: string, query: string, variables = {}) => ({ id, type: 'subscribe', payload: { query, variables } })
  const json = { 'content-type': 'application/json', authorization: `Bearer ${ada.token}` }
  log('pingmsg', await raw(url, [init, 100, { type: 'ping' }], { waitMs: 200 }))
  const ws = new WebSocket(url.replace(/^http/, 'ws')); log('noproto', await new Promise((r) => ws.on('close', (c, m) => r(`${c} ${m}`))))
  log('grj', await http(url, { method: 'POST', headers: { ...json, accept: 'application/graphql-response+json' }, body: JSON.stringify({ query: '{ viewer { nope } }' }) }))
  const c = new AbortController(); setTimeout(() => c.abort(), 1500)
  log('sub json', await http(url, { method: 'POST', headers: { ...json, accept: 'application/json' }, body: JSON.stringify({ query: `subscription{roomEvents(roomId:"${room}", after:0){seq __typename}}` }), signal: c.signal }).catch((e) => String(e)))
  log('same other text', [await ada.send(room, 'a', { clientMessageId: 'k' }), await ada.send(room, 'b', { clientMessageId: 'k' })])
  log('hdr', [...(await fetch(url.replace('/graphql', '/health'))).headers])
  const st = await http(url, { method: 'POST', headers: json, body: JSON.stringify({ query: '{ serverStatus { usersOnline activeRooms participants database { state latencyMs } redis { state } time } serverInfo { name version capabilities limits { messageCharacters requestBytes webSocketMessageBytes subscriptionsPerConnection pageSize } } }' }) })
  log('st', st)
  await stopAll()
}, 60000)
