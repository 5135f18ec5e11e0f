import { authExchange } from '@urql/exchange-auth';
import { persistedExchange } from '@urql/exchange-persisted';
import {
  cacheExchange,
  Client,
  fetchExchange,
  mapExchange,
  type CombinedError,
  type TypedDocumentNode,
} from 'urql';
import type { Session } from './session';

export const API_URL = import.meta.env.VITE_API_URL ?? 'http://127.0.0.1:8080/graphql';

/** Sends the hash that graphql-codegen wrote into a document instead of its text. */
const persisted = persistedExchange({
  enforcePersistedQueries: true,
  enableForMutation: true,
  // A search has names of people, which belong in no address and no log of a proxy.
  preferGetForPersistedQueries: false,
  generateHash: (_, document: TypedDocumentNode & { __meta__?: { hash?: string } }) => {
    const hash = document.__meta__?.hash?.replace('sha256:', '');
    return hash === undefined ? Promise.reject(new Error('run npm run codegen')) : Promise.resolve(hash);
  },
});

/** A server in development doesn't know the documents yet. */
export const transport = import.meta.env.PROD ? [persisted, fetchExchange] : [fetchExchange];

function isUnauthenticated(error: CombinedError): boolean {
  return error.graphQLErrors.some(({ extensions }) => extensions.code === 'UNAUTHENTICATED');
}

export function createApi(session: Session, onEnded: () => void): Client {
  return new Client({
    url: API_URL,
    preferGetMethod: false,
    fetchOptions: { credentials: 'omit' },
    exchanges: [
      mapExchange({
        onError(error) {
          if (isUnauthenticated(error)) onEnded();
        },
      }),
      cacheExchange,
      // Refreshes an expired session once for all requests that wait, and repeats the request that was refused.
      authExchange((utilities) =>
        Promise.resolve({
          addAuthToOperation: (operation) =>
            utilities.appendHeaders(operation, { authorization: session.authorization() }),
          didAuthError: isUnauthenticated,
          refreshAuth: () => session.refresh(),
        }),
      ),
      ...transport,
    ],
  });
}
