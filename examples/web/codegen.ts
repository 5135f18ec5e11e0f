import type { CodegenConfig } from '@graphql-codegen/cli';
import { formatDocument } from 'urql';

const config: CodegenConfig = {
  schema: '../../schema.graphql',
  documents: 'src/**/*.{ts,tsx}',
  ignoreNoDocuments: false,
  generates: {
    'src/gql/': {
      preset: 'client',
      presetConfig: {
        fragmentMasking: { unmaskFunctionName: 'readFragment' },
        // The server knows a document by this hash, and the manifest src/gql/persisted-documents.json lists them.
        persistedDocuments: { mode: 'embedHashInDocument', hashAlgorithm: 'sha256' },
      },
      // urql's cache needs the types' names, and a persisted document can't be changed when it is sent.
      documentTransforms: [
        {
          transform: ({ documents }) =>
            documents.map((file) => (file.document ? { ...file, document: formatDocument(file.document) } : file)),
        },
      ],
      config: {
        strictScalars: true,
        scalars: { Date: 'string', DateTime: 'string', Decimal: 'string' },
        useTypeImports: true,
      },
    },
  },
};

export default config;
