// One call of a legacy client at a modern server, from its request to its response, through as many rounds of questions as it takes.
// Called by face.ts. Promises: exactly one end; the client that leaves does not cancel, and may take the stream up again; `input_required` never reaches it; a call is sent
// again only when the server said that it was not executed, or asked for more.
import { EMPTY } from '../../base/bytes.ts';
import { GatewayError, RPC, toGatewayError } from '../../base/errors.ts';
import { LIMITS } from '../../base/limits.ts';
import { kindOf, type Message, objectAt, raw, rawKey, text } from '../../mcp/envelope.ts';
import { errorCode } from '../../mcp/error-edits.ts';
import { errorMessage } from '../../mcp/errors.ts';
import { METHOD } from '../../mcp/protocol.ts';
import { legacyResultEdits } from '../../mcp/to-legacy.ts';
import type { TimerId } from '../../runtime/runtime.ts';
import { ENVELOPE, KIND } from '../../scan/contract.ts';
import { Asking, type AskingEnd } from './asking.ts';
import { Attempt, type AttemptOwner } from './attempt.ts';
import { attemptRequest, type CallStart, isOverHttp } from './call-request.ts';
import type { Refusal } from './discovery.ts';
import type { EventPlace } from './events.ts';
import { type InputRound, readRound, retryMembers, unaskable } from './input-rounds.ts';
import { legacyNotification } from './listen.ts';
import { Outlet } from './outlet.ts';
import type { LegacyReply, ReplyOwner } from './reply.ts';
import { errorFor, failedToolFor, resultFor } from './responses.ts';
import type { RunningCall } from './session.ts';
import type { ToolBooks, ToolFacts } from './tool-book.ts';

/** A reply that has not come by then becomes an event stream: the client has an id to come back with, and comments keep the connection open. */
const STREAM_AFTER_MS = 1_000;
/** Between two attempts when the server asked for nothing but another one. */
const PACE_MS = 250;

/** A call. */
export class Call implements RunningCall, ReplyOwner, AttemptOwner {
  readonly key: string;
  readonly credentials: string;
  readonly #start: CallStart;
  readonly #books: ToolBooks;
  readonly #outlet: Outlet;
  readonly #id: Uint8Array;
  readonly #level: string | null;
  #facts: ToolFacts | null = null;
  #attempt: Attempt | null = null;
  #asking: Asking | null = null;
  #round = 0;
  /** Raw members that the next attempt has in its params. */
  #retry: Uint8Array = EMPTY;
  #hasRefreshed = false;
  #timer: TimerId = 0;
  #isOver = false;

  constructor(start: CallStart, books: ToolBooks) {
    this.#books = books;
    const { session, message, credentials } = start;
    const { events: log, profile, parts } = session;
    this.#start = start;
    this.#id = raw(message.bytes, message.envelope, ENVELOPE.id) ?? EMPTY;
    this.#level = session.level;
    this.key = rawKey(message.bytes, message.envelope, ENVELOPE.id) ?? '';
    this.credentials = credentials;
    this.#outlet = new Outlet({ log, clock: parts.clock, profile, owner: this });
  }

  get stream(): number {
    return this.#outlet.stream;
  }

  /** Begins; `reply` carries what comes of it. */
  run(reply: LegacyReply): void {
    const { session, method } = this.#start;
    session.begin(this);
    this.#outlet.attach(reply);
    if (reply.takesEvents) this.#timer = this.#after(STREAM_AFTER_MS, () => this.#outlet.open());
    if (method === METHOD.toolsCall) this.#callTool();
    else this.#send();
  }

  // ── to the server ────────────────────────────────────────────────────────────────────────────────────────────────

  /** A server behind HTTP refuses a call whose headers do not mirror what its tool's schema says: that must be known first. */
  #callTool(): void {
    this.#facts = this.#known();
    if (this.#facts === null && isOverHttp(this.#start.session)) this.#refresh(false);
    else this.#send();
  }

