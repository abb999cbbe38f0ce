/** The signed-in user of a request or connection. */
export interface Viewer {
  readonly userId: string
  /** When the token that proved it was issued; null where it does not say. */
  readonly issuedAt: Date | null
  /** When the token that proved it ends. */
  readonly expiresAt: Date
  /** Whether the token lets them act for the whole service, and not just as themselves. */
  readonly isOperator: boolean
}
