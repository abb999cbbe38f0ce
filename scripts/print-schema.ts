// Writes schema.graphql from the code. `npm run schema`; a test fails when the two differ.
import { writeFile } from 'node:fs/promises'
import { buildSchema, printPublishedSchema } from '../src/graphql/schema.ts'

await writeFile(new URL('../schema.graphql', import.meta.url), printPublishedSchema(buildSchema()))
