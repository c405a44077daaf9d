// Which member of an aggregate a call is for, told by the mark on its name or URI, and the edit that takes the mark off.
// Called by aggregate-modern.ts and aggregate-legacy.ts. Promises: pure; takes what the scan has found in the route table, and decodes only what is
// spelled with escapes; what bears no member's mark is refused with words that help.
import { decode, type Edit, EMPTY } from '../base/bytes.ts';
import { GatewayError } from '../base/errors.ts';
import type { Exchange } from '../exchange.ts';
import { span, text } from '../mcp/envelope.ts';
import { METHOD } from '../mcp/protocol.ts';
import { replaceString } from '../mcp/rewrite.ts';
import type { EndpointRoutes } from '../route/match.ts';
import { ENVELOPE, ROUTE, ROUTE_KIND } from '../scan/contract.ts';
import { routedKind, routedPlace } from '../scan/routed.ts';

/** A call on its way to one member: which one, and what changes in the message. */
export interface Routed {
  readonly index: number;
  readonly edits: readonly Edit[];
  /** Text for Mcp-Name, null when the method or the era mirrors nothing. */
  readonly mirrored: string | null;
}

/** An aggregate's members by name, for words that help, and its routes. */
export interface RoutedMembers {
  readonly names: readonly string[];
  readonly routes: EndpointRoutes;
}

/** Finds the member that a call is for. */
export function routeCall(exchange: Exchange, members: RoutedMembers): Routed | GatewayError {
  const { envelope, method } = exchange;
  if (envelope === null) return new GatewayError('GW_MCP_MESSAGE');
  const place = routedPlace(method, envelope);
  if (place < 0) {
    return new GatewayError(
      'GW_MCP_METHOD',
      `${shown(exchange, ENVELOPE.method)} is not served where several servers are joined; use /mcp/<name>`,
    );
  }
  const routed =
    envelope[ENVELOPE.routePlace] === place && envelope[ENVELOPE.route] !== ROUTE.escaped
      ? asScanned(exchange, envelope, place)
      : asDecoded(exchange, envelope, place, members.routes);
  return routed ?? unknown(exchange, place, members.names[0] ?? 'server');
}

/** What the scan found: the mark goes as so many bytes, the rest of the message stays as it is. */
function asScanned(exchange: Exchange, envelope: Int32Array, place: number): Routed | null {
  const index = envelope[ENVELOPE.route] ?? ROUTE.unknown;
  if (index < 0) return null;
  const start = (envelope[place] ?? 0) + 1;
  const ownStart = start + (envelope[ENVELOPE.routeStrip] ?? 0);
  const edits = ownStart === start ? [] : [{ start, end: ownStart, insert: EMPTY }];
  const mirrored = isMirrored(exchange, place)
    ? decode(exchange.body, ownStart, (envelope[place + 1] ?? 0) - 1)
    : null;
  return { index, edits, mirrored };
}

/** A value spelled with escapes, or a message that was scanned without routes: looked up by what it stands for. */
function asDecoded(
  exchange: Exchange,
  envelope: Int32Array,
  place: number,
  routes: EndpointRoutes,
): Routed | null {
  const full = text(exchange.body, envelope, place);
  const at = span(envelope, place);
  const found = full === null ? null : routes.find(routedKind(place), full);
  if (found === null || at === null) return null;
  const edits = found.own === full ? [] : [replaceString(at, found.own)];
  return { index: found.index, edits, mirrored: isMirrored(exchange, place) ? found.own : null };
}

/** Only modern requests have the header, and none that is about a reference. */
function isMirrored(exchange: Exchange, place: number): boolean {
  return exchange.era === 'modern' && place !== ENVELOPE.refName && place !== ENVELOPE.refUri;
}

function unknown(exchange: Exchange, place: number, server: string): GatewayError {
  if (routedKind(place) === ROUTE_KIND.uri) {
    const why = `bears no server's mark; here it looks like ${server}+uri`;
    return new GatewayError('GW_ROUTE_RESOURCE', `${shown(exchange, place)} ${why}`);
  }
  const code = exchange.method === METHOD.toolsCall ? 'GW_ROUTE_TOOL' : 'GW_ROUTE_PROMPT';
  const why = `bears no server's name; names here look like ${server}__tool`;
  return new GatewayError(code, `${shown(exchange, place)} ${why}`);
}

function shown(exchange: Exchange, place: number): string {
  const value = exchange.envelope === null ? null : text(exchange.body, exchange.envelope, place);
  return JSON.stringify((value ?? '').slice(0, 120));
}
