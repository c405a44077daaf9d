// What a connected client has said, as it is read and kept, and the exchanges that it becomes.
// Called by the other parts of the front for connected clients. Promises: an exchange is its client's, of the connection's endpoint, and carries what the message's
// own headers let on to servers.
import type { GatewayError } from '../base/errors.ts';
import { type ClientHeaders, emptyHeaders } from '../exchange/client-headers.ts';
import { Exchange, type ExchangeOwner, type ExchangeStart } from '../exchange.ts';
import { has, kindOf, raw, scanError, text } from '../mcp/envelope.ts';
import { METHOD } from '../mcp/protocol.ts';
import type { Log } from '../observe/log.ts';
import type { Clock } from '../runtime/runtime.ts';
import { ENVELOPE, FLAG, KIND, type Scanner } from '../scan/contract.ts';
import type { EndpointSpec, Snapshot } from '../snapshot.ts';

/** A message of the client. */
export interface Told {
  readonly body: Uint8Array;
  readonly envelope: Int32Array;
  readonly method: string | null;
  /** Headers that it came with. */
  readonly from: ClientHeaders;
  /** It was sent again once, since its server had lost the session. */
  isSentAgain: boolean;
}

/** A message of the client that waits for its answer. */
export interface Asked extends Told {
  /** Raw id, null for what has none. */
  readonly id: Uint8Array | null;
  /** What runs for it now. */
  exchange: Exchange | null;
  /** The client took it back: nothing more needs to be said. */
  isCancelled: boolean;
  lastEventId: string | null;
  barren: number;
}

/** Reads a message of the client; what is wrong with bytes that are none. */
export function readTold(scanner: Scanner, body: Uint8Array, from: ClientHeaders): Told | GatewayError {
  const envelope = new Int32Array(ENVELOPE.length);
  const fault = scanError(scanner.scan(body, 0, body.length, envelope));
  const method = fault === null ? text(body, envelope, ENVELOPE.method) : null;
  return fault ?? { body, envelope, method, from, isSentAgain: false };
}

/** True for what is answered: requests and batches, and what is no message at all, which is told so. */
export function isAnswered({ envelope }: Told): boolean {
  const kind = kindOf(envelope);
  return kind === KIND.request || kind === KIND.batch || kind === KIND.none;
}

/** True for a message of the modern era. */
export function isClaimed({ envelope }: Told): boolean {
  return has(envelope, ENVELOPE.metaProtocolVersion);
}

/** True for the message that begins a session. */
export function isBeginning(told: Told): boolean {
  return told.method === METHOD.initialize && kindOf(told.envelope) === KIND.request && !isClaimed(told);
}

/** The raw id that an answer bears. An id that is no id, or of which there are two, is not repeated. */
export function idOf({ body, envelope }: Told): Uint8Array | null {
  const isSure = ((envelope[ENVELOPE.flags] ?? 0) & (FLAG.badId | FLAG.duplicateTop)) === 0;
  return kindOf(envelope) === KIND.request && isSure ? raw(body, envelope, ENVELOPE.id) : null;
}

/** A message that begins to wait. */
export function newAsked(told: Told): Asked {
  return { ...told, id: idOf(told), exchange: null, isCancelled: false, lastEventId: null, barren: 0 };
}

/** Whose exchanges they are, and where they go. */
interface ExchangeParts {
  readonly snapshot: Snapshot;
  readonly endpoint: EndpointSpec;
  /** Who the client is. */
  readonly principal: string;
  readonly clock: Clock;
  readonly newId: () => string;
}

/** What a message front needs. */
export interface MessageFrontOptions extends ExchangeParts {
  /** What the client sent when it connected: headers that go on to servers are taken from it where a message has none of its own. */
  readonly headers: ClientHeaders;
  /** Admits an exchange whose headers are complete, and runs it. */
  readonly serve: (exchange: Exchange, body: Uint8Array) => void;
  /** Hears of exchanges that are over. */
  readonly owner: ExchangeOwner;
  readonly scanner: Scanner;
  readonly log: Log;
  /** Sends a message to the client; false when it is behind: replies that can wait then wait for roomAgain(). */
  readonly send: (message: Uint8Array) => boolean;
}

/** What one exchange is for. */
export interface ExchangePlan {
  readonly verb: ExchangeStart['verb'];
  readonly from: ClientHeaders;
  readonly session: string | null;
  readonly version: string | null;
  readonly owner: ExchangeOwner;
  readonly answer: ExchangeStart['answer'];
}

/** One exchange of a connected client. */
export function exchangeOf(parts: ExchangeParts, plan: ExchangePlan): Exchange {
  const { snapshot, endpoint, clock, newId, principal } = parts;
  const { verb, from, session, version, owner, answer } = plan;
  const headers: ClientHeaders = { ...emptyHeaders(), passed: from.passed, optional: from.optional };
  headers.accept = verb === 'GET' ? 'text/event-stream' : 'application/json, text/event-stream';
  headers.session = session;
  headers.protocolVersion = version;
  const startedAtMs = clock.now();
  const exchange = new Exchange({
    id: newId(),
    verb,
    snapshot,
    endpoint,
    headers,
    startedAtMs,
    owner,
    replyHeaders: {},
    answer,
  });
  exchange.principal = principal;
  return exchange;
}
