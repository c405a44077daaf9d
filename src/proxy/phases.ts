// The life of one POST, phase by phase, up to the point where its endpoint takes over.
// Called by pipeline.ts. Promises: the list below is the order in which things happen, ARCHITECTURE.md draws the same list and a test compares them; every
// exit answers the exchange and so reaches `record`.
import type { ErrorCode } from '../base/errors.ts';
import { GatewayError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { Exchange } from '../exchange.ts';
import { checkBatch, classify } from '../mcp/classify.ts';
import { kindOf, messageError, scanError, text } from '../mcp/envelope.ts';
import { ENVELOPE, KIND, type Scanner } from '../scan/contract.ts';

/** One step in the life of an exchange: who does it, what it is, and the errors it can end with. */
export interface Phase {
  readonly name: string;
  readonly where: string;
  readonly what: string;
  readonly exits: readonly ErrorCode[];
}

/** Every phase of an exchange, in order. */
export const PHASES: readonly Phase[] = Object.freeze([
  {
    name: 'admit',
    where: 'server/admit.ts, server/crowd.ts',
    what: 'method, path, Host, Origin, headers, Content-Type, size, room for one more exchange',
    exits: [
      'GW_SERVER_PATH',
      'GW_SERVER_METHOD',
      'GW_SERVER_HOST',
      'GW_SERVER_ORIGIN',
      'GW_SERVER_HEAD_SIZE',
      'GW_SERVER_MEDIA',
      'GW_SERVER_ENCODING',
      'GW_SERVER_ACCEPT',
      'GW_SERVER_BODY_SIZE',
      'GW_SERVER_BODY_ABORTED',
      'GW_SERVER_BUSY',
      'GW_SERVER_OVERLOAD',
      'GW_SERVER_DRAINING',
    ],
  },
  {
    name: 'home',
    where: 'proxy/handover.ts',
    what: 'a session that lives in another worker: the exchange is handed over to it, whole, and goes through the rest there',
    exits: ['GW_PEER_DOWN', 'GW_PEER_LOST'],
  },
  {
    name: 'scan',
    where: 'proxy/phases.ts',
    what: 'one pass over the bytes: valid JSON and UTF-8 throughout, spans of what decides',
    exits: [
      'GW_SCAN_EMPTY',
      'GW_SCAN_SYNTAX',
      'GW_SCAN_UTF8',
      'GW_SCAN_DEPTH',
      'GW_SCAN_DUPLICATE',
      'GW_MCP_MESSAGE',
      'GW_MCP_BATCH',
    ],
  },
  {
    name: 'classify',
    where: 'proxy/phases.ts',
    what: 'era by the body, mirrored headers checked against it',
    exits: ['GW_MCP_META', 'GW_MCP_HEADER', 'GW_MCP_VERSION'],
  },
  {
    name: 'route',
    where: 'proxy/pipeline.ts, proxy/routing.ts, route/',
    what: 'endpoint to server; on aggregates the name or URI says which, looked up in the call that scans',
    exits: [
      'GW_MCP_METHOD',
      'GW_MCP_PARAMS',
      'GW_ROUTE_TOOL',
      'GW_ROUTE_PROMPT',
      'GW_ROUTE_RESOURCE',
      'GW_ROUTE_TASK',
      'GW_SESSION_MISSING',
      'GW_SESSION_UNKNOWN',
      'GW_SESSION_ENDED',
      'GW_SESSION_LIMIT',
    ],
  },
  {
    name: 'answer',
    where: 'proxy/aggregate.ts, policy/cache.ts',
    what: 'what the gateway answers itself: ping, initialize, discover and merged lists of aggregates; what a server said before, while it holds',
    exits: [],
  },
  {
    name: 'rewrite',
    where: 'mcp/rewrite.ts',
    what: 'splice only what must change: names, URIs, ids; untouched bytes are never encoded again',
    exits: ['GW_MCP_LINE'],
  },
  {
    name: 'choose',
    where: 'policy/policies.ts',
    what: 'room for one more at the server, how long its tool may take; whether it is sent again, or a second time',
    exits: ['GW_POLICY_BUSY'],
  },
  {
    name: 'bridge',
    where: 'bridge/bridged.ts',
    what: 'a client of the other era than its server: the message becomes one of the server’s era, or several; the replies become the client’s',
    exits: ['GW_BRIDGE_INPUT', 'GW_BRIDGE_STATE', 'GW_BRIDGE_CAPABILITY', 'GW_BRIDGE_PARKED'],
  },
  {
    name: 'forward',
    where: 'proxy/forward.ts, upstream/',
    what: 'a connection or child within the deadline, one write',
    exits: [
      'GW_UPSTREAM_BUSY',
      'GW_UPSTREAM_CONNECT',
      'GW_UPSTREAM_TLS',
      'GW_UPSTREAM_SEND',
      'GW_UPSTREAM_STREAM',
      'GW_UPSTREAM_SPAWN',
      'GW_UPSTREAM_BACKOFF',
      'GW_UPSTREAM_OPEN',
      'GW_UPSTREAM_CLOSING',
      'GW_UPSTREAM_TIMEOUT',
    ],
  },
  {
    name: 'relay',
    where: 'proxy/forward.ts, proxy/member-relay.ts',
    what: 'head, then bytes: whole when it came whole, else streamed with back-pressure',
    exits: [
      'GW_UPSTREAM_CLOSED',
      'GW_UPSTREAM_IDLE',
      'GW_UPSTREAM_FRAMING',
      'GW_UPSTREAM_HEAD_SIZE',
      'GW_UPSTREAM_BODY_SIZE',
      'GW_UPSTREAM_MEDIA',
      'GW_UPSTREAM_MESSAGE',
      'GW_UPSTREAM_EXITED',
      'GW_UPSTREAM_OVERRUN',
    ],
  },
  {
    name: 'record',
    where: 'server/http.ts',
    what: 'every path ends here: the permit is given back and the outcome is counted and logged',
    exits: ['GW_BASE_INTERNAL', 'GW_SERVER_STOPPED'],
  },
]);

/** What phase `scan` needs: Scanner.scan() of all the bytes, or the same with a look-up of where they go. */
export interface WholeScan {
  scan(bytes: Uint8Array, envelope: Int32Array): number;
}

/** Phase `scan`: fills the envelope (ENVELOPE.length numbers), which becomes the exchange's, and its kind. Null when the message may go on. */
export function scan(exchange: Exchange, scanner: WholeScan, envelope: Int32Array): GatewayError | null {
  const { body } = exchange;
  const broken = scanError(scanner.scan(body, envelope));
  if (broken !== null) return broken;
  exchange.envelope = envelope;
  exchange.kind = kindOf(envelope);
  return messageError(envelope);
}

/** Phase `classify`: sets era and method. Null when the message may go on. */
export function classifyExchange(exchange: Exchange, scanner: Scanner): GatewayError | null {
  const { body, envelope } = exchange;
  if (envelope === null) return new GatewayError('GW_BASE_INTERNAL', 'classified before it was scanned');
  if (exchange.kind === KIND.batch) {
    const requests = checkBatch(scanner, body, envelope, LIMITS.batchMessagesMax);
    exchange.envelope = null;
    return requests instanceof GatewayError ? requests : null;
  }
  const era = classify(body, envelope, exchange.headers);
  if (era instanceof GatewayError) return era;
  exchange.era = era;
  // A modern request's header has just been found equal to it: no need to decode it again.
  const mirrored = era === 'modern' && exchange.kind === KIND.request ? exchange.headers.mcpMethod : null;
  exchange.method = mirrored ?? text(body, envelope, ENVELOPE.method) ?? '';
  return null;
}
