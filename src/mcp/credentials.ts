// Which headers of a request say who asks.
// Called by the policies and by the choice among replicas. Promises: pure; a header that is not known to say nothing of it counts as saying it.

/** W3C trace context, as headers and in `_meta`. */
export const TRACE: readonly string[] = ['traceparent', 'tracestate', 'baggage'];

/** Headers that every request has or may have, and that say nothing of who asks. */
const NO_CREDENTIALS: ReadonlySet<string> = new Set(['accept', 'last-event-id', 'x-request-id', ...TRACE]);

/** True for a header that may tell one user from another; its name in lower case. */
export function isCredential(name: string): boolean {
  return !NO_CREDENTIALS.has(name) && !name.startsWith('mcp-');
}

/** Headers of a request that say who asks: name, value, … */
export function credentialsOf(headers: readonly string[]): readonly string[] {
  const own: string[] = [];
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const name = headers[i] ?? '';
    if (isCredential(name)) own.push(name, headers[i + 1] ?? '');
  }
  return own;
}
