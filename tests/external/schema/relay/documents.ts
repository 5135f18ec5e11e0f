// Documents that relay-compiler accepts only if the schema follows Relay's rules for nodes, connections and mutations.
import { graphql } from 'relay-runtime';

export const list = graphql`
  fragment documents_list on Query
  @argumentDefinitions(count: { type: "Int", defaultValue: 25 }, cursor: { type: "String" }, search: { type: "String" })
  @refetchable(queryName: "documentsListPaginationQuery") {
    clients(first: $count, after: $cursor, search: $search) @connection(key: "documents_clients") {
      edges { node { ...documents_client } }
    }
  }
`;

export const client = graphql`
  fragment documents_client on Client
  @argumentDefinitions(count: { type: "Int", defaultValue: 5 }, cursor: { type: "String" })
  @refetchable(queryName: "documentsClientRefetchQuery") {
    fullName
    addresses { city }
    history(first: $count, after: $cursor) @connection(key: "documents_history") {
      edges { node { at action } }
    }
  }
`;

export const page = graphql`
  query documentsPageQuery($search: String) {
    ...documents_list @arguments(search: $search)
    viewer { name }
  }
`;

export const upsert = graphql`
  mutation documentsUpsertMutation($input: UpsertClientInput!, $connections: [ID!]!) {
    upsertClient(input: $input) {
      client @prependNode(connections: $connections, edgeTypeName: "ClientEdge") { ...documents_client }
      userErrors { code message path }
    }
  }
`;

export const remove = graphql`
  mutation documentsDeleteMutation($input: DeleteClientInput!) {
    deleteClient(input: $input) {
      deletedClientId @deleteRecord
      userErrors { code message path }
    }
  }
`;
