// CORS: lets pages of allowed origins call the gateway from a browser.
// Called by http.ts. Promises: only origins that admit.ts let in ever see these headers; never a wildcard.
import type { HeaderRecord, Reply } from '../runtime/runtime.ts';
import type { FrontSpec } from '../snapshot.ts';

const ALLOW =
  'content-type, accept, authorization, mcp-protocol-version, mcp-method, mcp-name, mcp-session-id, last-event-id, traceparent, tracestate, baggage';
const EXPOSE = 'mcp-session-id, www-authenticate, x-request-id, retry-after';
const METHODS = 'POST, GET, DELETE, OPTIONS';
const MAX_AGE_S = '600';

/** Headers that every reply to this origin carries. */
export function corsHeaders(origin: string): HeaderRecord {
  return { 'access-control-allow-origin': origin, 'access-control-expose-headers': EXPOSE, vary: 'Origin' };
}

/** Answer to a preflight request from an allowed origin. */
export function preflight(origin: string | null, front: FrontSpec): Reply {
  if (origin === null) return { status: 204, headers: { allow: METHODS }, body: null };
  const allow = front.corsHeaders.length === 0 ? ALLOW : `${ALLOW}, ${front.corsHeaders.join(', ')}`;
  return {
    status: 204,
    headers: {
      ...corsHeaders(origin),
      'access-control-allow-methods': METHODS,
      'access-control-allow-headers': allow,
      'access-control-max-age': MAX_AGE_S,
    },
    body: null,
  };
}
