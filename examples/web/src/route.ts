import { useSyncExternalStore } from 'react';

export interface Route {
  /** Null shows the list. */
  clientId: string | null;
  isEdit: boolean;
}

function subscribe(changed: () => void): () => void {
  window.addEventListener('hashchange', changed);
  return () => window.removeEventListener('hashchange', changed);
}

/** The page that the address names. It is in the fragment, which browsers send to no server. */
export function useRoute(): Route {
  const fragment = useSyncExternalStore(subscribe, () => window.location.hash);
  const parameters = new URLSearchParams(fragment.slice(1));
  return { clientId: parameters.get('client'), isEdit: parameters.has('edit') };
}

export function linkTo(clientId: string, edit = false): string {
  return `#${new URLSearchParams({ client: clientId, ...(edit && { edit: '' }) }).toString()}`;
}
