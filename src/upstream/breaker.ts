// A circuit breaker around an upstream: when most of its exchanges fail, it is left alone for a moment, and then tried with a few.
// Called by worker.ts. Promises: the contract of upstream.ts; all workers share one breaker per server; what tells of a broken server or a broken
// way to it counts as failure, whatever a working server answers (tool errors, JSON-RPC errors, 4xx) does not; closed, it costs one object a call.
import { type ErrorCode, GatewayError } from '../base/errors.ts';
import { type BreakerCell, REFUSED } from '../memory/breaker-cell.ts';
import type { BreakerState } from '../memory/breaker-word.ts';
import type { FaultCode } from '../observe/inspection.ts';
import type { Ledger } from '../observe/ledger.ts';
import type { Clock } from '../runtime/runtime.ts';
import type {
  ReplyHead,
  Upstream,
  UpstreamCall,
  UpstreamRequest,
  UpstreamSink,
  UpstreamStats,
} from './upstream.ts';

/** Ends of an exchange that speak against the server or the way to it. Refusals of our own (busy, back-off, closing) say nothing. */
const OUTAGES: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'GW_UPSTREAM_CONNECT',
  'GW_UPSTREAM_TLS',
  'GW_UPSTREAM_SEND',
  'GW_UPSTREAM_CLOSED',
  'GW_UPSTREAM_TIMEOUT',
  'GW_UPSTREAM_IDLE',
  'GW_UPSTREAM_FRAMING',
  'GW_UPSTREAM_SPAWN',
  'GW_UPSTREAM_EXITED',
]);

/** What we end ourselves is no fault; why a process ended, who had it says in more words (stdio-core.ts). */
const TOLD_ELSEWHERE: ReadonlySet<FaultCode> = new Set<FaultCode>([
  'GW_UPSTREAM_CLOSING',
  'GW_UPSTREAM_EXITED',
]);

const SERVER_ERROR = 500;

/** True for the status of a reply that speaks against the server. */
export function isServerError(status: number): boolean {
  return status >= SERVER_ERROR;
}

/** True for an end of an exchange that speaks against the server. */
export function isOutage(error: GatewayError): boolean {
  return OUTAGES.has(error.code);
}

/** What a breaker is made of. */
export interface BreakerOptions {
  readonly cell: BreakerCell;
  readonly clock: Clock;
  /** Added to the clock's now() it gives ms since the memory of the cell was made. */
  readonly offsetMs: number;
  /** Hears what fails; left out: nobody looks. */
  readonly ledger?: Ledger | undefined;
  /** Told when this worker sees that the breaker is in another state than before. */
  onChange(state: BreakerState): void;
  /** Told when a trial of this worker ends the outage, with the time since the memory was made; left out: nobody. */
  readonly onRecovered?: (nowMs: number) => void;
}

/** Puts a breaker before an upstream. */
export function withBreaker(upstream: Upstream, options: BreakerOptions): Upstream {
  return new GuardedUpstream(upstream, options);
}

class GuardedUpstream implements Upstream {
  readonly name: string;
  readonly transport: Upstream['transport'];
  private readonly inner: Upstream;
  private readonly cell: BreakerCell;
  private readonly clock: Clock;
  private readonly offsetMs: number;
  private readonly ledger: Ledger | undefined;
  private readonly onChange: (state: BreakerState) => void;
  private readonly onRecovered: (nowMs: number) => void;
  private seen: BreakerState = 'closed';

  constructor(inner: Upstream, options: BreakerOptions) {
    this.name = inner.name;
    this.transport = inner.transport;
    this.inner = inner;
    this.cell = options.cell;
    this.clock = options.clock;
    this.offsetMs = options.offsetMs;
    this.ledger = options.ledger;
    this.onChange = (state) => options.onChange(state);
    this.onRecovered = options.onRecovered ?? (() => undefined);
  }

  send(request: UpstreamRequest, sink: UpstreamSink): UpstreamCall {
    const token = this.cell.passing();
    if (token !== REFUSED) return this.inner.send(request, new GuardedSink(this, sink, token));
    return this.sendUnlessOpen(request, sink);
  }

  private sendUnlessOpen(request: UpstreamRequest, sink: UpstreamSink): UpstreamCall {
    const token = this.cell.permit(this.nowMs());
    this.look();
    if (token !== REFUSED) {
      const trial = new GuardedSink(this, sink, token);
      return new TrialCall(this.inner.send(request, trial), trial);
    }
    const why = this.cell.isForced ? 'an operator has opened its breaker' : 'it is left alone for a moment';
    const refused = new RefusedCall(sink, new GatewayError('GW_UPSTREAM_OPEN', `"${this.name}": ${why}`));
    this.clock.soon(() => refused.tell());
    return refused;
  }

