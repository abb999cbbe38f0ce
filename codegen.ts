// Typed operations for the tests, as a client application would generate them from the published schema.

import type { CodegenConfig } from '@graphql-codegen/cli'

const config: CodegenConfig = {
  schema: 'schema.graphql',
  documents: ['test/api/documents/*.ts'],
  // Node runs the generated files as they are: imports name the file that is there.
  importExtension: '.ts',
  generates: {
    'test/generated/': {
      preset: 'client',
      presetConfig: { fragmentMasking: false },
      config: {
        useTypeImports: true,
        strictScalars: true,
        scalars: { DateTime: 'string', File: { input: 'File', output: 'never' }, ID: 'string' },
      },
    },
  },
}

export default config
