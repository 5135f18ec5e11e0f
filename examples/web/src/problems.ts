import type { CombinedError } from 'urql';

const SENTENCES: Record<string, string> = {
  CONFLICT: 'Somebody else changed the same data at the same time. Try again.',
  FORBIDDEN: 'You lack a permission for this.',
  RATE_LIMITED: 'Too many requests. Wait a moment and try again.',
  TIMEOUT: 'The server took too long. Try again.',
  UNAVAILABLE: 'The server is overloaded. Try again in a moment.',
};

/** A sentence for a request that failed as a whole. */
export function explain(error: CombinedError): string {
  const [first] = error.graphQLErrors;
  return first ? sentence(first) : 'The server could not be reached. Check your connection and try again.';
}

/** A sentence for a field that is null because of an error, while the rest of the answer is there. */
export function explainField(error: CombinedError | undefined, ...path: string[]): string | undefined {
  const found = error?.graphQLErrors.find((one) => one.path?.join('.') === path.join('.'));
  return found && sentence(found);
}

/** The ID finds the request in the server's log. */
function sentence({ message, extensions }: CombinedError['graphQLErrors'][number]): string {
  const { code, requestId } = extensions;
  const text = (typeof code === 'string' ? SENTENCES[code] : undefined) ?? message;
  return typeof requestId === 'string' ? `${text} (Request ${requestId})` : text;
}
