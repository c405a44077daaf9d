// Which of the client's headers a server gets to see.
// Called by forward.ts and the aggregates. Promises: the protocol's own headers and trace context pass; anything else, credentials above all, only to the
// servers whose configuration names it.

import type { ClientHeaders } from '../exchange/client-headers.ts';
import type { Exchange } from '../exchange.ts';
import type { HeaderRecord } from '../runtime/runtime.ts';

/** What an aggregated request says differently from the client's own headers. */
export interface HeaderChanges {
  /** Another method than the client's: what mirrors its params does not go along. */
  readonly mcpMethod?: string;
  readonly mcpName?: string | null;
  readonly protocolVersion?: string | null;
}

/** Headers of an event stream of ours: nothing on the way may buffer or change it. */
export const EVENT_STREAM_HEADERS: HeaderRecord = Object.freeze({
  'content-type': 'text/event-stream',
  'cache-control': 'no-cache, no-transform',
  'x-accel-buffering': 'no',
});

/** Accept that the protocol demands of every POST. */
export const ACCEPT_BOTH = 'application/json, text/event-stream';

/** name, value, … for one upstream request. */
export function requestHeaders(
  exchange: Exchange,
  optionalAllowed: readonly string[],
  changes: HeaderChanges = {},
): readonly string[] {
  const from = exchange.headers;
  const to: string[] = [];
  put(to, 'accept', from.accept ?? (exchange.verb === 'GET' ? 'text/event-stream' : ACCEPT_BOTH));
  put(
    to,
    'mcp-protocol-version',
    changes.protocolVersion === undefined ? from.protocolVersion : changes.protocolVersion,
  );
  put(to, 'mcp-method', changes.mcpMethod ?? from.mcpMethod);
  put(to, 'mcp-name', changes.mcpName === undefined ? from.mcpName : changes.mcpName);
  put(to, 'last-event-id', from.lastEventId);
  put(to, 'x-request-id', exchange.id);
  if (changes.mcpMethod === undefined) for (const part of from.passed) to.push(part);
  else pushUnmirrored(to, from.passed);
  if (optionalAllowed.length > 0) pushOptional(to, from, optionalAllowed);
  return to;
}

function pushUnmirrored(to: string[], passed: readonly string[]): void {
  for (let i = 0; i + 1 < passed.length; i += 2) {
    const name = passed[i] ?? '';
    if (!name.startsWith('mcp-param-')) to.push(name, passed[i + 1] ?? '');
  }
}

function put(to: string[], name: string, value: string | null): void {
  if (value !== null) to.push(name, value);
}

function pushOptional(to: string[], from: ClientHeaders, allowed: readonly string[]): void {
  for (let i = 0; i + 1 < from.optional.length; i += 2) {
    const name = from.optional[i];
    const value = from.optional[i + 1];
    if (name !== undefined && value !== undefined && allowed.includes(name)) to.push(name, value);
  }
}
