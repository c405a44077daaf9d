// A second request beside one that is slow: the first reply wins, the other request is cancelled.
// Called by policies.ts, where hedging is on. Promises: the contract of upstream.ts; only what may be executed twice is sent twice, each at most once, within
// the budget; the client sees one reply, whole; what lost is aborted at the server. A request in a legacy session has no second: its id may be used once in it.
import { GatewayError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import { Histogram } from '../memory/histogram.ts';
import type { Clock, TimerId } from '../runtime/runtime.ts';
import type { HedgeSettings } from '../upstream/spec.ts';
import type {
  ReplyHead,
  Upstream,
  UpstreamCall,
  UpstreamRequest,
  UpstreamSink,
} from '../upstream/upstream.ts';
import { isToolsCall, methodOf, toolOf } from './asked.ts';
import { Budget } from './budget.ts';
import { KeptHead, Layer } from './layer.ts';
import type { ToolBook } from './tool-book.ts';

/** What hedging takes. */
export interface HedgeParts {
  readonly settings: HedgeSettings;
  readonly book: ToolBook;
  readonly clock: Clock;
  readonly hasReplicas: boolean;
}

/** Replies of a tool before it is known what slow is. */
const SAMPLES_MIN = 20;
/** Replies after which the times before them no longer count. */
const SAMPLES_MAX = 2_000;
/** The quantile is read anew after so many replies: that costs a microsecond. */
const LOOK_EVERY = 16;
const SERVER_ERROR = 500;

/** The times of one tool, or of one method that reads. */
class Pace {
  #times = new Histogram();
  #delayMs = -1;

  note(ms: number, percentile: number): void {
    this.#times.record(ms * 1_000);
    const { count } = this.#times;
    if (count < SAMPLES_MIN || count % LOOK_EVERY !== 0) return;
    this.#delayMs = this.#times.percentileUs(percentile) / 1_000;
    if (count >= SAMPLES_MAX) this.#times = new Histogram();
  }

  /** Time by which most have replied; -1 while that is not known. */
  get delayMs(): number {
    return this.#delayMs;
  }
}

/** Sends second requests. */
export class HedgeLayer extends Layer {
  readonly parts: HedgeParts;
  readonly #budget: Budget;
  readonly #paces = new Map<string, Pace>();

  constructor(inner: Upstream, parts: HedgeParts) {
    super(inner);
    this.parts = parts;
    const { budgetPercent } = parts.settings;
    this.#budget = new Budget({ percent: budgetPercent, perSecond: 0, burstMax: LIMITS.retryBurstMax });
  }

  send(request: UpstreamRequest, sink: UpstreamSink): UpstreamCall {
    const pace = this.#paceOf(request);
    if (pace === null) return this.inner.send(request, sink);
    this.#budget.earn();
    // Both requests see the same list, so that the second avoids where the first is.
    const first = this.parts.hasReplicas && request.tried === undefined ? { ...request, tried: [] } : request;
    const call = new HedgedCall(this, pace, first, sink);
    call.begin();
    return call;
  }

  /** Sends one of the two. */
  dispatch(request: UpstreamRequest, sink: UpstreamSink): UpstreamCall {
    return this.inner.send(request, sink);
  }

  /** True when a second request may be sent now. */
  mayHedge(): boolean {
    return this.#budget.take(this.parts.clock.now());
  }

  #paceOf(request: UpstreamRequest): Pace | null {
    const { book, settings } = this.parts;
    if (request.verb !== 'POST' || request.session !== null) return null;
    const isCall = isToolsCall(request);
    const name = isCall ? toolOf(request) : '';
    const isWanted = (isCall ? book.rule(name)?.hedge : undefined) ?? settings.enabled;
    if (!isWanted || !book.isRepeatable(request)) return null;
    // No method is named like a tool with a call's mark before it.
    return this.#pace(isCall ? `call ${name}` : methodOf(request));
  }

  #pace(key: string): Pace {
    const known = this.#paces.get(key) ?? new Pace();
    // Behind all others: the one that was asked for the longest ago goes first.
    this.#paces.delete(key);
    this.#paces.set(key, known);
    const [oldest] = this.#paces.keys();
    if (this.#paces.size > LIMITS.hedgeToolsMax && oldest !== undefined) this.#paces.delete(oldest);
    return known;
  }
}

/** One call and its one or two requests. */
class HedgedCall implements UpstreamCall {
  readonly #layer: HedgeLayer;
  readonly #pace: Pace;
  readonly #request: UpstreamRequest;
  readonly #sink: UpstreamSink;
  readonly #startedMs: number;
  #first: Leg | null = null;
  #second: Leg | null = null;
  #winner: Leg | null = null;
  #timer: TimerId = 0;
  #isOver = false;

  constructor(layer: HedgeLayer, pace: Pace, request: UpstreamRequest, sink: UpstreamSink) {
    this.#layer = layer;
    this.#pace = pace;
    this.#request = request;
    this.#sink = sink;
    this.#startedMs = layer.parts.clock.now();
  }

