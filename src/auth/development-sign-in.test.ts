import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createDevelopmentSignIn } from './development-sign-in.ts'
import { createTokenVerifier, type VerifiedToken } from './token-verifier.ts'

const clock = { now: () => Date.UTC(2026, 0, 1) }

describe('createDevelopmentSignIn', () => {
  let folder: string
  let secretFile: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sohbet-sign-in-'))
    secretFile = join(folder, 'data', 'sign-in.key')
  })
  afterEach(() => rm(folder, { recursive: true, force: true }))

  const start = () => createDevelopmentSignIn({ secretFile, clock })
  async function signIn(name: string): Promise<VerifiedToken> {
    const { identity, issueToken } = await start()
    return createTokenVerifier(identity, { clock }).verify(await issueToken(name))
  }

  it('signs in by name, for 30 days', async () => {
    expect(await signIn(' Ada  Lovelace ')).toEqual({
      subject: 'dev:ada lovelace',
      name: 'Ada  Lovelace',
      picture: null,
      issuedAt: new Date(clock.now()),
      expiresAt: new Date(Date.UTC(2026, 0, 31)),
      isOperator: false,
    })
  })

  it('keeps its key over a restart, for the owner alone, and leaves nothing else behind', async () => {
    const { issueToken } = await start()
    const token = await issueToken('Ada')
    const { identity } = await start()
    expect((await createTokenVerifier(identity, { clock }).verify(token)).subject).toBe('dev:ada')
    expect((await stat(secretFile)).mode & 0o777).toBe(0o600)
    expect(await readdir(join(folder, 'data'))).toEqual(['sign-in.key'])
  })

  it('makes another key elsewhere, so that tokens do not travel', async () => {
    const { issueToken } = await start()
    const elsewhere = await createDevelopmentSignIn({ secretFile: join(folder, 'other.key'), clock })
    const verifier = createTokenVerifier(elsewhere.identity, { clock })
    await expect(verifier.verify(await issueToken('Ada'))).rejects.toMatchObject({ code: 'UNAUTHENTICATED' })
  })

  it('names the file when it holds no key, and does not replace it', async () => {
    await start()
    await writeFile(secretFile, 'short\n')
    await expect(start()).rejects.toThrow(secretFile)
    expect(await readFile(secretFile, 'utf8')).toBe('short\n')
  })

  it.each([
    ['ADA', 'ada'],
    ['Ａｄａ', 'Ada'],
    ['Jose\u0301', 'José'],
    ['Ada   B', 'ada b'],
    ['STRASSE', 'straße'],
    ['İbrahim', 'ibrahim'],
    ['IŞIL', 'ışıl'],
  ])('takes %j and %j for the same user', async (one, other) => {
    const [first, second] = [await signIn(one), await signIn(other)]
    expect(first.subject).toBe(second.subject)
  })

  it('keeps different names apart', async () => {
    const names = ['Ada', 'Adá', 'A da', 'Адa', '👩‍🚀', '👩']
    const subjects = await Promise.all(names.map(async (name) => (await signIn(name)).subject))
    expect(new Set(subjects).size).toBe(names.length)
  })

  it('counts characters as people do', async () => {
    const { issueToken } = await start()
    await expect(issueToken('👩‍🚀'.repeat(60))).resolves.toBeTypeOf('string')
    await expect(issueToken('ş'.repeat(100))).resolves.toBeTypeOf('string')
  })

  it.each([
    ['nothing', '', 1],
    ['white space', ' \u3000 ', 1],
    ['invisible characters', '\u200b\u2060', 1],
    ['101 characters', 'ş'.repeat(101), 100],
    ['100 characters that are far too long', '👩‍👩‍👧‍👦'.repeat(100), 100],
    ['NUL', 'a\0b', null],
    ['a line break', 'a\nb', null],
    ['a lone surrogate', 'a\ud83d', null],
  ])('refuses %s', async (_, name, limit) => {
    const { issueToken } = await start()
    const error = await issueToken(name).catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: 'VALIDATION_FAILED', issues: [{ path: 'input.name', limit }] })
  })
})
