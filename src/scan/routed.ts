// Which value of a request says where it goes, and its look-up: what RouteScan adds to a scan.
// Called by portable.ts; proxy/routing.ts asks for the same places. native/route/message.cc is the twin. Promises: looks at spans only, decodes nothing:
// what is spelled with escapes is said to be so.
import { ENVELOPE, KIND, ROUTE, ROUTE_KIND } from './contract.ts';
import { ownerOf, type RouteLookup } from './lookup.ts';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** Methods that one server answers, and the place of the value that tells which. */
const PLACES: Readonly<Record<string, number>> = Object.freeze({
  'tools/call': ENVELOPE.name,
  'prompts/get': ENVELOPE.name,
  'resources/read': ENVELOPE.uri,
  'resources/subscribe': ENVELOPE.uri,
  'resources/unsubscribe': ENVELOPE.uri,
  // The URI instead, where there is one: see routedPlace().
  'completion/complete': ENVELOPE.refName,
  'tasks/get': ENVELOPE.taskId,
  'tasks/update': ENVELOPE.taskId,
  'tasks/cancel': ENVELOPE.taskId,
  'tasks/result': ENVELOPE.taskId,
});

const METHODS = Object.entries(PLACES).map(([method, place]) => ({
  text: new TextEncoder().encode(method),
  place,
}));

/** Place of the value that says where a request of this method goes, or -1 when no one server answers it. */
export function routedPlace(method: string, envelope: Int32Array): number {
  return preciser(Object.hasOwn(PLACES, method) ? (PLACES[method] ?? -1) : -1, envelope);
}

/** ROUTE_KIND of the value at a routed place. */
export function routedKind(place: number): number {
  return place === ENVELOPE.name || place === ENVELOPE.refName ? ROUTE_KIND.name : ROUTE_KIND.uri;
}

/** A completion is about a prompt by its name or a resource by its URI. */
function preciser(place: number, envelope: Int32Array): number {
  return place === ENVELOPE.refName && (envelope[ENVELOPE.refUri] ?? -1) >= 0 ? ENVELOPE.refUri : place;
}

/** Fills the places from ENVELOPE.route on, which are -1, for a message that was scanned without fault. */
export function routeMessage(
  lookup: RouteLookup,
  bytes: Uint8Array,
  envelope: Int32Array,
  endpoint: number,
): void {
  if (envelope[ENVELOPE.kind] !== KIND.request) return;
  const start = envelope[ENVELOPE.method] ?? 0;
  const end = envelope[ENVELOPE.method + 1] ?? 0;
  const place = preciser(placeOf(bytes, start, end), envelope);
  if (place >= 0) look(lookup, bytes, envelope, { endpoint, place });
  else if (bytes[start] === QUOTE && hasEscape(bytes, start, end)) envelope[ENVELOPE.route] = ROUTE.escaped;
}

function look(
  lookup: RouteLookup,
  bytes: Uint8Array,
  envelope: Int32Array,
  { endpoint, place }: { readonly endpoint: number; readonly place: number },
): void {
  const start = envelope[place] ?? -1;
  const end = envelope[place + 1] ?? -1;
  envelope[ENVELOPE.routePlace] = place;
  envelope[ENVELOPE.route] = ROUTE.unknown;
  if (start < 0 || bytes[start] !== QUOTE) return;
  if (hasEscape(bytes, start, end)) {
    envelope[ENVELOPE.route] = ROUTE.escaped;
    return;
  }
  const isFound = lookup.find(ownerOf(endpoint, routedKind(place)), bytes, start + 1, end - 1);
  envelope[ENVELOPE.routeEpoch] = lookup.epoch;
  if (!isFound) return;
  envelope[ENVELOPE.route] = lookup.upstream;
  envelope[ENVELOPE.routeStrip] = lookup.strip;
}

/** Place for the method whose raw string, quotes included, is bytes[start…end); -1 when it is none of ours. */
function placeOf(bytes: Uint8Array, start: number, end: number): number {
  if (bytes[start] !== QUOTE) return -1;
  next: for (const { text, place } of METHODS) {
    if (text.length !== end - start - 2) continue;
    for (let i = 0; i < text.length; i++) if (bytes[start + 1 + i] !== text[i]) continue next;
    return place;
  }
  return -1;
}

function hasEscape(bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at++) if (bytes[at] === BACKSLASH) return true;
  return false;
}
