/**
 * Signing in with just a name, in development only: the server is its own issuer, with a random key in the data
 * directory, so that tokens outlive a restart. The same name is the same user; nobody proves anything.
 */
import { SignJWT } from 'jose'
import type { Clock } from '../platform/clock.ts'
import { ValidationError } from '../platform/errors.ts'
import { ensureSecretFile } from '../platform/secret-file.ts'
import { firstCharacters } from '../platform/text.ts'
import { MAX_NAME_CHARACTERS } from '../users/user-record.ts'
import { OPERATOR_SCOPE } from './claims.ts'
import type { VerifierIdentity } from './token-verifier.ts'

export interface DevelopmentSignIn {
  /** What a TokenVerifier accepts these tokens by. */
  readonly identity: VerifierIdentity
  /**
   * A token for this name, for 30 days. Names that differ in case, width or white space only are one user. An operator's
   * has the scope that makes one, so that what is for operators can be tried, too.
   *
   * @throws ValidationError for a name that is empty, longer than 100 characters (grapheme clusters),
   * or holds control characters or lone surrogates.
   */
  issueToken(name: string, options?: { isOperator: boolean }): Promise<string>
}

const ISSUER = 'sohbet-development'
const TOKEN_LIFE_SECONDS = 30 * 24 * 60 * 60
const MAX_SUBJECT_CHARACTERS = 255
const SECRET_ADVICE = 'for the development sign-in: delete it, and everybody signs in anew'

/**
 * Reads the key, or makes it with permissions 0600, whole or not at all.
 *
 * @throws Error naming the file when it holds no key.
 */
export async function createDevelopmentSignIn({
  secretFile,
  clock,
}: {
  secretFile: string
  clock: Clock
}): Promise<DevelopmentSignIn> {
  const secret = await ensureSecretFile(secretFile, SECRET_ADVICE)
  return {
    // Issuer and audience keep these tokens out of any other server that should ever share the key.
    identity: { kind: 'secret', secret, issuer: ISSUER, audience: ISSUER },
    async issueToken(name, { isOperator } = { isOperator: false }) {
      const trimmed = name.trim()
      const subject = `dev:${foldName(trimmed)}`
      checkName(trimmed, subject)
      const nowSeconds = Math.floor(clock.now() / 1000)
      return await new SignJWT({ name: trimmed, ...(isOperator && { scope: OPERATOR_SCOPE }) })
        .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
        .setSubject(subject)
        .setIssuer(ISSUER)
        .setAudience(ISSUER)
        .setIssuedAt(nowSeconds)
        .setExpirationTime(nowSeconds + TOKEN_LIFE_SECONDS)
        .sign(Buffer.from(secret, 'utf8'))
    },
  }
}

/** Upper case first folds what lower case alone keeps apart (ß and ss, ı and i); the dot that İ leaves behind goes too. */
function foldName(name: string): string {
  const folded = name.normalize('NFKC').toUpperCase().toLowerCase().replaceAll('i\u0307', 'i').normalize('NFKC')
  return folded.replace(/\s+/g, ' ').trim()
}

function checkName(name: string, subject: string): void {
  const refuse = (message: string, limit: number | null = null): never => {
    throw new ValidationError([{ path: 'input.name', message, limit }])
  }
  if (!name.isWellFormed() || /\p{Cc}/u.test(name)) refuse('must not hold control characters or lone surrogates')
  if (!/[^\p{White_Space}\p{Default_Ignorable_Code_Point}]/u.test(name)) refuse('must not be empty', 1)
  if (firstCharacters(name, MAX_NAME_CHARACTERS) !== name || [...subject].length > MAX_SUBJECT_CHARACTERS) {
    refuse(`must be at most ${MAX_NAME_CHARACTERS} characters`, MAX_NAME_CHARACTERS)
  }
}
