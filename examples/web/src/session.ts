import { Client, type AnyVariables, type CombinedError, type OperationResult, type TypedDocumentNode } from 'urql';
import { API_URL, transport } from './api';
import { graphql } from './gql';
import { explain } from './problems';

/** A signed-in user. The tokens stay in memory: they are gone when the page is reloaded. */
export interface Session {
  name: string;
  /** The value of the header `Authorization`. */
  authorization(): string;
  /** Replaces both tokens. Without success, the next request tells that the session has ended. */
  refresh(): Promise<void>;
  signOut(): Promise<void>;
}

const SignInMutation = graphql(`
  mutation SignIn($input: SignInInput!) {
    signIn(input: $input) {
      accessToken
      refreshToken
      viewer { name }
      userErrors { message }
    }
  }
`);

const RefreshMutation = graphql(`
  mutation RefreshSession($input: RefreshSessionInput!) {
    refreshSession(input: $input) { accessToken refreshToken }
  }
`);

const SignOutMutation = graphql(`
  mutation SignOut {
    signOut { endedSessions }
  }
`);

/** Outside of the client of the other requests, which waits while a session is refreshed. */
function send<Data, Variables extends AnyVariables>(
  document: TypedDocumentNode<Data, Variables>,
  variables: Variables,
  headers: Record<string, string> = {},
): Promise<OperationResult<Data, Variables>> {
  const fetchOptions: RequestInit = { headers, credentials: 'omit' };
  const api = new Client({ url: API_URL, preferGetMethod: false, fetchOptions, exchanges: transport });
  return api.mutation(document, variables).toPromise();
}

/** Begins a session, or returns a sentence that says why it can't. */
export async function signIn(name: string, password: string): Promise<Session | string> {
  const { data, error } = await send(SignInMutation, { input: { name, password } });
  const payload = data?.signIn;
  if (payload?.accessToken == null || payload.refreshToken == null) return problem(payload?.userErrors, error);
  let { accessToken, refreshToken } = payload;
  const authorization = () => `Bearer ${accessToken}`;
  const session: Session = {
    name: payload.viewer?.name ?? name,
    authorization,
    async refresh() {
      const refreshed = (await send(RefreshMutation, { input: { refreshToken } })).data?.refreshSession;
      accessToken = refreshed?.accessToken ?? accessToken;
      refreshToken = refreshed?.refreshToken ?? refreshToken;
    },
    async signOut() {
      const end = () => send(SignOutMutation, {}, { authorization: authorization() });
      // It needs a valid access token: with an expired one, the session would go on.
      if ((await end()).error) {
        await session.refresh();
        await end();
      }
    },
  };
  return session;
}

function problem(userErrors: readonly { message: string }[] = [], error: CombinedError | undefined): string {
  return userErrors[0]?.message ?? (error ? explain(error) : 'The server did not answer. Try again.');
}
