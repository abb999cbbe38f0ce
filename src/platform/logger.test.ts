import { describe, expect, it } from 'vitest'
import { createLogger } from './logger.ts'

const JWT = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl'

function logged(write: (logger: ReturnType<typeof createLogger>) => void): string {
  const lines: string[] = []
  write(createLogger('debug', { write: (line) => lines.push(line) }))
  return lines.join('')
}

describe('createLogger', () => {
  it('writes a JSON line with the level in words and the time in ISO', () => {
    const line = JSON.parse(logged((logger) => logger.info({ room: 1 }, 'opened')))
    expect(line).toMatchObject({ level: 'info', room: 1, msg: 'opened' })
    expect(new Date(line.time).toISOString()).toBe(line.time)
  })

  it('leaves out what is below the level', () => {
    expect(logged((logger) => logger.trace('quiet'))).toBe('')
  })

  it.each([
    ['a field', { token: 'hunter2' }],
    ['a header', { req: { headers: { authorization: 'Bearer hunter2', cookie: 'hunter2' } } }],
    ['what a connection was opened with', { connectionParams: { Authorization: 'hunter2' } }],
    ['an error', { err: Object.assign(new Error('refused'), { config: { password: 'hunter2' } }) }],
    ["an error's message", { err: new Error('no answer from redis://default:hunter2@redis.example.com:6379') }],
    ['free text', { url: `/graphql?token=${JWT}` }],
  ])('redacts secrets in %s', (_, fields) => {
    const text = logged((logger) => logger.error(fields, `token ${JWT}`))
    expect(text).toContain('[redacted]')
    expect(text).not.toContain('hunter2')
    expect(text).not.toContain('eyJ')
    expect(() => JSON.parse(text)).not.toThrow()
  })

  it("redacts in a child's bindings", () => {
    expect(logged((logger) => logger.child({ secret: 'hunter2' }).info('x'))).not.toContain('hunter2')
  })
})
