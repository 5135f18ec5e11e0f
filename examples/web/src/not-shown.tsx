import type { CombinedError } from 'urql';
import { explain } from './problems';

interface Props {
  clientId: string;
  fetching: boolean;
  error: CombinedError | undefined;
}

/** In place of a client that isn't there, or not yet. */
export function NotShown({ clientId, fetching, error }: Props) {
  if (fetching) return <p>Loading…</p>;
  return <p role="alert" className="error">{error ? explain(error) : `There is no client ${clientId}.`}</p>;
}
