// The package brings its types as comments only.
declare module 'apollo-upload-client/UploadHttpLink.mjs' {
  import type { ApolloLink } from '@apollo/client'

  // biome-ignore lint/style/noDefaultExport: it is the package's
  export default class UploadHttpLink extends ApolloLink {
    constructor(options: { uri: string; headers?: Record<string, string> })
  }
}
