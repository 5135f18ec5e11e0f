import type { CombinedError } from 'urql';

const SENTENCES: Record<string, string> = {
  CONFLICT: 'Somebody else changed the same data at the same time. Try again.',
  FORBIDDEN: 'You lack a permission for this.',
  RATE_LIMITED: 'Too many requests. Wait a moment and try again.',
  TIMEOUT: 'The server took too long. Try again.',
  UNAVAILABLE: 'The server is overloaded. Try again in a moment.',
};

/** A sentence for a request that failed as a whole. The ID finds the request in the server's log. */
export function explain(error: CombinedError): string {
  const [first] = error.graphQLErrors;
  if (!first) return 'The server could not be reached. Check your connection and try again.';
  const { code, requestId } = first.extensions;
  const sentence = (typeof code === 'string' ? SENTENCES[code] : undefined) ?? first.message;
  return typeof requestId === 'string' ? `${sentence} (Request ${requestId})` : sentence;
}