  begin(): void {
    this.#first = this.#newLeg();
    const { delayMs } = this.#pace;
    const { clock, settings } = this.#layer.parts;
    if (delayMs < 0) return;
    this.#timer = clock.after(Math.max(delayMs, settings.minMs), () => {
      this.#timer = 0;
      if (this.#layer.mayHedge()) this.#second = this.#newLeg();
    });
  }

  #newLeg(): Leg {
    const leg = new Leg(this, this.#layer.parts.clock);
    leg.call = this.#layer.dispatch(this.#request, leg);
    return leg;
  }

  resume(): void {
    this.#winner?.call?.resume();
  }

  outlast(): void {
    this.#settle();
    this.#first?.call?.outlast?.();
    this.#second?.call?.outlast?.();
  }

  abort(): void {
    this.#isOver = true;
    this.#settle();
    this.#first?.leave();
    this.#second?.leave();
  }

  // ── what its requests tell ──────────────────────────────────────────────────────────────────────────────────────────

  /** Where a leg's reply goes; null for one that nobody listens to. */
  heard(leg: Leg): UpstreamSink | null {
    return !this.#isOver && (leg === this.#first || leg === this.#second) ? this.#sink : null;
  }

  /** True for a refusal that is not worth the client's time while the other request still runs. */
  isWeak(leg: Leg, head: ReplyHead): boolean {
    const isRefusal = head.status >= SERVER_ERROR && head.media !== 'json' && head.media !== 'event-stream';
    return isRefusal && this.#other(leg) !== null;
  }

  /** A leg's reply has begun: it is the client's. */
  won(leg: Leg): void {
    if (this.#winner !== null) return;
    this.#settle();
    this.#winner = leg;
    const { clock, settings } = this.#layer.parts;
    this.#pace.note(clock.now() - this.#startedMs, settings.afterPercentile);
    const other = this.#other(leg);
    this.#drop(other);
    other?.leave();
  }

  ended(): void {
    this.#isOver = true;
    this.#settle();
    this.#sink.onEnd();
  }

  /** A leg has failed: its failure is the call's, unless the other still runs. */
  failed(leg: Leg, error: GatewayError): void {
    const hasOther = this.#winner === null && this.#other(leg) !== null;
    this.#drop(leg);
    if (hasOther) return;
    this.#isOver = true;
    this.#settle();
    this.#sink.onFail(error);
  }

  #other(leg: Leg): Leg | null {
    return leg === this.#first ? this.#second : this.#first;
  }

  #drop(leg: Leg | null): void {
    if (leg === this.#first) this.#first = null;
    else if (leg === this.#second) this.#second = null;
  }

  #settle(): void {
    if (this.#timer !== 0) this.#layer.parts.clock.cancel(this.#timer);
    this.#timer = 0;
  }
}

/** One of a call's requests. The head of an event stream is no reply yet: many servers send it before they do anything. */
class Leg implements UpstreamSink {
  call: UpstreamCall | null = null;
  readonly #owner: HedgedCall;
  readonly #clock: Clock;
  #held: ReplyHead | null = null;
  #timer: TimerId = 0;

  constructor(owner: HedgedCall, clock: Clock) {
    this.#owner = owner;
    this.#clock = clock;
  }

  /** Nobody listens to it any more. */
  leave(): void {
    this.#settle();
    this.call?.abort();
  }

  onHead(head: ReplyHead): void {
    const sink = this.#owner.heard(this);
    if (sink === null) return;
    if (this.#owner.isWeak(this, head)) {
      this.call?.abort();
      this.#owner.failed(this, new GatewayError('GW_UPSTREAM_MEDIA', `it answered ${head.status}`));
    } else if (head.media === 'event-stream' && !head.whole) {
      this.#held = new KeptHead(head);
      this.#timer = this.#clock.after(LIMITS.retryHoldMs, () => this.#release(sink));
    } else {
      this.#owner.won(this);
      sink.onHead(head);
    }
  }

  onData(bytes: Uint8Array): boolean {
    const sink = this.#owner.heard(this);
    if (sink === null) return true;
    this.#release(sink);
    return sink.onData(bytes);
  }

  onEnd(): void {
    const sink = this.#owner.heard(this);
    if (sink === null) return;
    this.#release(sink);
    this.#owner.ended();
  }

  onFail(error: GatewayError): void {
    this.#settle();
    if (this.#owner.heard(this) !== null) this.#owner.failed(this, error);
  }

  #release(sink: UpstreamSink): void {
    const held = this.#held;
    if (held === null) return;
    this.#settle();
    this.#owner.won(this);
    sink.onHead(held);
  }

  #settle(): void {
    if (this.#timer !== 0) this.#clock.cancel(this.#timer);
    this.#timer = 0;
    this.#held = null;
  }
}
