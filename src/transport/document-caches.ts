// Documents that were parsed lately, and errors of those that could not be. Bounded by what they weigh and not by how many
// there are: a long document, parsed, takes a thousand times the memory of a short one. Where a document is forgotten, so is
// what is known of it elsewhere (validation, analysis, plans), for that hangs on the document itself.

import type { DocumentNode, GraphQLError } from 'graphql'
import { LRUCache } from 'lru-cache'

/** What a node keeps of documents, estimated, in bytes: more than a thousand of the usual size. */
const DOCUMENTS_BYTES = 64 * 1024 * 1024
const ERRORS_BYTES = 4 * 1024 * 1024
/** A token with its share of the nodes that are made of it: 300 were measured in usual documents, 480 in dense ones. */
const BYTES_PER_TOKEN = 500
const BYTES_PER_ERROR = 2_000
const TTL_MS = 60 * 60 * 1_000

/** The keys are the documents' texts. */
export function createDocumentCaches() {
  return {
    documentCache: new LRUCache<string, DocumentNode>({
      maxSize: DOCUMENTS_BYTES,
      sizeCalculation: (document, text) => text.length * 2 + countTokens(document) * BYTES_PER_TOKEN,
      ttl: TTL_MS,
    }),
    errorCache: new LRUCache<string, GraphQLError>({
      maxSize: ERRORS_BYTES,
      sizeCalculation: (_error, text) => text.length * 2 + BYTES_PER_ERROR,
      ttl: TTL_MS,
    }),
  }
}

function countTokens({ loc }: DocumentNode): number {
  let tokens = 1
  for (let token = loc?.startToken.next; token; token = token.next) tokens++
  return tokens
}