  #known(): ToolFacts | null {
    const { message } = this.#start;
    const name = text(message.bytes, message.envelope, ENVELOPE.name);
    return name === null ? null : this.#books.facts(this.credentials, name);
  }

  #refresh(isNeeded: boolean): void {
    const { session, carried, exchangeId } = this.#start;
    const { client, profile } = session;
    const asker = { credentials: this.credentials, carried, meta: profile.meta, client, exchangeId };
    this.#books
      .refresh(asker, isNeeded)
      .then(() => {
        this.#facts = this.#known();
        this.#send();
      })
      .catch((thrown: unknown) => this.abort(toGatewayError(thrown)));
  }

  #send(): void {
    if (this.#isOver) return;
    const { parts } = this.#start.session;
    const { request, asked } = attemptRequest(this.#start, {
      round: this.#round,
      retry: this.#retry,
      level: this.#level,
      facts: this.#facts,
    });
    const attempt = new Attempt(this, parts, asked ?? EMPTY);
    this.#attempt = attempt;
    if (this.#start.replyBytesMax !== undefined) attempt.bytesMax = this.#start.replyBytesMax;
    attempt.start(parts.inner.send(request, attempt));
  }

  // ── from the server ──────────────────────────────────────────────────────────────────────────────────────────────

  onNotification(message: Message): boolean {
    const method = text(message.bytes, message.envelope, ENVELOPE.method);
    if (method === METHOD.cancelled || (method === METHOD.logMessage && this.#level === null)) return true;
    return this.#outlet.event(legacyNotification(message));
  }

  onAnswer(message: Message): void {
    this.#attempt = null;
    if (this.#isOver) return;
    if (kindOf(message.envelope) === KIND.error) this.#onError(message);
    else this.#onResult(message);
  }

  #onResult(message: Message): void {
    const { session, method } = this.#start;
    const { bytes, envelope } = message;
    const type = text(bytes, envelope, ENVELOPE.resultType);
    if (type === 'input_required') return this.#onRound(readRound(message));
    if (type !== null && type !== 'complete')
      return this.#giveUp(`the server answered with a result of the type ${JSON.stringify(type)}`);
    if (method === METHOD.toolsList) this.#books.remember(this.credentials, message);
    const isWrapped = this.#facts?.isWrapped === true;
    const context = { isWrapped, dropsInvalidTools: isOverHttp(this.#start.session) };
    this.#finish(
      resultFor(this.#id, message, legacyResultEdits(message, method, session.profile.version, context)),
    );
  }

  #onError(message: Message): void {
    const { method } = this.#start;
    const code = errorCode(message);
    const isCall = method === METHOD.toolsCall;
    if (code === RPC.headerMismatch && isCall && isOverHttp(this.#start.session) && !this.#hasRefreshed) {
      this.#hasRefreshed = true;
      return this.#refresh(true);
    }
    if (code === RPC.missingCapability && isCall) {
      const { message: why } = objectAt(message.bytes, message.envelope, ENVELOPE.error);
      return this.#finish(
        failedToolFor(this.#id, typeof why === 'string' ? why : 'the client lacks a capability'),
      );
    }
    this.#finish(errorFor(this.#id, message, method));
  }

  onRefused({ status, headers }: Refusal): void {
    this.#attempt = null;
    if (this.#isOver) return;
    const error = new GatewayError('GW_UPSTREAM_MEDIA', `it answered ${status}`);
    const reply = this.#outlet.takeUntouched();
    if (reply === null) return this.#finish(errorMessage(this.#id, error));
    this.#end();
    reply.json(status, errorMessage(this.#id, error), { headers });
  }

  onFailed(error: GatewayError): void {
    this.#attempt = null;
    this.abort(error);
  }

  // ── rounds ───────────────────────────────────────────────────────────────────────────────────────────────────────

  #onRound(round: InputRound | string): void {
    if (typeof round === 'string')
      return this.#giveUp(`the server's question cannot be understood: ${round}`);
    this.#round++;
    if (this.#round > LIMITS.inputRoundsMax)
      return this.#giveUp(`the server asked more than ${LIMITS.inputRoundsMax} times`);
    if (round.requests.length === 0) {
      this.#retry = retryMembers(round, new Map());
      this.#after(PACE_MS, () => this.#send());
      return;
    }
    const why = unaskable(round.requests, this.#start.session.profile.abilities);
    if (why !== null) return this.#giveUp(why);
    if (!this.#outlet.reachable) return this.#giveUp('the client has no event stream to be asked on');
    const { session } = this.#start;
    this.#asking = new Asking(session, this.credentials, this.#outlet, (end) => this.#onAsked(round, end));
    this.#asking.start(round);
  }

  #onAsked(round: InputRound, end: AskingEnd): void {
    this.#asking = null;
    if (typeof end === 'string') return this.#giveUp(end);
    this.#retry = retryMembers(round, end);
    this.#send();
  }

  /** The call cannot be brought to its end. */
  #giveUp(why: string): void {
    const error = new GatewayError('GW_BRIDGE_INPUT', why);
    const isCall = this.#start.method === METHOD.toolsCall;
    this.#finish(isCall ? failedToolFor(this.#id, error.message) : errorMessage(this.#id, error));
  }

  // ── the client ───────────────────────────────────────────────────────────────────────────────────────────────────

  onLeft(): void {
    if (this.#isOver) return;
    this.#attempt?.resume();
    this.#clock.cancel(this.#timer);
    if (this.#asking !== null && !this.#outlet.reachable)
      return this.abort(new GatewayError('GW_BRIDGE_INPUT'));
    const gone = new GatewayError('GW_UPSTREAM_TIMEOUT', 'the client did not come back');
    this.#timer = this.#after(LIMITS.totalTimeoutMs, () => this.abort(gone));
    this.#start.session.left(this);
  }

  onRoom(): void {
    this.#attempt?.resume();
  }

  takeUp(reply: LegacyReply, place: EventPlace, events: readonly Uint8Array[]): void {
    this.#clock.cancel(this.#timer);
    this.#start.session.returned(this);
    this.#outlet.takeUp(reply, place, events);
    // It may be paused for the reply before.
    this.#attempt?.resume();
  }

  cancel(): void {
    if (this.#isOver) return;
    this.#end();
    this.#outlet.end();
  }

  abort(error: GatewayError): void {
    if (this.#isOver) return;
    const reply = this.#outlet.takeUntouched();
    if (reply === null) return this.#finish(errorMessage(this.#id, error));
    this.#end();
    reply.fail(error);
  }

  #finish(message: Uint8Array): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#outlet.answer(message);
    this.#end();
  }

  /** Lets go of everything. */
  #end(): void {
    this.#isOver = true;
    this.#clock.cancel(this.#timer);
    this.#asking?.stop();
    this.#attempt?.stop();
    this.#asking = null;
    this.#attempt = null;
    this.#start.session.ended(this);
  }

  get #clock() {
    return this.#start.session.parts.clock;
  }

  /** A timer whose work ends the call when it throws. */
  #after(ms: number, work: () => void): TimerId {
    return this.#clock.after(ms, () => {
      try {
        if (!this.#isOver) work();
      } catch (thrown) {
        this.abort(toGatewayError(thrown));
      }
    });
  }
}
