// One request that may be sent again: what its caller holds, and what the upstream answers to, however often it is sent.
// Called by retry.ts. Promises: the contract of upstream.ts for the caller, and nothing of an attempt that was given up; one head at most goes out; one timer
// at most runs, and none once it is over.
import { GatewayError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { Log } from '../observe/log.ts';
import type { Clock, TimerId } from '../runtime/runtime.ts';
import type { ReplyHead, UpstreamCall, UpstreamRequest, UpstreamSink } from '../upstream/upstream.ts';
import { KeptHead } from './layer.ts';

/** What a call needs of its surroundings. */
export interface RetryWorld {
  readonly clock: Clock;
  readonly log: Log;
  /** Bounds of the whole and of the first byte, as the server's time-outs have them. */
  readonly totalMs: number;
  readonly firstByteMs: number;
}

/** Who decides what is sent again. */
export interface RetryOwner {
  readonly parts: RetryWorld;
  /** True for a request that may be executed twice. */
  isRepeatable(request: UpstreamRequest): boolean;
  /** Wait before a request is sent again that failed, in ms; below 0 when it is not to be. `tries`: how often it was sent again before. */
  waitAfter(error: GatewayError, call: RetryCall, request: UpstreamRequest, tries: number): number;
  /** The same after a reply that is none: a status of 5xx that says nothing of the request. `afterMs` is what its server asks for. */
  waitAfterStatus(call: RetryCall, request: UpstreamRequest, tries: number, afterMs: number): number;
  /** Sends a request once more. */
  again(request: UpstreamRequest, call: RetryCall): UpstreamCall;
  /** Nobody waits for it any more. */
  forget(call: RetryCall): void;
}

const SERVER_ERROR = 500;

/** One call. */
export class RetryCall implements UpstreamCall, UpstreamSink {
  readonly startedMs: number;
  private readonly owner: RetryOwner;
  private readonly sink: UpstreamSink;
  /** Null once a reply goes out, or everything is over: then it is not sent again, and need not be kept. */
  private request: UpstreamRequest | null;
  /** Null while it waits to be sent again. */
  private inner: UpstreamCall | null = null;
  private tries = 0;
  private timer: TimerId = 0;
  /** Of an event stream of which nothing has come yet. */
  private held: ReplyHead | null = null;
  /** Why it is about to be sent again; null while it runs. */
  private failure: GatewayError | null = null;
  private isOver = false;

  constructor(owner: RetryOwner, request: UpstreamRequest, sink: UpstreamSink, startedMs: number) {
    this.owner = owner;
    this.request = request;
    this.sink = sink;
    this.startedMs = startedMs;
  }

  /** The upstream's hold on the first attempt. */
  begin(inner: UpstreamCall): void {
    this.inner = inner;
  }

  resume(): void {
    this.inner?.resume();
  }

  outlast(): void {
    this.inner?.outlast?.();
  }

  abort(): void {
    this.isOver = true;
    const { inner } = this;
    this.settle();
    inner?.abort();
  }

  /** The upstream closes: what waits is not sent again. */
  giveUp(): void {
    const { failure } = this;
    if (failure !== null) this.fail(failure);
  }

  // ── the reply ───────────────────────────────────────────────────────────────────────────────────────────────────────

  onHead(head: ReplyHead): void {
    if (this.isDeaf) return;
    const { request } = this;
    if (request !== null && this.keepsBack(head, request)) return;
    this.request = null;
    this.sink.onHead(head);
  }

  onData(bytes: Uint8Array): boolean {
    if (this.isDeaf) return true;
    if (this.held !== null) this.release();
    return this.sink.onData(bytes);
  }

  onEnd(): void {
    if (this.isDeaf) return;
    const { request } = this;
    if (this.held !== null && request !== null) {
      const error = new GatewayError('GW_UPSTREAM_CLOSED', 'the event stream ended without an event');
      if (this.repeats(error, request)) return;
      this.release();
    }
    this.isOver = true;
    this.request = null;
    this.sink.onEnd();
  }

  onFail(error: GatewayError): void {
    if (this.isDeaf) return;
    const { request } = this;
    if (request === null || !this.repeats(error, request)) this.fail(error);
  }

  /** True when an attempt that speaks late is not listened to. */
  private get isDeaf(): boolean {
    return this.isOver || this.failure !== null;
  }

  /** True when a head does not go out: the request is sent again instead, or it is not yet certain. */
  private keepsBack(head: ReplyHead, request: UpstreamRequest): boolean {
    const { owner } = this;
    if (head.media === 'event-stream') {
      if (head.whole || !owner.isRepeatable(request)) return false;
      // Many servers begin the stream before they do anything: until something comes of it, the client need not know of it.
      this.held = new KeptHead(head);
      this.timer = owner.parts.clock.after(LIMITS.retryHoldMs, () => this.release());
      return true;
    }
    if (head.status < SERVER_ERROR || head.media === 'json') return false;
    const waitMs = owner.waitAfterStatus(this, request, this.tries, retryAfterMs(head));
    if (waitMs < 0) return false;
    this.inner?.abort();
    this.sendAfter(waitMs, request, new GatewayError('GW_UPSTREAM_MEDIA', `it answered ${head.status}`));
    return true;
  }

  private repeats(error: GatewayError, request: UpstreamRequest): boolean {
    const waitMs = this.owner.waitAfter(error, this, request, this.tries);
    if (waitMs >= 0) this.sendAfter(waitMs, request, error);
    return waitMs >= 0;
  }

  private sendAfter(waitMs: number, request: UpstreamRequest, failure: GatewayError): void {
    const { clock, log } = this.owner.parts;
    this.settle();
    this.request = request;
    this.failure = failure;
    this.tries++;
    const { code } = failure;
    const afterMs = Math.round(waitMs);
    log.debug('a request is sent again', { id: request.exchangeId, code, tries: this.tries, afterMs });
    this.timer = clock.after(waitMs, () => {
      this.timer = 0;
      this.failure = null;
      this.inner = this.owner.again(this.bounded(request), this);
    });
  }

  /** The request with what is left of its deadline. */
  private bounded(request: UpstreamRequest): UpstreamRequest {
    const { clock, totalMs, firstByteMs } = this.owner.parts;
    const leftMs = Math.max(1, this.startedMs + totalMs - clock.now());
    const boundMs = request.timeoutMs > 0 ? request.timeoutMs : firstByteMs;
    return leftMs < boundMs ? { ...request, timeoutMs: leftMs } : request;
  }

  /** The head that was held goes out: from now on the reply is the client's. */
  private release(): void {
    const { held, inner } = this;
    this.settle();
    this.inner = inner;
    if (held !== null) this.sink.onHead(held);
  }

  private fail(error: GatewayError): void {
    this.settle();
    this.isOver = true;
    this.sink.onFail(error);
  }

  /** Nothing waits any more, and nothing is sent again. */
  private settle(): void {
    if (this.timer !== 0) this.owner.parts.clock.cancel(this.timer);
    if (this.failure !== null) this.owner.forget(this);
    this.timer = 0;
    this.failure = null;
    this.held = null;
    this.request = null;
    this.inner = null;
  }
}

/** What a server asks to wait, in ms; 0 when it says nothing, more than any wait when it names a date (RFC 9110 §10.2.3). */
function retryAfterMs(head: ReplyHead): number {
  const value = head.header('retry-after');
  if (value === null) return 0;
  return /^\d{1,9}$/.test(value) ? Number(value) * 1_000 : Number.MAX_SAFE_INTEGER;
}
