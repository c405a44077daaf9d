// Which headers of a request stand for its client at a legacy server, and which are that one request's alone.
// Called by pool.ts, passage.ts and state.ts. Promises: pure.
import type { UpstreamRequest } from '../../upstream/upstream.ts';

/** Headers of a request that do not stand for its client. */
const OWN_HEADERS: ReadonlySet<string> = new Set([
  'accept',
  'last-event-id',
  'x-request-id',
  'traceparent',
  'tracestate',
  'baggage',
]);

/** Headers that stand for a client at the server: what the configuration lets pass of its own. */
export function credentialsOf({ headers }: UpstreamRequest): string[] {
  const credentials: string[] = [];
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const name = headers[i] ?? '';
    if (!OWN_HEADERS.has(name) && !name.startsWith('mcp-')) credentials.push(name, headers[i + 1] ?? '');
  }
  return credentials;
}

/** Headers of one request alone that its server may see as well: correlation and trace context. */
export function ownHeadersOf({ headers }: UpstreamRequest): string[] {
  const own: string[] = [];
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const name = headers[i] ?? '';
    if (name !== 'accept' && name !== 'last-event-id' && OWN_HEADERS.has(name))
      own.push(name, headers[i + 1] ?? '');
  }
  return own;
}
