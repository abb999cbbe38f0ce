// What a real browser makes of files that would run: nothing, however they are embedded, and even where the inspection of
// their content was wrong.

import { mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { createDownloadRoute } from '../../src/files/download-route.ts'
import { openDiskFileStorage } from '../../src/files/file-storage-disk.ts'
import { createUrlSigner, FILES_PATH } from '../../src/files/signed-url.ts'
import { systemClock } from '../../src/platform/clock.ts'
import { type Route, send } from '../../src/transport/routes.ts'
import { openBrowser } from '../support/browser.ts'
import { eventually } from '../support/eventually.ts'
import { authenticateByName, type FileHost, silentLogger, startFileHost } from '../support/file-host.ts'
import { KnownFiles } from '../support/known-files.ts'
import { NO_BROWSER } from '../support/provided.ts'

const browserPath = inject('browserPath')

const SCRIPT = `new Image().src = '/ran?' + document.currentScript?.dataset.as`
const HTML = `<!doctype html><script data-as="html">${SCRIPT}</script>`
const SVG = `<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><script data-as="svg">new Image().src = '/ran?svg'</script></svg>`
const XHTML = `<html xmlns="http://www.w3.org/1999/xhtml"><script>new Image().src = '/ran?xhtml'</script></html>`
const PNG = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
)

describe.skipIf(browserPath === null)(`downloads ${browserPath ? '' : NO_BROWSER}`, { timeout: 120_000 }, () => {
  let dir: string
  let host: FileHost
  let browser: Browser
  let store: (bytes: string | Buffer, contentType: string, isInlineSafe: boolean) => Promise<string>
  const ran: string[] = []

  beforeAll(async () => {
    dir = await mkdtemp(join(os.tmpdir(), 'sohbet-test-browser-files-'))
    const storage = await openDiskFileStorage({ dir })
    const files = new KnownFiles()
    const signer = createUrlSigner({
      secret: 'a secret of the tests, long enough',
      ttlMs: 3_600_000,
      clock: systemClock,
    })
    const download = createDownloadRoute({
      ...{ files, storage, signer, authenticate: authenticateByName, clock: systemClock, logger: silentLogger },
      corsOrigins: [],
    })
    const note: Route = (request, response) => {
      ran.push(String(request.url).slice('/ran?'.length))
      send(response, 200, 'text/plain', '')
    }
    /** A page of the same origin that embeds a url, in the way that it is asked for. */
    const page: Route = (request, response) => {
      const asked = new URL(request.url ?? '', 'http://host').searchParams
      send(response, 200, 'text/html; charset=utf-8', asked.get('html') ?? '')
    }
    host = await startFileHost([
      { prefix: FILES_PATH, route: download },
      { prefix: '/ran', route: note },
      { prefix: '/page', route: page },
    ])
    browser = await openBrowser(browserPath ?? '')
    store = async (content, contentType, isInlineSafe) => {
      const bytes = Buffer.from(content)
      const { id, file } = files.add({ sizeBytes: bytes.length, contentType, isInlineSafe, name: 'photo.png' })
      await storage.write(file.objectKey, Readable.from([bytes]), { maxBytes: bytes.length })
      return signer.sign({ attachmentId: id, rendition: 'original', name: file.name })
    }
  }, 120_000)

  afterAll(async () => {
    await browser?.close()
    await host?.close()
    await rm(dir, { recursive: true, force: true })
  }, 60_000)

  async function withPage<T>(use: (page: Page) => Promise<T>): Promise<T> {
    const page = await browser.newPage()
    try {
      return await use(page)
    } finally {
      await page.close()
    }
  }

  /** Resolves when all that the page embeds has loaded, or failed to. */
  const show = (page: Page, html: string) => page.goto(`${host.url}/page?html=${encodeURIComponent(html)}`)

  const embedded = (url: string) => [
    `<img src="${url}">`,
    `<iframe src="${url}"></iframe>`,
    `<object data="${url}"></object>`,
    `<embed src="${url}">`,
    `<script src="${url}"></script>`,
    `<link rel="stylesheet" href="${url}">`,
  ]

  it.each([
    ['HTML', HTML, 'text/html', true],
    ['SVG', SVG, 'image/svg+xml', true],
    ['XHTML', XHTML, 'application/xhtml+xml', true],
    ['a script', `new Image().src = '/ran?script'`, 'text/javascript', true],
    ['HTML that was taken for a picture', HTML, 'image/png', true],
    ['SVG that was taken for a picture', SVG, 'image/png', true],
    ['a script that was taken for a picture', `new Image().src = '/ran?script'`, 'image/gif', true],
    ['HTML that was taken for a film', HTML, 'video/mp4', true],
    ['HTML that nobody knows', HTML, '', false],
  ])('run nothing: %s', async (_, content, contentType, isInlineSafe) => {
    const url = await store(content, contentType, isInlineSafe)
    await withPage(async (page) => {
      // Straight to it: it is saved, or shown as a picture that is none.
      await page.goto(host.url + url).catch((error: Error) => expect(error.message).toMatch(/Download|ERR_ABORTED/))
    })
    for (const html of embedded(url)) await withPage((page) => show(page, html))
    expect(ran).toEqual([])
  })

  it('are pictures in an <img> where they are pictures', async () => {
    const url = await store(PNG, 'image/png', true)
    await withPage(async (page) => {
      await show(page, `<img src="${url}">`)
      expect(await page.locator('img').evaluate((img) => 'naturalWidth' in img && img.naturalWidth)).toBe(1)
    })
  })

  it('would run in this browser, were they sent as what they are', async () => {
    await withPage((page) => show(page, HTML))
    await withPage((page) =>
      show(page, `<script data-as="page" src="data:text/javascript,${encodeURIComponent(SCRIPT)}"></script>`),
    )
    await eventually(() => expect(ran).toEqual(['html', 'page']))
  })
})