  stats(): UpstreamStats {
    return this.inner.stats();
  }

  isPiped(): boolean {
    return this.inner.isPiped?.() === true;
  }

  nudged(): void {
    this.inner.nudged?.();
  }

  releaseShared(): void {
    this.inner.releaseShared?.();
  }

  close(withinMs: number): Promise<void> {
    return this.inner.close(withinMs);
  }

  // ── outcomes, from the sinks ────────────────────────────────────────────────────────────────────────────────────────

  /** True when the first sign of life is enough: a trial on a stream that lasts would keep all others waiting. */
  isTrial(token: number): boolean {
    return this.cell.isTrial(token);
  }

  succeeded(token: number): void {
    // Before the breaker closes: else a request of another worker could come in between.
    if (this.cell.isTrial(token)) this.onRecovered(this.nowMs());
    this.cell.succeeded(token);
    if (this.seen !== 'closed') this.look();
  }

  failed(token: number): void {
    this.cell.failed(token, this.nowMs());
    this.look();
  }

  /** Whoever looks is to know of it, whether the breaker minds or not. */
  note(code: FaultCode, detail: string): void {
    const isServers = code.startsWith('GW_UPSTREAM_') || code.startsWith('HTTP_');
    if (isServers && !TOLD_ELSEWHERE.has(code)) this.ledger?.fault(code, detail);
  }

  undecided(token: number): void {
    this.cell.undecided(token);
  }

  private nowMs(): number {
    return this.clock.now() + this.offsetMs;
  }

  private look(): void {
    const { state } = this.cell;
    if (state === this.seen) return;
    this.seen = state;
    if (state === 'open')
      this.note(
        'GW_UPSTREAM_OPEN',
        this.cell.isForced ? 'an operator opened its breaker' : 'its breaker opened',
      );
    this.onChange(state);
  }
}

/** The caller's sink, watched for how the exchange ends. */
class GuardedSink implements UpstreamSink {
  private readonly guard: GuardedUpstream;
  private readonly inner: UpstreamSink;
  private readonly token: number;
  private isDecided = false;

  constructor(guard: GuardedUpstream, inner: UpstreamSink, token: number) {
    this.guard = guard;
    this.inner = inner;
    this.token = token;
  }

  onHead(head: ReplyHead): void {
    if (isServerError(head.status)) {
      this.isDecided = true;
      this.guard.note(`HTTP_${head.status}`, `it answered ${head.status}`);
      this.guard.failed(this.token);
    } else if (head.media === 'event-stream' && this.guard.isTrial(this.token)) this.succeed();
    this.inner.onHead(head);
  }

  onData(bytes: Uint8Array): boolean {
    return this.inner.onData(bytes);
  }

  onEnd(): void {
    if (!this.isDecided) this.succeed();
    this.inner.onEnd();
  }

  onFail(error: GatewayError): void {
    this.guard.note(error.code, error.detail);
    if (!this.isDecided && isOutage(error)) {
      this.isDecided = true;
      this.guard.failed(this.token);
    } else this.forget();
    this.inner.onFail(error);
  }

  /** It ended without saying anything about the server. */
  forget(): void {
    if (this.isDecided) return;
    this.isDecided = true;
    this.guard.undecided(this.token);
  }

  private succeed(): void {
    this.isDecided = true;
    this.guard.succeeded(this.token);
  }
}

/** A trial whose caller may leave: then another may be made. */
class TrialCall implements UpstreamCall {
  private readonly inner: UpstreamCall;
  private readonly sink: GuardedSink;

  constructor(inner: UpstreamCall, sink: GuardedSink) {
    this.inner = inner;
    this.sink = sink;
  }

  resume(): void {
    this.inner.resume();
  }

  outlast(): void {
    this.inner.outlast?.();
  }

  abort(): void {
    this.inner.abort();
    this.sink.forget();
  }
}

/** A call that was not sent. */
class RefusedCall implements UpstreamCall {
  private sink: UpstreamSink | null;
  private readonly why: GatewayError;

  constructor(sink: UpstreamSink, why: GatewayError) {
    this.sink = sink;
    this.why = why;
  }

  tell(): void {
    const sink = this.sink;
    this.sink = null;
    sink?.onFail(this.why);
  }

  resume(): void {
    // Nothing was delivered, so nothing is paused.
  }

  abort(): void {
    this.sink = null;
  }
}
