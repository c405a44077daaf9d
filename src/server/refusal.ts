// The reply to a request that is refused by its head.
// Called by http.ts. Promises: a JSON-RPC error without an id, under the table's status, with what a client needs to do better.
import type { GatewayError } from '../base/errors.ts';
import { errorMessage } from '../mcp/errors.ts';
import type { HeaderRecord, Reply } from '../runtime/runtime.ts';

/** The reply; `methods` are those that its path would serve. */
export function refusal(
  error: GatewayError,
  headers: HeaderRecord = {},
  methods: readonly string[] = [],
): Reply {
  const extra: Record<string, string> = { 'content-type': 'application/json' };
  if (error.row.http === 405) extra.allow = methods.join(', ');
  if (error.row.http === 503) extra['retry-after'] = '1';
  // A body that nobody reads would be taken for the next request; and whoever ends wants no further one.
  if (error.row.http === 413 || error.code === 'GW_SERVER_DRAINING') extra.connection = 'close';
  return { status: error.row.http, headers: { ...headers, ...extra }, body: errorMessage(null, error) };
}
