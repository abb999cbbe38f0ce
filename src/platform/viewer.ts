/** The signed-in user of a request or connection. */
export interface Viewer {
  readonly userId: string
  /** When the token that proved it ends. */
  readonly expiresAt: Date
}
