// The rules of graphql-eslint for schemas and for Relay, on schema.graphql. Each exception has its reason.
import graphql from '@graphql-eslint/eslint-plugin';

export default [
  {
    files: ['**/schema.graphql'],
    languageOptions: { parser: graphql.parser, parserOptions: { graphQLConfig: { schema: 'schema.graphql' } } },
    plugins: { '@graphql-eslint': graphql },
    rules: {
      ...graphql.configs['flat/schema-recommended'].rules,
      ...graphql.configs['flat/schema-relay'].rules,
      // Short lists, such as the addresses of a client, are plain lists, and each connection has `nodes` for callers
      // that need no cursors.
      '@graphql-eslint/relay-edge-types': ['error', { listTypeCanWrapOnlyEdgeType: false }],
      // `clientId` is the ID that people use, and `id` the global one. `clientRole` is the name in both APIs.
      '@graphql-eslint/no-typename-prefix': 'off',
      '@graphql-eslint/strict-id-in-types': ['error', {
        exceptions: {
          // Answers, pages, problems and conditions are values. A version is read by its client and number.
          suffixes: [
            'Payload', 'Result', 'Connection', 'Edge', 'Error', 'Warning', 'Condition', 'Conditions', 'Version',
          ],
          types: [
            'PageInfo',
            // The caller of the request itself, which may be no stored object.
            'Viewer',
            // Parts of a record or of a computed answer.
            'AuditCaller', 'AuditChange', 'ClientDifference', 'MessagePreview',
            // A page of the change feed, and what is identified by its position there.
            'ClientChanges', 'ClientChange', 'ChangedMember',
            // Parts of a definition, which are replaced together with it.
            'CustomFieldOption', 'CustomFieldRole', 'MessageTemplateVariant',
          ],
        },
      }],
    },
  },
];
