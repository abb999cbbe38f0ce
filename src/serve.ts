// The process: settings, the app, signals. Ends with 0 when asked to, with 1 when it could not start or go on.

import { parseArgs } from 'node:util'
import { type App, startApp } from './app.ts'
import { type Config, ConfigError, loadConfig } from './config.ts'
import { createLogger, type Logger } from './platform/logger.ts'

const PARENT_CHECK_MS = 500
const LOOPBACK = /^(localhost|127\..*|::1)$/

export async function serve(): Promise<void> {
  // A terminal or a pipe that is gone is no reason to end.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})
  const config = loadConfigOrExit()
  const logger = createLogger(config.logLevel)
  process.on('unhandledRejection', (error) => logger.error({ err: error }, 'a promise was rejected and nobody looked'))

  let app: App | null = null
  let stopping = false
  const stop = (reason: string, exitCode: number) => {
    if (stopping) return
    stopping = true
    logger.info({ reason }, 'stopping')
    // Nobody is served yet; what was opened ends with the process that opened it.
    if (!app) process.exit(exitCode)
    closeAndExit(app, { exitCode, timeoutMs: config.drainWindowMs + config.shutdownTimeoutMs, logger })
  }
  // Before the start: as the first process of a container, one without handlers would not hear a signal at all.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stop(signal, 0))
  stopWithParent(() => stop('npm has ended', 1))

  app = await startApp({ config, logger }).catch((error: unknown) => {
    logger.debug({ err: error }, 'the start failed')
    exitWith(`Sohbet could not start: ${whyNot(error, config.http)}`)
  })
  void app.failed.then((reason) => {
    process.stderr.write(`${reason}: nothing that was acknowledged is lost. Start again.\n`)
    stop(reason, 1)
  })
  if (config.mode === 'development') announce(app.url, app.issueToken !== null, config.http.graphiql)
  else logger.info({ url: app.url }, 'Sohbet is ready')
  if (app.issueToken && !LOOPBACK.test(config.http.host)) {
    logger.warn(
      { host: config.http.host },
      'whoever reaches this address can sign in under any name: set JWT_SECRET or JWKS_URL',
    )
  }
}

function closeAndExit(app: App, options: { exitCode: number; timeoutMs: number; logger: Logger }): void {
  const { exitCode, timeoutMs, logger } = options
  // Whatever hangs must not keep the process: an orchestrator would kill it less kindly.
  setTimeout(() => {
    logger.error('stopping took too long')
    process.exit(1)
  }, timeoutMs).unref()
  app.close().then(
    () => process.exit(exitCode),
    (error) => {
      logger.error({ err: error }, 'stopping failed')
      process.exit(1)
    },
  )
}

function loadConfigOrExit() {
  try {
    return loadConfig()
  } catch (error) {
    if (error instanceof ConfigError) exitWith(error.message)
    throw error
  }
}

/**
 * npm does not take its child with it when it is killed, so `npm start` names itself as `--parent`: without this the
 * server would stay behind. A parent that was gone before this process began is noticed as well.
 */
function stopWithParent(stop: () => void): void {
  const { values } = parseArgs({ options: { parent: { type: 'string' } }, strict: false })
  if (values.parent === undefined) return
  const check = () => {
    if (String(process.ppid) !== values.parent) stop()
  }
  check()
  setInterval(check, PARENT_CHECK_MS).unref()
}

/** The usual reasons in the words of the settings. */
function whyNot(error: unknown, { host, port }: Config['http']): string {
  const { code, syscall, message }: { code?: string; syscall?: string; message?: string } = Object(error)
  if (syscall === 'listen' && code === 'EADDRINUSE') {
    return `port ${port} of ${host} is in use. Stop what listens there, or set another PORT.`
  }
  if (syscall === 'listen' && code === 'EACCES') return `this user may not listen on port ${port}. Set another PORT.`
  if (syscall === 'listen' && code === 'EADDRNOTAVAIL')
    return `${host} is no address of this machine. Set another HOST.`
  return message || String(error)
}

function announce(url: string, canSignIn: boolean, hasGraphiQL: boolean): void {
  const lines = [
    `Sohbet is ready at ${url}`,
    ...(hasGraphiQL
      ? [`  GraphiQL      ${url}/graphql${canSignIn ? '?as=Ada   (signed in as Ada; any name will do)' : ''}`]
      : []),
    ...(canSignIn ? [`  Sign in       open ${url}/ and give a name, or POST {"name":"Ada"} to ${url}/sign-in`] : []),
    `  Schema        ${url}/schema.graphql`,
    '  Stop          Ctrl-C',
  ]
  process.stdout.write(`${lines.join('\n')}\n`)
}

function exitWith(message: string): never {
  process.stderr.write(`${message}\n`)
  process.exit(1)
}
