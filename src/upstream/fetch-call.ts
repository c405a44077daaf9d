// One exchange on its way through the fetch upstream: the handle that the proxy holds, and the timer that watches it.
// Called by fetch.ts. Promises: exactly one onEnd or onFail unless aborted, nothing after it; the fetch is aborted and the timer gone by then.
import { type ErrorCode, GatewayError } from '../base/errors.ts';
import type { Clock, TimerId } from '../runtime/runtime.ts';
import { isEndless } from './deadline.ts';
import type { UpstreamCall, UpstreamRequest, UpstreamSink } from './upstream.ts';

/** What a call is made of. */
export interface FetchWork {
  readonly request: UpstreamRequest;
  readonly sink: UpstreamSink;
  readonly clock: Clock;
  /** Longest wait for the first byte. */
  readonly firstByteMs: number;
  ended(): void;
  /** The call may last: its place is free. */
  outlasts(): void;
}

/** One exchange. `ended` is called once, before the sink hears of the end. */
export class FetchCall implements UpstreamCall {
  readonly request: UpstreamRequest;
  readonly sink: UpstreamSink;
  readonly controller = new AbortController();
  done = false;
  replied = false;
  /** The whole is not bounded in time. */
  endless: boolean;
  /** When the first byte must have come, on the runtime's clock. */
  readonly firstByteByMs: number;
  private readonly clock: Clock;
  private readonly ended: () => void;
  private readonly outlasts: () => void;
  private timer: TimerId = 0;
  private wake: (() => void) | null = null;

  constructor(work: FetchWork) {
    const { request, sink, clock, ended } = work;
    this.request = request;
    this.endless = isEndless(request);
    this.sink = sink;
    this.clock = clock;
    this.ended = ended;
    this.outlasts = work.outlasts;
    this.firstByteByMs = clock.now() + work.firstByteMs;
  }

  resume(): void {
    this.wake?.();
    this.wake = null;
  }

  outlast(): void {
    this.endless = true;
    if (this.done || !this.replied) return;
    this.unwatch();
    this.outlasts();
  }

  abort(): void {
    if (this.close()) this.controller.abort();
  }

  /** Resolves at resume(), or when the call ends. */
  resumed(): Promise<void> {
    return new Promise((resolve) => {
      if (this.done) resolve();
      else this.wake = resolve;
    });
  }

  /** Fails the call with `code` unless touched again within `ms`. */
  watch(ms: number, code: ErrorCode, detail: string): void {
    this.unwatch();
    this.timer = this.clock.after(ms, () => this.fail(new GatewayError(code, detail)));
  }

  /** The same until the first byte must have come. */
  watchFirstByte(code: ErrorCode, detail: string): void {
    this.watch(Math.max(0, this.firstByteByMs - this.clock.now()), code, detail);
  }

  unwatch(): void {
    if (this.timer !== 0) this.clock.cancel(this.timer);
    this.timer = 0;
  }

  end(): void {
    if (this.close()) this.sink.onEnd();
  }

  fail(error: GatewayError): void {
    if (!this.close()) return;
    this.controller.abort();
    this.sink.onFail(error);
  }

  /** Ends the call once; the pause of its reader ends with it. */
  private close(): boolean {
    if (this.done) return false;
    this.done = true;
    this.unwatch();
    this.resume();
    this.ended();
    return true;
  }
}
