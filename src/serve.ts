// The process: settings, the app, signals. Ends with 0 when asked to, with 1 when it could not start or go on.

import { startApp } from './app.ts'
import { ConfigError, isStartedByNpm, loadConfig } from './config.ts'
import { createLogger } from './platform/logger.ts'

const PARENT_CHECK_MS = 1_000

export async function serve(): Promise<void> {
  const config = loadConfigOrExit()
  const logger = createLogger(config.logLevel)
  const app = await startApp({ config, logger }).catch((error: unknown) => {
    logger.debug({ err: error }, 'the start failed')
    exitWith(`Sohbet could not start: ${error instanceof Error ? error.message : String(error)}`)
  })

  let stopping = false
  const stop = (reason: string, exitCode: number) => {
    if (stopping) return
    stopping = true
    logger.info({ reason }, 'stopping')
    // Whatever hangs must not keep the process: an orchestrator would kill it less kindly.
    setTimeout(() => {
      logger.error('stopping took too long')
      process.exit(1)
    }, config.shutdownTimeoutMs).unref()
    app.close().then(
      () => process.exit(exitCode),
      (error) => {
        logger.error({ err: error }, 'stopping failed')
        process.exit(1)
      },
    )
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stop(signal, 0))
  void app.failed.then((reason) => {
    process.stderr.write(`${reason}: nothing that was acknowledged is lost. Start again.\n`)
    stop(reason, 1)
  })
  process.on('unhandledRejection', (error) => logger.error({ err: error }, 'a promise was rejected and nobody looked'))
  if (isStartedByNpm()) stopWithParent(() => stop('npm has ended', 1))

  announce(app.url, app.issueToken !== null, config.http.graphiql)
}

function loadConfigOrExit() {
  try {
    return loadConfig()
  } catch (error) {
    if (error instanceof ConfigError) exitWith(error.message)
    throw error
  }
}

/** npm does not take its child with it when it is killed; without this the server would stay behind. */
function stopWithParent(stop: () => void): void {
  const parent = process.ppid
  setInterval(() => {
    if (process.ppid !== parent) stop()
  }, PARENT_CHECK_MS).unref()
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
