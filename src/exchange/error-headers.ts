// Headers of a reply that is an error of the gateway's own.
// Called by exchange.ts when an exchange is refused. Promises: a client that may come back is told when, and one that used another method which it may use.
import type { GatewayError } from '../base/errors.ts';
import type { HeaderRecord } from '../runtime/runtime.ts';

const JSON_TYPE = 'application/json';

/** What goes with an error besides its message. */
export function errorHeaders(error: GatewayError): HeaderRecord {
  const { http, retry } = error.row;
  if (http === 405) return { 'content-type': JSON_TYPE, allow: 'POST' };
  if (http === 503 && retry === 'safe') return { 'content-type': JSON_TYPE, 'retry-after': '1' };
  return { 'content-type': JSON_TYPE };
}
