// The requests that a modern server gets on behalf of a legacy session: headers, and messages of the gateway's own.
// Called by call.ts, discovery.ts, schemas.ts and listen.ts. Promises: the headers mirror the body as 2026-07-28 demands; none of the client's own mcp-* headers
// passes; whatever is kept for later is bound to credentialsOf().
import { concat, EMPTY, encode, splice } from '../../base/bytes.ts';
import { type Message, text } from '../../mcp/envelope.ts';
import { encodeMirrored } from '../../mcp/headers.ts';
import { mirroredPlace } from '../../mcp/protocol.ts';
import { ENVELOPE, type Scanner } from '../../scan/contract.ts';
import type { UpstreamRequest } from '../../upstream/upstream.ts';
import { isCredential } from '../era-facts.ts';
import type { Draft } from '../member.ts';
import { SPOKEN_VERSION } from './profile.ts';

const ACCEPT_BOTH = 'application/json, text/event-stream';
const OWN_NAMES: readonly string[] = ['accept', 'last-event-id'];

/** The client's headers that a modern request takes along: all but the protocol's own. */
export function carriedHeaders(headers: readonly string[]): readonly string[] {
  const carried: string[] = [];
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const name = headers[i] ?? '';
    if (!name.startsWith('mcp-') && !OWN_NAMES.includes(name)) carried.push(name, headers[i + 1] ?? '');
  }
  return carried;
}

/** Value of a header, or null. */
export function headerOf(headers: readonly string[], name: string): string | null {
  for (let i = 0; i + 1 < headers.length; i += 2) if (headers[i] === name) return headers[i + 1] ?? null;
  return null;
}

/** True when a client takes an event stream in reply to a POST; one that says nothing takes everything. */
export function takesEvents(headers: readonly string[]): boolean {
  const accept = headerOf(headers, 'accept')?.toLowerCase() ?? '*/*';
  return accept.includes('text/event-stream') || accept.includes('*/*') || accept.includes('text/*');
}

/** Whom a request is for and the headers by which its server knows them, as a key for what is kept of the server's answers. */
export function credentialsOf({ client, headers }: UpstreamRequest, forwarded: readonly string[]): string {
  const values: string[] = [];
  // A header may come more than once, and its server may heed any of them.
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const name = headers[i] ?? '';
    if (forwarded.includes(name) && isCredential(name)) values.push(name, headers[i + 1] ?? '');
  }
  return JSON.stringify([client.principal, client.endpoint, values]);
}

/** Headers of a modern request: what is carried, and what mirrors its body. `name` is the text that Mcp-Name mirrors. */
export function modernHeaders(
  carried: readonly string[],
  method: string,
  name: string | null = null,
): readonly string[] {
  const headers = ['accept', ACCEPT_BOTH, 'mcp-protocol-version', SPOKEN_VERSION];
  headers.push('mcp-method', encodeMirrored(method));
  if (name !== null) headers.push('mcp-name', encodeMirrored(name));
  return [...headers, ...carried];
}

/** Text that Mcp-Name mirrors; null when the method has none. */
export function mirroredName({ bytes, envelope }: Message, method: string): string | null {
  const place = mirroredPlace(method);
  return place < 0 ? null : text(bytes, envelope, place);
}

/** A client's message with what its endpoint changed of it, to be kept for as long as the call lasts. */
export function ownedMessage(scanner: Scanner, { body, envelope, edits }: UpstreamRequest): Message | null {
  // The client's envelope is used again once it has left.
  if (envelope === null) return null;
  if (edits.length === 0) return { bytes: body, envelope: envelope.slice() };
  const { body: bytes, envelope: own } = scanned(scanner, splice(body, edits));
  return { bytes, envelope: own };
}

/** A message of ours, ready to be sent. */
export function scanned(scanner: Scanner, body: Uint8Array): Draft & { readonly envelope: Int32Array } {
  const envelope = new Int32Array(ENVELOPE.length);
  scanner.scan(body, 0, body.length, envelope);
  return { body, envelope, edits: [] };
}

/** A request of the gateway's own. `params` are raw members besides `_meta`, without a comma at their end; `meta` are those of `_meta`. */
export function ownRequest(
  scanner: Scanner,
  of: {
    readonly id: string;
    readonly method: string;
    readonly params?: Uint8Array;
    readonly meta: Uint8Array;
  },
): Draft {
  const { id, method, params = EMPTY, meta } = of;
  const head = `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"method":${JSON.stringify(method)},"params":{`;
  const body = concat([
    encode(head),
    params,
    encode(params.length === 0 ? '"_meta":{' : ',"_meta":{'),
    meta,
    encode('}}}'),
  ]);
  return scanned(scanner, body);
}
