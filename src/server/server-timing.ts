// Where the time of an exchange went, told to its client: Server-Timing (W3C) on every reply, and `_meta` of the result when the request asks for it there.
// Called by http.ts when a reply leaves. Promises: one reading of the clock; a reply that streams tells of the time up to its head; a body is spliced, never encoded
// again, and one that is no JSON-RPC result stays as it is.
import { encode, splice } from '../base/bytes.ts';
import { decimal } from '../base/decimal.ts';
import type { Exchange } from '../exchange.ts';
import { span } from '../mcp/envelope.ts';
import { isObject, member, skipBlank } from '../mcp/json.ts';
import { putInMeta } from '../mcp/object-edits.ts';
import type { Clock } from '../runtime/runtime.ts';
import { ENVELOPE, KIND } from '../scan/contract.ts';

/** The key that asks for it in a request's `_meta`, with `true`, and under which it comes in the result's. */
const TIMING_KEY = 'sluice/timing';
const ASKED = encode(`"${TIMING_KEY}"`);
const PLACES = 1000;

/** Adds the times to a reply's headers; returns its body, with the times in it if the request asked for that. */
export function timeReply<B>(
  clock: Clock,
  exchange: Exchange,
  headers: Record<string, string>,
  body: B,
): B | Uint8Array {
  exchange.endAt(clock.now());
  let text = `gateway;dur=${decimal(exchange.gatewayMs)}, upstream;dur=${decimal(exchange.upstreamMs)}`;
  if (exchange.queueMs > 0) text += `, queue;dur=${decimal(exchange.queueMs)}`;
  if (exchange.connectMs > 0) text += `, connect;dur=${decimal(exchange.connectMs)}`;
  if (exchange.isCached) text += ', cache;desc=hit';
  headers['server-timing'] = text;
  return body instanceof Uint8Array && isAsked(exchange) ? withTimes(exchange, body) : body;
}

function isAsked({ kind, body, envelope }: Exchange): boolean {
  if (kind !== KIND.request || envelope === null) return false;
  const meta = span(envelope, ENVELOPE.meta);
  if (
    meta === null ||
    !Buffer.from(body.buffer, body.byteOffset + meta.start, meta.end - meta.start).includes(ASKED)
  )
    return false;
  const at = isObject(body, meta.start) ? member(body, meta.start, TIMING_KEY) : null;
  // true, and nothing else
  return at !== null && at.end - at.start === 4 && body[at.start] === 0x74;
}

function withTimes(exchange: Exchange, body: Uint8Array): Uint8Array {
  const top = skipBlank(body, 0);
  const result = isObject(body, top) ? member(body, top, 'result') : null;
  if (result === null || !isObject(body, result.start)) return body;
  const times = {
    gatewayMs: rounded(exchange.gatewayMs),
    queueMs: rounded(exchange.queueMs),
    connectMs: rounded(exchange.connectMs),
    upstreamMs: rounded(exchange.upstreamMs),
    sends: exchange.sends,
    isCached: exchange.isCached,
  };
  const pair = encode(`"${TIMING_KEY}":${JSON.stringify(times)}`);
  const meta = member(body, result.start, '_meta');
  if (meta !== null && (!isObject(body, meta.start) || member(body, meta.start, TIMING_KEY) !== null))
    return body;
  return splice(body, [putInMeta(body, result, meta, pair)]);
}

/** Milliseconds with three places behind the point. */
function rounded(ms: number): number {
  return Math.round(ms * PLACES) / PLACES;
}
