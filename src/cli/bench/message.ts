// Requests of the load as bytes made beforehand: everything but the id, which has a fixed place and a fixed width.
// Called by handshake.ts and load.ts. Promises: pure; headers and `_meta` are those of the MCP revision spoken (2026-07-28, or the handshake
// revisions); a large body is shared by all connections, only the first bytes up to the id are each connection's own.
import { concat, EMPTY, encode } from '../../base/bytes.ts';
import { encodeMirrored } from '../../mcp/headers.ts';
import { META, METHOD } from '../../mcp/protocol.ts';
import type { Era } from '../../upstream/upstream.ts';

/** Ids run from here; all have as many digits. */
export const FIRST_ID = 100_000_000;
const ID_DIGITS = 9;
const ZERO = 48;

/** Where requests go: what stands in the request line and in Host. */
export interface Place {
  readonly host: string;
  /** Path and query. */
  readonly path: string;
}

/** Who speaks, which revision, and what every request carries besides. */
export interface Speech {
  readonly era: Era;
  readonly version: string;
  /** Extra headers: name, value. */
  readonly headers: readonly (readonly [string, string])[];
  /** Version of this program, told to servers. */
  readonly client: string;
}

/** A request as bytes: `start` ends with the id, `rest` follows it. */
export interface RequestBytes {
  readonly start: Uint8Array;
  readonly rest: Uint8Array;
}

/** A JSON-RPC message without its id. `name` is what Mcp-Name mirrors. */
export interface Message {
  readonly method: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly name?: string;
}

/** Params as the era wants them: modern ones carry their own metadata. */
function paramsFor(speech: Speech, params: Readonly<Record<string, unknown>>): Record<string, unknown> {
  if (speech.era === 'legacy') return { ...params };
  const meta = {
    [META.protocolVersion]: speech.version,
    [META.clientInfo]: { name: 'sluice-bench', version: speech.client },
    [META.clientCapabilities]: {},
  };
  return { ...params, _meta: meta };
}

/** Params of the handshake that opens a legacy session. */
export function initializeParams(speech: Speech): Record<string, unknown> {
  return {
    protocolVersion: speech.version,
    capabilities: {},
    clientInfo: { name: 'sluice-bench', version: speech.client },
  };
}

/** Headers of a POST besides Host and Content-Length. */
export function headersFor(
  speech: Speech,
  message: Message,
  session: string | null,
): (readonly [string, string])[] {
  const headers: (readonly [string, string])[] = [
    ['content-type', 'application/json'],
    ['accept', 'application/json, text/event-stream'],
  ];
  if (message.method !== METHOD.initialize) headers.push(['mcp-protocol-version', speech.version]);
  if (speech.era === 'modern') {
    headers.push(['mcp-method', message.method]);
    if (message.name !== undefined) headers.push(['mcp-name', encodeMirrored(message.name)]);
  }
  if (session !== null) headers.push(['mcp-session-id', session]);
  const own = new Set(speech.headers.map(([name]) => name.toLowerCase()));
  return [...headers.filter(([name]) => !own.has(name)), ...speech.headers];
}

/** The text of a request with this id, or of a notification. */
export function messageText(speech: Speech, message: Message, id: number | null): string {
  const params = JSON.stringify(paramsFor(speech, message.params));
  const idPart = id === null ? '' : `"id":${id},`;
  return `{"jsonrpc":"2.0",${idPart}"method":${JSON.stringify(message.method)},"params":${params}}`;
}

function headText(verb: string, place: Place, headers: readonly (readonly [string, string])[]): string {
  const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  return `${verb} ${place.path} HTTP/1.1\r\nhost: ${place.host}\r\n${lines}`;
}

/** A POST of a request. The id is set with setId() before each sending. */
export function requestBytes(
  place: Place,
  speech: Speech,
  message: Message,
  session: string | null,
): RequestBytes {
  const body = encode(messageText(speech, message, FIRST_ID));
  // The id comes before anything that could hold its digits, and before the first character that is not ASCII.
  const split = '{"jsonrpc":"2.0","id":'.length + ID_DIGITS;
  const head = `${headText('POST', place, headersFor(speech, message, session))}content-length: ${body.length}\r\n\r\n`;
  return { start: concat([encode(head), body.subarray(0, split)]), rest: body.subarray(split) };
}

/** A POST of a notification. */
export function notificationBytes(
  place: Place,
  speech: Speech,
  message: Message,
  session: string | null,
): RequestBytes {
  const body = messageText(speech, message, null);
  const headers = headersFor(speech, message, session);
  return {
    start: encode(`${headText('POST', place, headers)}content-length: ${encode(body).length}\r\n\r\n${body}`),
    rest: EMPTY,
  };
}

/** The DELETE that ends a legacy session. */
export function deleteBytes(place: Place, speech: Speech, session: string): RequestBytes {
  const headers = [
    ['mcp-protocol-version', speech.version],
    ['mcp-session-id', session],
    ...speech.headers,
  ] as const;
  return { start: encode(`${headText('DELETE', place, headers)}\r\n`), rest: EMPTY };
}

/** Writes an id over the last digits of `start`. */
export function setId(start: Uint8Array, id: number): void {
  let left = id;
  for (let at = start.length - 1; at >= start.length - ID_DIGITS; at--) {
    start[at] = ZERO + (left % 10);
    left = Math.floor(left / 10);
  }
}

/** Bytes of one request. */
export function byteLength(request: RequestBytes): number {
  return request.start.length + request.rest.length;
}

/**
 * Arguments grown to a payload: the first string among them, or `text` when there is none, is filled up to `bytes` characters.
 */
export function withPayload(
  given: Readonly<Record<string, unknown>>,
  bytes: number,
): Record<string, unknown> {
  const key = Object.keys(given).find((name) => typeof given[name] === 'string') ?? 'text';
  const text = 'The quick brown fox jumps over the lazy dog. ';
  return { ...given, [key]: text.repeat(Math.ceil(bytes / text.length)).slice(0, bytes) };
}
