// Asks one replica, again and again, whether it is up, and tells all workers when that changes.
// Called by replicas.ts, in one worker for each replica. Promises: one question at a time; no session is begun for one; what a client's session is asked is `ping`, and
// only while the client uses it; each change is logged once. A question is answered by any reply below 500; refusals of our own (a full queue) say nothing.
import { concat, decode, encode } from '../base/bytes.ts';
import { GatewayError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import { type Message, readMessage } from '../mcp/envelope.ts';
import { META, METHOD, MODERN_VERSIONS } from '../mcp/protocol.ts';
import type { ReplicaCell } from '../memory/replica-cell.ts';
import type { Log } from '../observe/log.ts';
import type { Clock, Random, TimerId } from '../runtime/runtime.ts';
import type { Scanner } from '../scan/contract.ts';
import { isOutage, isServerError } from './breaker.ts';
import { ContainedSink } from './contained-sink.ts';
import type { HealthSettings, ServerSpec } from './spec.ts';
import {
  NO_CLIENT,
  type ReplyHead,
  type Upstream,
  type UpstreamCall,
  type UpstreamRequest,
} from './upstream.ts';

/** What probing takes. */
export interface ProbeParts {
  /** For the log. */
  readonly name: string;
  readonly settings: HealthSettings;
  readonly era: ServerSpec['era'];
  readonly cell: ReplicaCell;
  /** A connection of the probe's own: a full pool is no outage. */
  readonly own: Upstream;
  /** What clients' requests go by, without its breaker. */
  readonly shared: Pick<Upstream, 'send'>;
  readonly clock: Pick<Clock, 'now' | 'after' | 'cancel'>;
  readonly random: Pick<Random, 'fraction'>;
  readonly scanner: Scanner;
  /** Added to the clock's now() it gives ms since the memory of the cell was made. */
  readonly offsetMs: number;
  readonly log: Log;
}

const VERSION = MODERN_VERSIONS[0] ?? '';
/** What only an answer of 2026-07-28 to `server/discover` says. */
const MODERN_SIGN = '"supportedVersions"';
const PROBE_ID = 'sluice:health';
const META_OF_PROBE = {
  [META.protocolVersion]: VERSION,
  [META.clientInfo]: { name: 'sluice', version: '0.1.0' },
  [META.clientCapabilities]: {},
};
const DISCOVER = question(METHOD.discover, { params: { _meta: META_OF_PROBE } });
const PING = question(METHOD.ping, {});

function question(method: string, more: object): Uint8Array {
  return encode(JSON.stringify({ jsonrpc: '2.0', id: PROBE_ID, method, ...more }));
}

function messageOf(scanner: Scanner, bytes: Uint8Array): Message {
  const message = readMessage(scanner, bytes);
  if (message instanceof GatewayError) throw message;
  return message;
}

/** A question that only the bounds of others end, such as an event stream, is given up so long after its time. */
const GRACE_MS = 200;

/** Share of the interval by which it is longer or shorter. */
const JITTER = 0.2;
/** A session that its client has not used for so many intervals is left alone, or it would never be idle. */
const SESSION_INTERVALS = 2;

/** Statuses with which a server, too, may answer a question that it does not know: they count once it has answered better. */
const FAULTS: readonly number[] = [500, 501];

/** What a question came to; null: nothing is known. */
type Outcome = boolean | null;

/** Asks until it is stopped. */
export class Prober {
  readonly #parts: ProbeParts;
  readonly #discover: Message;
  readonly #ping: Message;
  #isLegacy: boolean;
  #hasAnswered = false;
  /** Outcomes of the same kind in a row. */
  #good = 0;
  #bad = 0;
  #isDoubtful = false;
  #session: { readonly request: UpstreamRequest; readonly usedAtMs: number } | null = null;
  #call: UpstreamCall | null = null;
  #timer: TimerId = 0;
  #isStopped = false;

  constructor(parts: ProbeParts) {
    this.#parts = parts;
    this.#discover = messageOf(parts.scanner, DISCOVER);
    this.#ping = messageOf(parts.scanner, PING);
    this.#isLegacy = parts.era === 'legacy';
    // Those of all servers begin together: they are not to ask together.
    this.#arm(parts.settings.intervalMs * parts.random.fraction());
  }

  /** A request of a client's session goes to the replica. */
  noteSession(request: UpstreamRequest): void {
    if (request.verb === 'DELETE') this.#session = null;
    else this.#session = { request, usedAtMs: this.#parts.clock.now() };
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#parts.clock.cancel(this.#timer);
    this.#call?.abort();
    await this.#parts.own.close(0);
  }

  #arm(ms: number): void {
    if (!this.#isStopped) this.#timer = this.#parts.clock.after(ms, () => this.#ask());
  }

  #ask(): void {
    const { own, shared, clock, settings } = this.#parts;
    // An event stream that went on after its answer.
    this.#call?.abort();
    const session = this.#sessionInUse();
    const request = this.#requestOf(this.#isLegacy ? this.#ping : this.#discover, session);
    this.#timer = clock.after(settings.timeoutMs + GRACE_MS, () => {
      this.#call?.abort();
      this.#settle(session === null ? false : this.#doubt());
    });
    const sink = new ProbeSink(
      (status, text) => this.#settle(this.#judge(status, text, session)),
      (error) => this.#settle(!isOutage(error) ? null : session === null ? false : this.#doubt()),
    );
    this.#call = (session === null ? own : shared).send(request, sink);
  }

  #sessionInUse(): UpstreamRequest | null {
    const { clock, settings } = this.#parts;
    const idleMs = clock.now() - (this.#session?.usedAtMs ?? 0);
    if (idleMs > settings.intervalMs * SESSION_INTERVALS) this.#session = null;
    return this.#isLegacy ? (this.#session?.request ?? null) : null;
  }

  #requestOf({ bytes, envelope }: Message, session: UpstreamRequest | null): UpstreamRequest {
    const modern = ['mcp-protocol-version', VERSION, 'mcp-method', METHOD.discover];
    return {
      verb: 'POST',
      era: this.#isLegacy ? 'legacy' : 'modern',
      body: bytes,
      envelope,
      edits: [],
      // A session answers only to whoever it is of.
      headers: session === null ? (this.#isLegacy ? [] : modern) : postHeaders(session.headers),
      session: session?.session ?? null,
      exchangeId: PROBE_ID,
      client: session?.client ?? NO_CLIENT,
      timeoutMs: this.#parts.settings.timeoutMs,
    };
  }

  #judge(status: number, text: string, session: UpstreamRequest | null): Outcome {
    if (session !== null && status >= 400) return this.#doubt();
    if (isServerError(status)) return !FAULTS.includes(status) || this.#hasAnswered ? false : null;
    this.#hasAnswered = true;
    if (!this.#isLegacy && this.#parts.era === 'auto') this.#isLegacy = !text.includes(MODERN_SIGN);
    return true;
  }

  /** A session may be gone, or busy, while the replica is well: the next question goes without one, soon. */
  #doubt(): Outcome {
    this.#session = null;
    this.#isDoubtful = true;
    return null;
  }

  #settle(outcome: Outcome): void {
    const { settings, random, clock } = this.#parts;
    if (this.#isStopped) return;
    clock.cancel(this.#timer);
    if (outcome !== null) this.#count(outcome);
    const isHasty = this.#isDoubtful || this.#bad > 0 || this.#parts.cell.isDown;
    this.#isDoubtful = false;
    const intervalMs = isHasty ? Math.min(settings.intervalMs, settings.downIntervalMs) : settings.intervalMs;
    this.#arm(intervalMs * (1 + JITTER * (2 * random.fraction() - 1)));
  }

  #count(isGood: boolean): void {
    const { settings, cell } = this.#parts;
    this.#good = isGood ? this.#good + 1 : 0;
    this.#bad = isGood ? 0 : this.#bad + 1;
    if (cell.isDown ? this.#good >= settings.healthyAfter : this.#bad >= settings.unhealthyAfter)
      this.#turn();
  }

  #turn(): void {
    const { cell, clock, offsetMs, log, name, era } = this.#parts;
    const isDown = !cell.isDown;
    cell.setDown(isDown, clock.now() + offsetMs);
    if (!isDown) return log.info('a replica answers again', { replica: name });
    // What comes back may be another version.
    this.#isLegacy = era === 'legacy';
    log.warn('a replica does not answer: it gets no requests while there is another', { replica: name });
  }
}

