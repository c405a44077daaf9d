// Which requests a cache looks at, what tells their answers apart, and whose answers they may share.
// Called by cache.ts. Promises: pure; a request with anything in it that is not known to leave the answer as it is has no key, and is not cached; what differs in
// principal, endpoint or a header that the server gets of the client is of another partition. Source: MCP 2026-07-28, caching.
import { decode, equalsAscii, splice } from '../base/bytes.ts';
import { canonical } from '../mcp/canonical.ts';
import { isCredential, TRACE } from '../mcp/credentials.ts';
import { has, text } from '../mcp/envelope.ts';
import { eachMember, isObject, member, type Span } from '../mcp/json.ts';
import { METHOD } from '../mcp/protocol.ts';
import { ENVELOPE, SCAN, type Scanner } from '../scan/contract.ts';
import type { UpstreamRequest } from '../upstream/upstream.ts';

/** What a cache may do with a request. */
export const ASKS = Object.freeze({
  nothing: 0,
  discover: 1,
  tools: 2,
  prompts: 3,
  resources: 4,
  templates: 5,
  read: 6,
  /** Its notifications say what no longer holds. */
  listen: 7,
  /** tools/call: cached only where the configuration asks for it. */
  call: 8,
});

/** An ASKS number. */
export type Asks = (typeof ASKS)[keyof typeof ASKS];

/** A request that may be answered from a cache. */
export interface CacheKey {
  readonly asks: Asks;
  /** What tells answers apart, but for whom they are. */
  readonly text: string;
  /** Of whom it is asked: principal, endpoint and credentials. */
  readonly partition: string;
  /** The resource, unescaped, of a read; the tool's name of a call. */
  readonly subject: string | null;
  /** True for a page of a list behind the first. */
  readonly isPage: boolean;
}

/** What the method at ENVELOPE.method asks; compared as bytes, so that one spelled with escapes asks nothing. A tools/call costs one comparison. */
export function asksOf(body: Uint8Array, envelope: Int32Array): Asks {
  const start = (envelope[ENVELOPE.method] ?? -1) + 1;
  const end = (envelope[ENVELOPE.method + 1] ?? 0) - 1;
  const known = METHODS[end - start];
  if (known === undefined) return ASKS.nothing;
  // Those of one length differ in the third letter from their end.
  for (const { method, asks } of known)
    if (body[start + method.length - 3] === method.charCodeAt(method.length - 3))
      return equalsAscii(body, start, end, method) ? asks : ASKS.nothing;
  return ASKS.nothing;
}

interface Known {
  readonly method: string;
  readonly asks: Asks;
}

/** The methods by their length. */
const METHODS: readonly (readonly Known[] | undefined)[] = byLength([
  { method: METHOD.toolsCall, asks: ASKS.call },
  { method: METHOD.toolsList, asks: ASKS.tools },
  { method: METHOD.promptsList, asks: ASKS.prompts },
  { method: METHOD.resourcesRead, asks: ASKS.read },
  { method: METHOD.resourcesList, asks: ASKS.resources },
  { method: METHOD.templatesList, asks: ASKS.templates },
  { method: METHOD.discover, asks: ASKS.discover },
  { method: METHOD.listen, asks: ASKS.listen },
]);

function byLength(all: readonly Known[]): (readonly Known[] | undefined)[] {
  const longest = Math.max(...all.map(({ method }) => method.length));
  return Array.from({ length: longest + 1 }, (_, length) => {
    const some = all.filter(({ method }) => method.length === length);
    return some.length === 0 ? undefined : some;
  });
}

/** Places of the params that a request may have beside `_meta`. */
function paramsOf(asks: Asks): readonly number[] {
  if (asks === ASKS.discover) return [];
  if (asks === ASKS.read) return [ENVELOPE.uri];
  return asks === ASKS.call ? [ENVELOPE.name, ENVELOPE.arguments] : [ENVELOPE.cursor];
}

/** Places of what may stand in `_meta`: it changes no answer, or is part of the key. */
const META_PLACES: readonly number[] = [
  ENVELOPE.metaProtocolVersion,
  ENVELOPE.metaClientCapabilities,
  ENVELOPE.metaClientInfo,
  ENVELOPE.metaLogLevel,
  ENVELOPE.metaProgressToken,
];

