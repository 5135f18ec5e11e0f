import { useState } from 'react';
import { Provider, type Client } from 'urql';
import { ClientForm } from './client-form';
import { ClientList } from './client-list';
import { ClientPage } from './client-page';
import { useRoute } from './route';
import { SignIn } from './sign-in';
import type { Session } from './session';
import { createApi } from './api';

interface SignedIn {
  session: Session;
  api: Client;
}

export function App() {
  const [signedIn, setSignedIn] = useState<SignedIn>();
  const [notice, setNotice] = useState<string>();

  function begin(session: Session): void {
    // Each session has its own cache, so that a user doesn't see what another user was shown before.
    const api = createApi(session, () => end('Your session has ended. Sign in again.'));
    setSignedIn({ session, api });
  }

  function end(reason?: string): void {
    setSignedIn(undefined);
    setNotice(reason);
  }

  if (!signedIn) return <SignIn notice={notice} onSignedIn={begin} />;
  return (
    <Provider value={signedIn.api}>
      <header>
        <a href="#list">Clients</a>
        <span>
          Signed in as {signedIn.session.name}{' '}
          <button
            type="button"
            onClick={() => {
              void signedIn.session.signOut();
              end();
            }}
          >
            Sign out
          </button>
        </span>
      </header>
      <main>
        <Page />
      </main>
    </Provider>
  );
}

function Page() {
  const { clientId, isEdit } = useRoute();
  if (clientId === null) return <ClientList />;
  return isEdit ? <ClientForm key={clientId} clientId={clientId} /> : <ClientPage key={clientId} clientId={clientId} />;
}
