// A real browser for tests: Chromium, driven by playwright-core, which brings none of its own.

import { type Browser, chromium } from 'playwright-core'
import { findProgram } from './find-program.ts'

/** The path of a Chromium or Chrome, or null; SOHBET_TEST_NO_BROWSER=1 pretends that there is none. */
export function findBrowser(): string | null {
  if (process.env.SOHBET_TEST_NO_BROWSER === '1') return null
  return findProgram('chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable')
}

/** Without a sandbox, which root and containers do not have, and without anything that it does by itself. */
export function openBrowser(executablePath: string): Promise<Browser> {
  const quiet = ['background-networking', 'component-update', 'sync', 'quic', 'gpu'].map((name) => `--disable-${name}`)
  return chromium.launch({ executablePath, timeout: 60_000, args: ['--no-sandbox', '--no-first-run', ...quiet] })
}
