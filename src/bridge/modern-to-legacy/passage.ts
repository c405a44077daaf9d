// One request's way to a legacy server: it finds a session, sends the request there, and sees to it that the response comes if it can be had.
// Called by call.ts. Promises: exactly one response or failure, unless it was cancelled; a broken event stream is taken up again where it was; a request is
// sent twice only if it cannot have been executed, or may be; the session is given back once nothing more comes of the request.
import { encode } from '../../base/bytes.ts';
import { GatewayError, toGatewayError } from '../../base/errors.ts';
import { LIMITS } from '../../base/limits.ts';
import { kindOf, type Message } from '../../mcp/envelope.ts';
import { METHOD } from '../../mcp/protocol.ts';
import type { TimerId } from '../../runtime/runtime.ts';
import { KIND } from '../../scan/contract.ts';
import type { Upstream, UpstreamRequest } from '../../upstream/upstream.ts';
import { ownHeadersOf } from './client-headers.ts';
import type { SessionPool } from './pool.ts';
import { Preparation, toolOf } from './preparation.ts';
import type { Break, Listener, ReadingTools, ReplyReader } from './reading.ts';
import { LOST_MAX, MAY_ASK, mayRepeat, REPEAT_MS, RESUME_MS, waitOf } from './repeat.ts';
import { type Refusal, refusalOf } from './reply.ts';
import type { SessionCall, UpstreamSession } from './session.ts';
import type { Life } from './talk.ts';
import { legacyDraft } from './translate.ts';

/** What a passage needs of its surroundings. */
export interface PassageTools extends ReadingTools {
  readonly inner: Upstream;
  readonly pool: SessionPool;
}

/** Whose request it is. */
export interface PassageOwner {
  readonly method: string;
  /** As the client sent it; read until it is sent for the last time. */
  readonly request: UpstreamRequest;
  /** True while the client is slow to read. */
  readonly isBehind: boolean;
  /** Least level of log messages that the client wants, of LOG_LEVELS; -1: none. */
  readonly level: number;
  /** A notification about the request. False asks for a pause. */
  onNotification(message: Message): boolean;
  /** The server asks something; null when it may, else why not. */
  onQuestion(message: Message): string | null;
  /** Its event stream broke off and is taken up again: from now on no time-out of the server's bounds the whole. */
  onResumed(): void;
  onResponse(message: Message): void;
  onFailure(refusal: Refusal): void;
}

/** Time for a cancelled call to end by itself where its process cannot tell it from the next one. */
const CANCEL_MS = 2_000;

/** One request's way. */
export class Passage implements SessionCall {
  token = '';
  readonly #tools: PassageTools;
  readonly #owner: PassageOwner;
  readonly #preparation: Preparation;
  #session: UpstreamSession | null = null;
  #life: Life | null = null;
  #reader: ReplyReader | null = null;
  #withdraw: () => void = () => undefined;
  #timer: TimerId = 0;
  #state: 'waiting' | 'running' | 'cancelled' | 'over' = 'waiting';
  /** The server has said something that shows that it is at work on it. */
  #hasAsked = false;
  #lastEventId: string | null = null;
  #resumes = 0;
  #losses = 0;
  #hasRepeated = false;
  /** Its client may have heard of it: nobody but this can send the request again without telling it twice. */
  #hasTold = false;

  constructor(tools: PassageTools, owner: PassageOwner) {
    this.#tools = tools;
    this.#owner = owner;
    this.#preparation = new Preparation(owner);
  }

  /** The session that it goes through; null until there is one. */
  get session(): UpstreamSession | null {
    return this.#session;
  }

  get level(): number {
    return this.#owner.level;
  }

  get isBehind(): boolean {
    return this.#owner.isBehind;
  }

  get canBeAsked(): boolean {
    return this.#state === 'running' && MAY_ASK.includes(this.#owner.method);
  }

  /** True where it is sure that a log message is about this request. */
  get isHeardAlone(): boolean {
    return !this.#isPiped || (this.#session?.alone === this && this.#session.calls.size === 1);
  }

