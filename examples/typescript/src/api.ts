import type { TypedDocumentString } from './gql/graphql.js';

const { API_URL = 'http://127.0.0.1:8080', API_TOKEN } = process.env;
if (API_TOKEN === undefined) throw new Error('Set API_TOKEN to an API token.');

interface Answer<Data> {
  data?: Data | null;
  errors?: { message: string; extensions?: { code?: string; requestId?: string } }[];
}

/** A request that the server refused as a whole. Problems of an input are no errors: they are in `userErrors`. */
export class RequestError extends Error {
  constructor(message: string, readonly code: string | undefined, readonly requestId: string | undefined) {
    super(message);
  }
}

export async function request<Data, Variables>(
  document: TypedDocumentString<Data, Variables>,
  variables: Variables,
): Promise<Data> {
  const response = await fetch(`${API_URL}/graphql`, {
    method: 'POST',
    headers: { authorization: `Bearer ${API_TOKEN}`, 'content-type': 'application/json' },
    body: JSON.stringify({ query: document.toString(), variables }),
    signal: AbortSignal.timeout(30_000),
  });
  const { data, errors = [] } = (await response.json()) as Answer<Data>;
  const [error] = errors;
  if (error) throw new RequestError(error.message, error.extensions?.code, error.extensions?.requestId);
  if (data == null) throw new RequestError(`status ${response.status} without data`, undefined, undefined);
  return data;
}
