// Requests that wait to hear which era their server speaks.
// Called by era.ts. Promises: bounded in number; each hears of the probe, or fails when its deadline comes first, or is gone when its client leaves: exactly one
// of these; the time that it waited is taken off its own.
import { GatewayError } from '../base/errors.ts';
import type { Clock } from '../runtime/runtime.ts';
import { firstByteBoundMs } from '../upstream/deadline.ts';
import type { ServerSpec } from '../upstream/spec.ts';
import type { UpstreamRequest, UpstreamSink } from '../upstream/upstream.ts';
import type { EraCall } from './era-call.ts';
import type { EraProbe, ProbeOutcome } from './era-probe.ts';

/** A request that is not sent yet. */
export interface Waiting {
  readonly request: UpstreamRequest;
  readonly sink: UpstreamSink;
  readonly call: EraCall;
  readonly startedAtMs: number;
}

/** All that wait for one server. */
export class EraQueue {
  readonly #spec: ServerSpec;
  readonly #clock: Clock;
  #count = 0;
  #isClosed = false;

  constructor(spec: ServerSpec, clock: Clock) {
    this.#spec = spec;
    this.#clock = clock;
  }

  get count(): number {
    return this.#count;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** From now on nobody is let in. */
  close(): void {
    this.#isClosed = true;
  }

  /** Calls back with what the probe finds. `probe` makes or finds it, once it is sure that the request may wait. */
  wait(waiting: Waiting, probe: () => EraProbe, next: (outcome: ProbeOutcome) => void): void {
    const refusal = this.#refusal();
    if (refusal === null) this.#enter(waiting, probe(), next);
    else
      this.#clock.soon(() => {
        if (!waiting.call.over) waiting.sink.onFail(refusal);
      });
  }

  /** The request with the time that is left to it. */
  rest({ request, startedAtMs }: Waiting): UpstreamRequest {
    const leftMs = firstByteBoundMs(this.#spec, request) - (this.#clock.now() - startedAtMs);
    return { ...request, timeoutMs: Math.max(1, Math.floor(leftMs)) };
  }

  #refusal(): GatewayError | null {
    if (this.#isClosed) return new GatewayError('GW_UPSTREAM_CLOSING');
    if (this.#count < this.#spec.queueDepthMax) return null;
    return new GatewayError('GW_UPSTREAM_BUSY', `${this.#count} requests wait to hear which era it speaks`);
  }

  #enter(waiting: Waiting, probe: EraProbe, next: (outcome: ProbeOutcome) => void): void {
    const { request, sink, call } = waiting;
    const heard = (outcome: ProbeOutcome): void => {
      leave();
      next(outcome);
    };
    const leave = (): void => {
      this.#count--;
      this.#clock.cancel(timer);
      probe.leave(heard);
      call.pause(null);
    };
    const boundMs = firstByteBoundMs(this.#spec, request) - (this.#clock.now() - waiting.startedAtMs);
    const timer = this.#clock.after(Math.max(0, boundMs), () => {
      leave();
      sink.onFail(new GatewayError('GW_UPSTREAM_TIMEOUT', 'it was still being asked which era it speaks'));
    });
    this.#count++;
    probe.wait(heard);
    call.pause(leave);
  }
}