/** A client's headers as they are with a POST: what it opened an event stream with says another `accept`. */
function postHeaders(headers: readonly string[]): readonly string[] {
  const kept: string[] = [];
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const name = headers[i] ?? '';
    if (name !== 'accept' && name !== 'last-event-id') kept.push(name, headers[i + 1] ?? '');
  }
  return kept;
}

/** Reads as much of a reply as says what it is. */
class ProbeSink extends ContainedSink {
  readonly #onAnswer: (status: number, text: string) => void;
  readonly #onFailure: (error: GatewayError) => void;
  readonly #parts: Uint8Array[] = [];
  #status = 0;
  #bytes = 0;
  #isStream = false;

  constructor(onAnswer: (status: number, text: string) => void, onFailure: (error: GatewayError) => void) {
    super();
    this.#onAnswer = onAnswer;
    this.#onFailure = onFailure;
  }

  protected head(head: ReplyHead): void {
    this.#status = head.status;
    this.#isStream = head.media === 'event-stream';
  }

  protected data(bytes: Uint8Array): boolean {
    this.#bytes += bytes.length;
    if (this.#bytes <= LIMITS.healthReplyBytesMax) this.#parts.push(bytes);
    // Its stream need not end.
    if (this.#isStream && decode(concat(this.#parts)).includes(`"${PROBE_ID}"`)) this.#answer();
    return true;
  }

  protected ended(): void {
    this.#answer();
  }

  protected failed(error: GatewayError): void {
    this.#onFailure(error);
  }

  #answer(): void {
    this.leave();
    this.#onAnswer(this.#status, decode(concat(this.#parts)));
  }
}