/** The key of a request without edits; null when it is not to be cached. */
export function keyOf(asks: Asks, request: UpstreamRequest): CacheKey | null {
  const { body, envelope, headers } = request;
  const params = envelope?.[ENVELOPE.params] ?? -1;
  const meta = envelope?.[ENVELOPE.meta] ?? -1;
  if (envelope === null || params < 0 || meta < 0 || !isObject(body, params) || !isObject(body, meta))
    return null;
  const places = paramsOf(asks);
  if (countMembers(body, params) !== countPlaces(envelope, places) + 1) return null;
  if (!isPlainMeta(body, envelope, meta)) return null;
  const subject = subjectOf(asks, body, envelope);
  const isPage = has(envelope, ENVELOPE.cursor);
  const needsText = isPage || asks === ASKS.read || asks === ASKS.call;
  if (needsText && subject === null) return null;
  let key = `${asks}\n${rawText(body, envelope, ENVELOPE.metaProtocolVersion)}\n${extensionsOf(body, envelope)}\n`;
  if (asks === ASKS.call) key += callText(body, envelope, headers);
  // An empty cursor is a cursor.
  if (subject !== null) key += `=${subject}`;
  return { asks, text: key, partition: partitionOf(request), subject: isPage ? null : subject, isPage };
}

/** What is asked for: the text of the cursor, the resource or the tool's name; null when there is none, or it is no string. */
function subjectOf(asks: Asks, body: Uint8Array, envelope: Int32Array): string | null {
  if (asks === ASKS.read) return text(body, envelope, ENVELOPE.uri);
  return text(body, envelope, asks === ASKS.call ? ENVELOPE.name : ENVELOPE.cursor);
}

function countMembers(body: Uint8Array, at: number): number {
  let count = 0;
  eachMember(body, at, () => {
    count++;
  });
  return count;
}

function countPlaces(envelope: Int32Array, places: readonly number[]): number {
  let count = 0;
  for (const place of places) if (has(envelope, place)) count++;
  return count;
}

/** True when nothing in `_meta` can change the answer beyond what the key holds. */
function isPlainMeta(body: Uint8Array, envelope: Int32Array, at: number): boolean {
  const known = countPlaces(envelope, META_PLACES);
  if (countMembers(body, at) === known) return true;
  let others = 0;
  eachMember(body, at, (key) => {
    if (!isTrace(body, key)) others++;
  });
  return others === known;
}

function isTrace(body: Uint8Array, key: Span): boolean {
  return TRACE.some((name) => equalsAscii(body, key.start + 1, key.end - 1, name));
}

function rawText(body: Uint8Array, envelope: Int32Array, place: number): string {
  return decode(body, envelope[place] ?? 0, envelope[place + 1] ?? 0);
}

/** Extensions that the client declares: what a server may answer differently for. '' for most. */
function extensionsOf(body: Uint8Array, envelope: Int32Array): string {
  const at = envelope[ENVELOPE.metaClientCapabilities] ?? -1;
  const own = at < 0 || !isObject(body, at) ? null : member(body, at, 'extensions');
  return own === null ? '' : canonical(body, own.start);
}

/** What a call is made with: its arguments, and the headers that mirror some of them, which the server compares. */
function callText(body: Uint8Array, envelope: Int32Array, headers: readonly string[]): string {
  const at = envelope[ENVELOPE.arguments] ?? -1;
  let mirrored = '';
  for (let i = 0; i + 1 < headers.length; i += 2) {
    if (headers[i]?.startsWith('mcp-param-') === true) mirrored += `${headers[i]}:${headers[i + 1]}\n`;
  }
  return `${at < 0 ? '' : canonical(body, at)}\n${mirrored}`;
}

/** Whose request it is, as one text; each part with its length, so that no two clients can be confused. */
function partitionOf({ client, headers }: UpstreamRequest): string {
  const { principal, endpoint } = client;
  let partition = `${principal.length}:${principal}${endpoint.length}:${endpoint}`;
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const name = headers[i] ?? '';
    if (isCredential(name)) partition += `${name}\n${headers[i + 1] ?? ''}\n`;
  }
  return partition;
}

/** The request with its edits applied, since what the server would see decides; null when that cannot be read. */
export function settledOf(scanner: Scanner, request: UpstreamRequest): UpstreamRequest | null {
  if (request.edits.length === 0) return request;
  const body = splice(request.body, request.edits);
  const envelope = new Int32Array(ENVELOPE.length);
  if (scanner.scan(body, 0, body.length, envelope) !== SCAN.ok) return null;
  return { ...request, body, envelope, edits: [] };
}

/** What a call that others may join is known by: within one partition only, since to whom an answer may be shown is known when it is there. */
export function flightId({ text: asked, partition }: CacheKey): string {
  return `${partition.length}:${partition}${asked}`;
}
