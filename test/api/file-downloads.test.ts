// Downloads from end to end: who may have a file, by token and by url, until when, and what a browser makes of it. The same
// on a folder and on S3.

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest'
import { openBrowser } from '../support/browser.ts'
import { eventually } from '../support/eventually.ts'
import { photo, SECRET, withMetadata } from '../support/image-samples.ts'
import { NO_BROWSER } from '../support/provided.ts'
import { startTestS3, type TestS3 } from '../support/s3-server.ts'
import { type Person, person } from '../support/seed.ts'
import { startNodes, type TestNodes } from '../support/start-nodes.ts'
import { findAttachment, type ShownAttachment, textFile, uploaded } from '../support/uploads.ts'

const HOUR_MS = 3_600_000
const clock = { aheadMs: 0, now: () => Date.now() + clock.aheadMs }
const browserPath = inject('browserPath')

/** What a page may not do: if it ran, the title would say so. */
const SCRIPT = '<script>document.title = "ran"</script>'
const HTML = `<!doctype html><html><body>hello${SCRIPT}</body></html>`
const SVG = `<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10">${SCRIPT}<rect width="10" height="10"/></svg>`

const storages: [string, () => Promise<{ settings: Record<string, string>; s3?: TestS3 }>][] = [
  ['a folder', async () => ({ settings: {} })],
  [
    'S3',
    async () => {
      const s3 = await startTestS3()
      const { bucket, region, credentials } = s3.options
      const settings = {
        FILES_DIR: '',
        S3_BUCKET: bucket,
        S3_REGION: region,
        S3_ENDPOINT: s3.endpoint,
        S3_FORCE_PATH_STYLE: 'true',
        S3_ACCESS_KEY_ID: credentials?.accessKeyId ?? '',
        S3_SECRET_ACCESS_KEY: credentials?.secretAccessKey ?? '',
      }
      return { settings, s3 }
    },
  ],
]

const cleanUps: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0)) await cleanUp()
})

/** A page of a front end of another origin, in a browser. */
async function openTab(): Promise<{ tab: Page; pageUrl: string }> {
  const browser = await openBrowser(browserPath ?? '')
  cleanUps.push(() => browser.close())
  const pages = createServer((_request, response) =>
    response.setHeader('content-type', 'text/html').end('<title>page</title>'),
  )
  cleanUps.push(() => pages.close())
  await new Promise<void>((resolve) => pages.listen(0, '127.0.0.1', resolve))
  // A TCP server has an address object.
  const pageUrl = `http://127.0.0.1:${(pages.address() as AddressInfo).port}/`
  const tab = await browser.newPage()
  await tab.goto(pageUrl)
  return { tab, pageUrl }
}

