// Which member of an aggregate a call is for, told by the mark on its name, URI or task id, and the edit that takes the mark off.
// Called by aggregate-modern.ts and aggregate-legacy.ts. Promises: pure; takes what the scan has found in the route table, and decodes only what is
// spelled with escapes; what bears no member's mark is refused with words that help.
import { decode, type Edit, EMPTY, orderEdits } from '../base/bytes.ts';
import { GatewayError } from '../base/errors.ts';
import type { Member } from '../bridge/member.ts';
import type { Exchange } from '../exchange.ts';
import { has, span, text } from '../mcp/envelope.ts';
import { maySeemShort, NAME_CHARS_MAX, type OwnName } from '../mcp/outward.ts';
import { METHOD } from '../mcp/protocol.ts';
import { relatedTaskEdits, replaceString } from '../mcp/rewrite.ts';
import type { NamedChoice, View } from '../mcp/view.ts';
import type { EndpointRoutes } from '../route/match.ts';
import { ENVELOPE, ROUTE, ROUTE_KIND } from '../scan/contract.ts';
import { routedKind, routedPlace } from '../scan/routed.ts';
import type { NamedKind } from './joined-lists.ts';

/** A call on its way to one member: which one, and what changes in the message. */
export interface Routed {
  readonly index: number;
  readonly edits: readonly Edit[];
  /** Text for Mcp-Name, null when the method or the era mirrors nothing. */
  readonly mirrored: string | null;
}

/** A call by a name that does not tell by itself whose it is: the names that lists have shown say it. */
export interface NamedCall {
  readonly kind: NamedKind;
  readonly name: string;
  /** What the name means when no list has shown it. */
  readonly plain: Routed | GatewayError;
}

/** An aggregate's members by name, for words that help, its routes, and what it shows (null: everything). */
export interface RoutedMembers {
  readonly names: readonly string[];
  readonly routes: EndpointRoutes;
  readonly view: View | null;
}

/** An aggregate's members as calls are routed to them. */
export function routedMembers(
  members: readonly Member[],
  routes: EndpointRoutes,
  view: View | null,
): RoutedMembers {
  return { names: members.map((member) => member.spec.name), routes, view };
}

/** Finds the member that a call is for. */
export function routeCall(exchange: Exchange, members: RoutedMembers): Routed | NamedCall | GatewayError {
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
    routedKind(place) === ROUTE_KIND.name && members.view?.isSole === true
      ? asSole(exchange, envelope, place)
      : envelope[ENVELOPE.routePlace] === place && envelope[ENVELOPE.route] !== ROUTE.escaped
        ? asScanned(exchange, envelope, place)
        : asDecoded(exchange, envelope, place, members.routes);
  const plain =
    routed === null ? unknown(exchange, place, members) : shownOnly(exchange, place, routed, members);
  const named = namedCall(exchange, envelope, { place, plain, members });
  if (named !== null) return named;
  return exchange.era === 'legacy' && !(plain instanceof GatewayError)
    ? withOwnTask(exchange, plain, members)
    : plain;
}

/** The same call once it is known what its name stands for; null: no list has shown it. */
export function routeNamed(
  exchange: Exchange,
  { plain }: NamedCall,
  found: OwnName | null,
  members: RoutedMembers,
): Routed | GatewayError {
  const { envelope, method } = exchange;
  const place = envelope === null ? -1 : routedPlace(method, envelope);
  const at = envelope === null || place < 0 ? null : span(envelope, place);
  const index = found === null ? -1 : members.names.indexOf(found.server);
  const routed =
    found === null || at === null || index < 0
      ? plain
      : {
          index,
          edits: [replaceString(at, found.own)],
          mirrored: isMirrored(exchange, place) ? found.own : null,
        };
  if (routed instanceof GatewayError || exchange.era === 'modern') return routed;
  return withOwnTask(exchange, routed, members);
}

