import type { CodegenConfig } from '@graphql-codegen/cli';

const config: CodegenConfig = {
  schema: '../../schema.graphql',
  documents: 'src/*.ts',
  // As Node resolves modules.
  importExtension: '.js',
  generates: {
    'src/gql/': {
      preset: 'client',
      presetConfig: { fragmentMasking: false },
      config: {
        // A document stays a text, as fetch sends it; the type of its answer is known all the same.
        documentMode: 'string',
        strictScalars: true,
        scalars: { Date: 'string', DateTime: 'string', Decimal: 'string' },
        useTypeImports: true,
      },
    },
  },
};

export default config;
