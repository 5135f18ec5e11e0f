import { Client } from 'urql';
import { API_URL, transport } from './api';
import { graphql } from './gql';
import { explain } from './problems';

/** A signed-in user. Credentials stay in memory: they are gone when the page is reloaded. */
export interface Session {
  name: string;
  /** The value of the header `Authorization`. */
  authorization(): string;
  signOut(): Promise<void>;
}

const ViewerQuery = graphql(`
  query Viewer {
    viewer { name }
  }
`);

/** Begins a session, or returns a sentence that says why it can't. */
export async function signIn(name: string, password: string): Promise<Session | string> {
  const utf8 = new TextEncoder().encode(`${name}:${password}`);
  const authorization = `Basic ${btoa(String.fromCharCode(...utf8))}`;
  const api = new Client({
    url: API_URL,
    preferGetMethod: false,
    fetchOptions: { headers: { authorization }, credentials: 'omit' },
    exchanges: transport,
  });
  const { data, error } = await api.query(ViewerQuery, {}).toPromise();
  const viewer = data?.viewer;
  if (viewer) {
    return { name: viewer.name, authorization: () => authorization, signOut: () => Promise.resolve() };
  }
  return error ? explain(error) : 'The server did not answer. Try again.';
}