/** The call when its name is to be looked up in what lists have shown; null when it tells by itself whose it is. Most names are told by their length alone. */
function namedCall(
  exchange: Exchange,
  envelope: Int32Array,
  at: { readonly place: number; readonly plain: Routed | GatewayError; readonly members: RoutedMembers },
): NamedCall | null {
  const { place, plain, members } = at;
  if (routedKind(place) !== ROUTE_KIND.name) return null;
  const choice = namedChoice(exchange, members);
  const isOwn = choice?.needsCatalogue === true;
  const bytes = (envelope[place + 1] ?? 0) - (envelope[place] ?? 0);
  if (!isOwn && bytes < NAME_CHARS_MAX) return null;
  const name = text(exchange.body, envelope, place);
  if (name === null || !(isOwn || maySeemShort(name))) return null;
  const kind = exchange.method === METHOD.toolsCall ? 'tools' : 'prompts';
  return { kind, name, plain: isOwn ? unknown(exchange, place, members) : plain };
}

function namedChoice(exchange: Exchange, { view }: RoutedMembers): NamedChoice | null {
  if (view === null) return null;
  return exchange.method === METHOD.toolsCall ? view.tools : view.prompts;
}

/** The call, unless it is for something that the endpoint does not show. */
function shownOnly(
  exchange: Exchange,
  place: number,
  routed: Routed,
  members: RoutedMembers,
): Routed | GatewayError {
  const { view, names, routes } = members;
  if (view === null || place === ENVELOPE.taskId || exchange.envelope === null) return routed;
  const kind = routedKind(place);
  const full = text(exchange.body, exchange.envelope, place) ?? '';
  const own = view.isSole && kind === ROUTE_KIND.name ? full : (routes.find(kind, full)?.own ?? full);
  const choice = kind === ROUTE_KIND.uri ? view.resources : namedChoice(exchange, members);
  return choice?.shows(names[routed.index] ?? '', own) === false ? unknown(exchange, place, members) : routed;
}

/** The task that a legacy request belongs to loses the mark as well. */
function withOwnTask(exchange: Exchange, routed: Routed, { names }: RoutedMembers): Routed {
  const { body, envelope } = exchange;
  if (envelope === null || !has(envelope, ENVELOPE.meta)) return routed;
  const edits = relatedTaskEdits(body, envelope, names[routed.index] ?? '');
  return edits.length === 0 ? routed : { ...routed, edits: orderEdits([...routed.edits, ...edits]) };
}

/** One server under its own names: nothing changes. */
function asSole(exchange: Exchange, envelope: Int32Array, place: number): Routed | null {
  const own = text(exchange.body, envelope, place);
  return own === null ? null : { index: 0, edits: [], mirrored: isMirrored(exchange, place) ? own : null };
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

function unknown(exchange: Exchange, place: number, members: RoutedMembers): GatewayError {
  const server = members.names[0] ?? 'server';
  if (place === ENVELOPE.taskId) {
    const why = `bears no server's mark; here it looks like ${server}+id`;
    return new GatewayError('GW_ROUTE_TASK', `${shown(exchange, place)} ${why}`);
  }
  if (routedKind(place) === ROUTE_KIND.uri) {
    const why =
      members.view === null
        ? `bears no server's mark; here it looks like ${server}+uri`
        : 'is not among those that this endpoint shows';
    return new GatewayError('GW_ROUTE_RESOURCE', `${shown(exchange, place)} ${why}`);
  }
  const code = exchange.method === METHOD.toolsCall ? 'GW_ROUTE_TOOL' : 'GW_ROUTE_PROMPT';
  const why =
    members.view === null
      ? `bears no server's name; names here look like ${server}__tool`
      : 'is not among those that this endpoint lists';
  return new GatewayError(code, `${shown(exchange, place)} ${why}`);
}

function shown(exchange: Exchange, place: number): string {
  const value = exchange.envelope === null ? null : text(exchange.body, exchange.envelope, place);
  return JSON.stringify((value ?? '').slice(0, 120));
}
