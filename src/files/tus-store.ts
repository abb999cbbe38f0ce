/**
 * Where resumable uploads are gathered until they are whole: the port. An upload's id is the key that its object is to have,
 * so any node goes on with what another has begun. What was acknowledged outlives the process. An upload whose object is
 * there counts as complete, whatever is left of its gathering.
 */
import type { DataStore } from '@tus/server'

export interface TusStore extends DataStore {
  /** Makes a complete upload the object of its key, copying nothing, and forgets it. Safe to repeat. */
  finish(id: string): Promise<void>
  /** Gives up what is not complete. Safe to repeat. */
  discard(id: string): Promise<void>
}

/** An upload says its length when it begins: the limits are asked then. */
export const TUS_EXTENSIONS = ['creation', 'creation-with-upload', 'termination', 'expiration']
