// Which types of files may be uploaded: a list of patterns, each a type, a family such as image/*, or everything.

/** RFC 6838's names, in lower case; the asterisk stands for a whole part. */
const NAME = '[a-z0-9][a-z0-9!#$&^_.+-]{0,126}'
const PATTERN = new RegExp(String.raw`^(?:\*/\*|${NAME}/\*|${NAME}/${NAME})$`)

/** What browsers and upload clients send where they know nothing. */
const NO_CLAIM = new Set(['', 'application/octet-stream', 'binary/octet-stream'])

/** Names that are still sent for types which have another name by now. */
const ALIASES: Readonly<Record<string, string>> = {
  'application/x-zip-compressed': 'application/zip',
  'application/x-pdf': 'application/pdf',
  'audio/m4a': 'audio/mp4',
  'audio/mp3': 'audio/mpeg',
  'audio/vnd.wave': 'audio/wav',
  'audio/wave': 'audio/wav',
  'audio/x-m4a': 'audio/mp4',
  'audio/x-wav': 'audio/wav',
  'image/apng': 'image/png',
  'image/jpg': 'image/jpeg',
  'image/pjpeg': 'image/jpeg',
  'image/x-png': 'image/png',
  'video/x-m4v': 'video/mp4',
}

export function isTypePattern(text: string): boolean {
  return PATTERN.test(text)
}

/** Without parameters, in lower case, by the name that this service uses. */
export function normaliseType(contentType: string): string {
  const type = (contentType.split(';', 1)[0] ?? '').trim().toLowerCase()
  return ALIASES[type] ?? type
}

/**
 * Both what the bytes are and what the client says they are must be allowed: neither a program that is called a picture
 * passes nor a picture that asks to be kept as a program. A client that claims nothing is judged by the bytes alone.
 */
export function isTypeAllowed(patterns: readonly string[], sniffedType: string, claimedType: string | null): boolean {
  const claim = normaliseType(claimedType ?? '')
  return matches(patterns, normaliseType(sniffedType)) && (NO_CLAIM.has(claim) || matches(patterns, claim))
}

function matches(patterns: readonly string[], type: string): boolean {
  return patterns.some((pattern) => {
    if (pattern === '*/*') return true
    return pattern.endsWith('/*') ? type.startsWith(pattern.slice(0, -1)) : type === pattern
  })
}