describe.each(storages)('a download from %s', (_name, open) => {
  let nodes: TestNodes
  let s3: TestS3 | undefined
  beforeAll(async () => {
    const opened = await open()
    s3 = opened.s3
    nodes = await startNodes({ clock, settings: { CORS_ORIGINS: '*', ...opened.settings } })
  })
  afterAll(async () => {
    await nodes?.stop()
    await s3?.stop()
  })

  const url = () => nodes.urls[0] ?? ''
  const at = (path: string | null | undefined) => new URL(path ?? 'nowhere', url())
  const get = (target: URL | string, who: Person | null = null, headers: Record<string, string> = {}) =>
    fetch(target, {
      headers: { ...headers, ...(who ? { authorization: `Bearer ${who.token}` } : {}) },
      signal: AbortSignal.timeout(20_000),
    })
  const statusOf = async (...args: Parameters<typeof get>) => {
    const response = await get(...args)
    await response.arrayBuffer()
    return response.status
  }
  const ready = async (who: Person, file: File): Promise<ShownAttachment> => {
    const { id } = await uploaded(url(), who, file)
    return eventually(async () => {
      const found = await findAttachment(who, id)
      expect(found?.status).toBe('READY')
      return found ?? expect.fail('it is gone')
    })
  }
  const bare = (target: URL) => new URL(target.pathname, target)

  it('gives the bytes as they were cleaned, with their length, range and tag', async () => {
    const ada = await person(url(), 'Ada')
    const original = await withMetadata(photo(900, 600)).jpeg().toBuffer()
    expect(original.includes(SECRET)).toBe(true)
    const image = await ready(ada, new File([new Uint8Array(original)], 'kule.jpg', { type: 'image/jpeg' }))
    const whole = await get(at(image.url))
    const bytes = Buffer.from(await whole.arrayBuffer())
    expect([whole.status, whole.headers.get('content-type'), bytes.length]).toEqual([
      200,
      'image/jpeg',
      image.sizeBytes,
    ])
    expect(bytes.includes(SECRET)).toBe(false)
    expect(whole.headers.get('cache-control')).toMatch(/^private, max-age=\d+/)
    expect(whole.headers.get('content-disposition')).toMatch(/^inline/)
    const part = await get(at(image.url), null, { range: 'bytes=10-19' })
    expect([part.status, Buffer.from(await part.arrayBuffer())]).toEqual([206, bytes.subarray(10, 20)])
    expect(await statusOf(at(image.url), null, { 'if-none-match': whole.headers.get('etag') ?? '' })).toBe(304)
    for (const rendition of image.renditions) {
      const smaller = await get(at(rendition.url))
      const { byteLength } = await smaller.arrayBuffer()
      expect([smaller.headers.get('content-type'), byteLength]).toEqual(['image/webp', rendition.sizeBytes])
    }
  })

  it('is for its uploader before it is sent, then for who may read the room, and for nobody after', async () => {
    const [ada, bo, eve] = [await person(url(), 'Ada'), await person(url(), 'Bo'), await person(url(), 'Eve')]
    const roomId = await ada.createRoom({ kind: 'PRIVATE', memberIds: [bo.id] })
    const file = await ready(ada, textFile('geheim.txt', 'secret'))
    const target = bare(at(file.url))
    const statuses = async () => Promise.all([ada, bo, eve, null].map((who) => statusOf(target, who)))
    expect(await statuses()).toEqual([200, 404, 404, 401])
    const { id: messageId } = await ada.send(roomId, 'look', { attachmentIds: [file.id] })
    expect(await statuses()).toEqual([200, 200, 404, 401])
    await bo.leave(roomId)
    expect(await statuses()).toEqual([200, 404, 404, 401])
    expect(await statusOf(at(file.url))).toBe(200)
    await ada.do('mutation ($input: DeleteMessageInput!) { deleteMessage(input: $input) { __typename } }', {
      input: { messageId },
    })
    expect([await statusOf(at(file.url)), ...(await statuses())]).toEqual([404, 404, 404, 404, 401])
  })

  it('by url is for that file alone, unchanged, until it expires', async () => {
    const ada = await person(url(), 'Ada')
    const [file, other] = [await ready(ada, textFile()), await ready(ada, textFile())]
    const signed = at(file.url)
    const changed = (change: (target: URL) => void) => {
      const target = new URL(signed)
      change(target)
      return target
    }
    const longer = String(Number(signed.searchParams.get('expires')) + 3_600)
    const tampered = [
      changed((target) => target.searchParams.set('expires', longer)),
      changed((target) => target.searchParams.set('signature', 'AAAA')),
      changed((target) => target.searchParams.delete('expires')),
      changed((target) => {
        target.pathname = at(other.url).pathname
      }),
      changed((target) => {
        target.pathname = target.pathname.replace('/original/', '/160/')
      }),
    ]
    for (const target of tampered) expect([target.href, await statusOf(target)]).toEqual([target.href, 403])
    expect(await statusOf(signed)).toBe(200)
    clock.aheadMs = 3 * HOUR_MS
    try {
      expect(await statusOf(signed)).toBe(410)
    } finally {
      clock.aheadMs = 0
    }
  })

  it('never leaves the storage, whatever the path', async () => {
    const ada = await person(url(), 'Ada')
    const { url: path } = await ready(ada, textFile())
    const [, , id = ''] = (path ?? '').split('/')
    const paths = [
      '/files/../../etc/passwd',
      '/files/..%2f..%2fetc%2fpasswd/original/x',
      `/files/${id}/..%2f..%2fetc%2fpasswd/x`,
      `/files/${id}/upload/x`,
      `/files/${id}/cleaned/x`,
      `/files/${id}%00/original/x`,
      `/files/${id}/original/a/b`,
      '/files/',
      '/files',
    ]
    for (const one of paths) expect([one, await statusOf(at(one), ada)]).toEqual([one, 404])
  })

  it('of what a browser would run is a download, whatever it is called', async () => {
    const ada = await person(url(), 'Ada')
    const files: [string, string, string][] = [
      ['page.html', 'text/html', HTML],
      ['notes.txt', 'text/plain', HTML],
      ['photo.png', 'image/png', SVG],
      ['drawing.svg', 'image/svg+xml', SVG],
      ['page.xhtml', 'application/xhtml+xml', `<?xml version="1.0"?>${HTML}`],
      ['feed.xml', 'application/xml', '<?xml version="1.0"?><a/>'],
      ['code.js', 'text/javascript', 'alert(1)'],
    ]
    for (const [name, type, text] of files) {
      const file = await ready(ada, new File([text], name, { type }))
      const response = await get(at(file.url))
      await response.text()
      expect([name, response.headers.get('content-disposition')?.split(';')[0]]).toEqual([name, 'attachment'])
      expect([name, response.headers.get('content-type')]).toEqual([name, 'application/octet-stream'])
      expect(response.headers.get('x-content-type-options')).toBe('nosniff')
      expect(response.headers.get('content-security-policy')).toMatch(/sandbox/)
    }
  })

  describe.skipIf(browserPath === null)(`in a browser ${browserPath ? '' : NO_BROWSER}`, { timeout: 90_000 }, () => {
    it('shows a picture in an <img> of another origin, and runs nothing of pages and drawings', async () => {
      const ada = await person(url(), 'Ada')
      const jpeg = await photo(320, 200).jpeg().toBuffer()
      const picture = await ready(ada, new File([new Uint8Array(jpeg)], 'a.jpg', { type: 'image/jpeg' }))
      const [page, drawing] = [
        await ready(ada, new File([HTML], 'a.html', { type: 'text/html' })),
        await ready(ada, new File([SVG], 'photo.png', { type: 'image/png' })),
      ]
      const { tab, pageUrl } = await openTab()
      const widthOf = (src: string) =>
        tab.evaluate(
          (source) =>
            new Promise<number>((resolve) => {
              const image = new Image()
              image.onload = () => resolve(image.naturalWidth)
              image.onerror = () => resolve(0)
              image.src = source
            }),
          src,
        )
      expect(await widthOf(at(picture.url).href)).toBe(320)
      expect(await widthOf(at(picture.renditions[0]?.url).href)).toBe(160)
      expect(await widthOf(at(drawing.url).href)).toBe(0)
      for (const hostile of [page, drawing]) {
        const download = tab.waitForEvent('download')
        // It ends as a download, which playwright tells as an error of the navigation.
        await tab.goto(at(hostile.url).href).catch(() => {})
        await (await download).cancel()
        await tab.evaluate((source) => {
          const frame = document.createElement('iframe')
          frame.src = source
          document.body.append(frame)
        }, at(hostile.url).href)
        expect([await tab.title(), tab.url()]).toEqual(['page', pageUrl])
      }
    })
  })
})
