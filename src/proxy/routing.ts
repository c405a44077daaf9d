// Which member of an aggregate a call is for, told by the mark on its name or URI, and the edit that takes the mark off.
// Called by aggregate-modern.ts and aggregate-legacy.ts. Promises: pure; what bears no member's mark is refused with words that help.
import type { Edit } from '../base/bytes.ts';
import { GatewayError } from '../base/errors.ts';
import type { Exchange } from '../exchange.ts';
import { has, span, text } from '../mcp/envelope.ts';
import { splitName, splitUri, type Target } from '../mcp/names.ts';
import { METHOD } from '../mcp/protocol.ts';
import { replaceString } from '../mcp/rewrite.ts';
import { ENVELOPE } from '../scan/contract.ts';

/** A call on its way to one member: which one, and what changes in the message. */
export interface Routed {
  readonly index: number;
  readonly edits: readonly Edit[];
  /** Text for Mcp-Name, null when the method mirrors nothing. */
  readonly mirrored: string | null;
}

/** Finds the member that a call is for among `names`. */
export function routeCall(exchange: Exchange, names: readonly string[]): Routed | GatewayError {
  const { envelope, method } = exchange;
  if (envelope === null) return new GatewayError('GW_MCP_MESSAGE');
  switch (method) {
    case METHOD.toolsCall:
      return byName(exchange, names, ENVELOPE.name, 'GW_ROUTE_TOOL');
    case METHOD.promptsGet:
      return byName(exchange, names, ENVELOPE.name, 'GW_ROUTE_PROMPT');
    case METHOD.resourcesRead:
    case METHOD.subscribe:
    case METHOD.unsubscribe:
      return byUri(exchange, names, ENVELOPE.uri);
    case METHOD.complete:
      return unmirrored(
        has(envelope, ENVELOPE.refUri)
          ? byUri(exchange, names, ENVELOPE.refUri)
          : byName(exchange, names, ENVELOPE.refName, 'GW_ROUTE_PROMPT'),
      );
    case 'tasks/get':
    case 'tasks/update':
    case 'tasks/cancel':
    case 'tasks/result':
      return byUri(exchange, names, ENVELOPE.taskId);
    default:
      return new GatewayError(
        'GW_MCP_METHOD',
        `${shown(exchange, ENVELOPE.method)} is not served where several servers are joined; use /mcp/<name>`,
      );
  }
}

function byName(
  exchange: Exchange,
  names: readonly string[],
  place: number,
  code: 'GW_ROUTE_TOOL' | 'GW_ROUTE_PROMPT',
): Routed | GatewayError {
  const routed = target(exchange, place, (full) => splitName(names, full));
  const hint = `names here look like ${names[0] ?? 'server'}__tool`;
  return routed ?? new GatewayError(code, `${shown(exchange, place)} bears no server's name; ${hint}`);
}

function byUri(exchange: Exchange, names: readonly string[], place: number): Routed | GatewayError {
  const routed = target(exchange, place, (full) => splitUri(names, full));
  const hint = `here it looks like ${names[0] ?? 'server'}+uri`;
  return (
    routed ??
    new GatewayError('GW_ROUTE_RESOURCE', `${shown(exchange, place)} bears no server's mark; ${hint}`)
  );
}

function target(exchange: Exchange, place: number, split: (full: string) => Target | null): Routed | null {
  if (exchange.envelope === null) return null;
  const full = text(exchange.body, exchange.envelope, place);
  const at = span(exchange.envelope, place);
  const found = full === null ? null : split(full);
  if (found === null || at === null) return null;
  return { index: found.index, edits: [replaceString(at, found.own)], mirrored: found.own };
}

function shown(exchange: Exchange, place: number): string {
  const value = exchange.envelope === null ? null : text(exchange.body, exchange.envelope, place);
  return JSON.stringify((value ?? '').slice(0, 120));
}

function unmirrored(routed: Routed | GatewayError): Routed | GatewayError {
  return routed instanceof GatewayError ? routed : { ...routed, mirrored: null };
}
