import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildSchema, parse, validate } from 'graphql'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest'
import { EXAMPLES } from '../../src/transport/graphiql-examples.ts'
import { openBrowser } from '../support/browser.ts'
import { eventually } from '../support/eventually.ts'
import { temporaryFolder } from '../support/postgres-server.ts'
import { NO_BROWSER } from '../support/provided.ts'
import { endAll, spawnServer } from '../support/spawn-server.ts'

const PROJECT = fileURLToPath(new URL('../..', import.meta.url))
const STEP_TIMEOUT_MS = 20_000
const browserPath = inject('browserPath')

describe('the ready operations', () => {
  it.each(EXAMPLES.map(({ query }) => [/(?:query|mutation|subscription) (\w+)/.exec(query)?.[1], query]))(
    'fit the schema: %s',
    async (name, query = '') => {
      const schema = buildSchema(await readFile(join(PROJECT, 'schema.graphql'), 'utf8'))
      expect(validate(schema, parse(query))).toEqual([])
      expect(name).toBeDefined()
    },
  )
})

describe.skipIf(browserPath === null)(`GraphiQL ${browserPath ? '' : NO_BROWSER}`, { timeout: 120_000 }, () => {
  let folder: string
  let url: string
  let browser: Browser
  let windows: BrowserContext[] = []
  /** What a page asked of anybody but the server. */
  let abroad: string[] = []

  beforeAll(async () => {
    folder = await temporaryFolder('graphiql')
    const env = { DATA_DIR: join(folder, 'data'), LOG_LEVEL: 'warn' }
    const server = spawnServer({ command: process.execPath, args: ['dist/main.js'], cwd: PROJECT, env })
    url = await server.ready()
    browser = await openBrowser(browserPath ?? '')
  }, 120_000)

  afterEach(async () => {
    await Promise.all(windows.map((window) => window.close()))
    ;[windows, abroad] = [[], []]
  })

  afterAll(async () => {
    await browser?.close()
    await endAll()
    await rm(folder, { recursive: true, force: true })
  }, 60_000)

  /** A window of its own, as of another person, that reaches this server only. */
  async function openWindow(): Promise<Page> {
    const window = await browser.newContext({ viewport: { width: 1280, height: 800 } })
    windows.push(window)
    window.setDefaultTimeout(STEP_TIMEOUT_MS)
    await window.route(
      (address) => address.origin !== url && !['blob:', 'data:'].includes(address.protocol),
      async (route) => {
        abroad.push(route.request().url())
        await route.abort()
      },
    )
    return window.newPage()
  }

  async function signIn(name?: string): Promise<Page> {
    const page = await openWindow()
    await page.goto(url)
    if (name !== undefined) await page.getByLabel('Your name').fill(name)
    await page.getByRole('button', { name: 'Open GraphiQL signed in' }).click()
    await page.getByText(`Signed in as ${name ?? 'Ada'}.`).waitFor()
    return page
  }

  /** Clicks that come before the editors are there have no effect. */
  async function openTab(page: Page, name: string): Promise<void> {
    const editor = page.locator('.graphiql-query-editor .view-lines')
    await editor.getByText(/\w/).first().waitFor()
    await page.getByRole('tab').getByText(name, { exact: true }).click()
    await editor.getByText(name, { exact: true }).waitFor()
  }
  const answerWith = (page: Page, text: string) => page.locator('.result-window', { hasText: text })
  const shows = (page: Page, text: string) => answerWith(page, text).waitFor()

  /** Runs the tab until the answer shows this: just after a change of tabs GraphiQL looks for the operation of the last. */
  async function execute(page: Page, text: string): Promise<void> {
    const tooEarly = answerWith(page, 'Cannot infer operation')
    await eventually(
      async () => {
        await page.getByRole('button', { name: /^Execute query/ }).click()
        await answerWith(page, text).or(tooEarly).waitFor()
        expect(await tooEarly.count()).toBe(0)
      },
      { timeoutMs: STEP_TIMEOUT_MS },
    )
  }

  /** As a person does who has copied the id from an answer. */
  async function pasteRoomId(page: Page, roomId: string): Promise<void> {
    await page.locator('.graphiql-editor-tool').getByText('PASTE_THE_ID_OF_A_ROOM').dblclick()
    await page.keyboard.insertText(roomId)
  }

  async function createRoom(page: Page): Promise<string> {
    await openTab(page, 'CreateRoom')
    await execute(page, '"CreateRoomSuccess"')
    const answer = (await page.locator('.result-window').textContent())?.replaceAll(/\s/g, '') ?? ''
    return /"id":"(\w+)"/.exec(answer)?.[1] ?? expect.fail(answer)
  }

  it('signs in by one click, queries, and shows live over WebSocket what a second person does', async () => {
    const ada = await signIn()
    const sockets: string[] = []
    ada.on('websocket', (socket) => sockets.push(socket.url()))
    await openTab(ada, 'Rooms')
    await execute(ada, '"name": "Ada"')
    const room = await createRoom(ada)
    await openTab(ada, 'RoomEvents')
    await pasteRoomId(ada, room)
    await execute(ada, '"CaughtUp"')
    expect(sockets).toEqual([`${url.replace('http', 'ws')}/graphql`])

    const bob = await signIn('Bob')
    await openTab(bob, 'JoinRoom')
    await pasteRoomId(bob, room)
    await execute(bob, '"JoinRoomSuccess"')
    await shows(ada, '"MemberJoined"')
    await openTab(bob, 'SendMessage')
    await pasteRoomId(bob, room)
    for (const seq of [3, 4]) {
      await execute(bob, `"seq": ${seq}`)
      await shows(ada, `"seq": ${seq}`)
    }
    await shows(ada, '"text": "Hello!"')
    await shows(ada, '"name": "Bob"')
    expect(abroad).toEqual([])
  })

  it('keeps the token out of the address, and the sign-in and the tabs when it is loaded again', async () => {
    const page = await signIn('Çağla <b>')
    const tabs = page.getByRole('tab')
    await openTab(page, 'CreateRoom')
    expect(await tabs.count()).toBe(EXAMPLES.length)
    for (let visit = 1; visit <= 2; visit++) {
      await page.reload()
      await page.getByText('Signed in as Çağla <b>.').waitFor()
      expect(page.url()).not.toContain('eyJ')
      await createRoom(page)
      expect(await tabs.count()).toBe(EXAMPLES.length)
    }
    await page.goto(`${url}/graphql?as=Bob`)
    await openTab(page, 'Rooms')
    await execute(page, '"name": "Bob"')
    expect(abroad).toEqual([])
  })

  it('says why nobody is signed in', async () => {
    const page = await openWindow()
    await page.goto(`${url}/graphql?as=${'x'.repeat(101)}`)
    await page.getByText(/^Not signed in\. .*100/).waitFor()
    await page.getByLabel('Name', { exact: true }).fill('Ada')
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.getByText('Signed in as Ada.').waitFor()
  })
})