  get #isPiped(): boolean {
    return this.#tools.inner.isPiped?.() === true;
  }

  // ── the request ──────────────────────────────────────────────────────────────────────────────────────────────────

  /** Looks for a session and sends the request. */
  start(): void {
    this.#withdraw = this.#tools.pool.lease(this.#owner.request, {
      mayBeAsked: MAY_ASK.includes(this.#owner.method),
      wantsLog: this.level >= 0,
      onSession: (session, isAlone) => this.#begin(session, isAlone),
      onNone: (refusal) => this.#fail(refusal),
    });
  }

  #begin(session: UpstreamSession, isAlone: boolean): void {
    this.#session = session;
    session.calls.add(this);
    if (isAlone) session.alone = this;
    this.#proceed();
  }

  #proceed(): void {
    const session = this.#session;
    if (session === null || this.#isEnding) return;
    const step = this.#preparation.next(session);
    if (step === null) return this.#send(session);
    if (!(step instanceof Promise)) return this.#fail(step);
    step.then(
      (refusal) => (refusal === null ? this.#guard(() => this.#proceed()) : this.#fail(refusal)),
      (thrown: unknown) => this.#fail(refusalOf(toGatewayError(thrown))),
    );
  }

  #send(session: UpstreamSession): void {
    const { request } = this.#owner;
    const { scanner } = this.#tools;
    this.token = String(session.nextId());
    this.#life = session.life;
    this.#state = 'running';
    const id = encode(this.token);
    const reader = session.reader(id, this.#listener());
    this.#reader = reader;
    // A pipe is told of the call by what the message itself says, not by what is to be put in its place.
    const draft = legacyDraft(request, id, { isRescanned: this.#isPiped, scanner });
    session.post(draft, request, ownHeadersOf(request), reader);
  }

  get #isEnding(): boolean {
    return this.#state === 'cancelled' || this.#state === 'over';
  }

  /** The client reads again. */
  resume(): void {
    this.#reader?.resume();
  }

  /** It may last for minutes: the client is asked something. */
  outlast(): void {
    this.#reader?.outlast();
  }

  /** Posts an answer of the client. An answer that does not arrive would leave the call waiting for ever. */
  async answer(response: string): Promise<void> {
    if ((await this.#session?.tell(response)) !== false || this.#state !== 'running') return;
    const error = new GatewayError('GW_UPSTREAM_CLOSED', 'it did not take the answer to its question');
    const { onFailure } = this.#owner;
    this.cancel();
    onFailure.call(this.#owner, refusalOf(error));
  }

  /** Nobody waits for the response any more: the server hears so, if it is at work. */
  cancel(): void {
    if (this.#state === 'waiting') return this.#end();
    if (this.#state !== 'running') return;
    this.#state = 'cancelled';
    this.#tools.clock.cancel(this.#timer);
    const params = { requestId: Number(this.token), reason: 'the client left' };
    const told = this.#session?.tell(JSON.stringify({ jsonrpc: '2.0', method: METHOD.cancelled, params }));
    // A process that goes on with it would ask the next one's client: it gets a moment to end.
    if (this.#isPiped) this.#timer = this.#tools.clock.after(CANCEL_MS, () => this.#end());
    else void told?.then(() => this.#end());
  }

  // ── the server ───────────────────────────────────────────────────────────────────────────────────────────────────

  #listener(): Listener {
    return {
      onMessage: (message) => this.#session?.take(message, this) ?? true,
      onResponse: (message) => this.#guard(() => this.#answered(message)),
      onTaken: () => this.#fail(refusalOf(new GatewayError('GW_UPSTREAM_MESSAGE', 'it is empty'))),
      onLost: () => this.#guard(() => this.#lost()),
      onRefused: (refusal) => this.#fail(refusal),
      onBroken: (end) => this.#guard(() => this.#broken(end)),
    };
  }

  /** Runs what a reader or a timer calls: a fault of ours ends the request instead of leaving its client waiting. */
  #guard(work: () => void): void {
    try {
      work();
    } catch (thrown) {
      this.#fail(refusalOf(toGatewayError(thrown)));
    }
  }

  hear(message: Message): boolean {
    if (kindOf(message.envelope) !== KIND.request) {
      this.#hasTold = true;
      return this.#state !== 'running' || this.#owner.onNotification(message);
    }
    const why = this.canBeAsked
      ? this.#owner.onQuestion(message)
      : 'the call is over, or of a kind that asks nothing';
    if (why === null) this.#hasAsked = true;
    else this.#session?.refuse(message, why);
    return true;
  }

  #answered(message: Message): void {
    const isWanted = this.#state === 'running';
    // The rest of the stream is left to end by itself: the connection can be used again.
    this.#reader = null;
    this.#end();
    if (isWanted) this.#owner.onResponse(message);
  }

  /** Nothing was executed. */
  #lost(): void {
    const session = this.#session;
    session?.lose(this.#life);
    this.#preparation.again();
    this.#losses++;
    const isFirst = this.#lastEventId === null && !this.#hasAsked && this.#state === 'running';
    if (session !== null && isFirst && this.#losses <= LOST_MAX) return this.#proceed();
    const why = isFirst ? 'it loses every session at once' : 'it lost the session in the middle of the call';
    this.#fail(refusalOf(new GatewayError('GW_UPSTREAM_CLOSED', why)));
  }

  #broken(end: Break): void {
    const session = this.#session;
    if (session === null || this.#state !== 'running') return this.#end();
    if (end.lastEventId !== null) {
      this.#lastEventId = end.lastEventId;
      this.#resumes = 0;
    }
    const error =
      end.error ?? new GatewayError('GW_UPSTREAM_CLOSED', 'the event stream ended without a response');
    if (this.#lastEventId !== null && this.#resumes < LIMITS.resumeTriesMax) {
      this.#resumes++;
      this.#owner.onResumed();
      this.#later(waitOf(end.retryMs ?? RESUME_MS), () => this.#takeUp(session));
    } else if (this.#mayRepeat(error)) {
      this.#hasRepeated = true;
      this.#later(REPEAT_MS, () => this.#proceed());
    } else this.#fail(refusalOf(error));
  }

  #later(ms: number, work: () => void): void {
    this.#timer = this.#tools.clock.after(ms, () => this.#guard(work));
  }

  /** The server ended the stream on purpose, or the way to it broke: events behind the last one are still to be had (2025-11-25, resumability). */
  #takeUp(session: UpstreamSession): void {
    const lastEventId = this.#lastEventId;
    if (lastEventId === null || this.#state !== 'running') return;
    const reader = session.reader(encode(this.token), this.#listener());
    this.#reader = reader;
    session.resume(lastEventId, reader);
  }

  #mayRepeat(error: GatewayError): boolean {
    if (this.#hasRepeated || this.#hasAsked || this.#owner.request.isSentOnce === true) return false;
    const facts = this.#session?.facts;
    const tool = toolOf(this.#owner.request);
    if (facts === undefined || facts.isSentOnce(tool) || (facts.isBounded && !this.#hasTold)) return false;
    return mayRepeat(this.#owner.method, facts.isRepeatable(tool), error);
  }

  // ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────

  #fail(refusal: Refusal): void {
    const isWanted = !this.#isEnding;
    this.#end();
    if (isWanted) this.#owner.onFailure(refusal);
  }

  /** The session may serve others: nothing more comes of this. */
  #end(): void {
    if (this.#state === 'over') return;
    this.#state = 'over';
    this.#withdraw();
    this.#tools.clock.cancel(this.#timer);
    this.#reader?.stop();
    this.#reader = null;
    const session = this.#session;
    if (session?.calls.delete(this) !== true) return;
    if (session.alone === this) session.alone = null;
    this.#tools.pool.giveBack(session);
  }
}
