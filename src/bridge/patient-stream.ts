// A session's event stream at a legacy server that takes an older one for open still: asked for again for a moment.
// Called by healing.ts. Promises: the contract of a call; nothing but a 409 leads to another try, and a GET executes nothing; a server that stays at it is believed.
import type { GatewayError } from '../base/errors.ts';
import type { Clock, TimerId } from '../runtime/runtime.ts';
import type { ReplyHead, UpstreamCall, UpstreamSink } from '../upstream/upstream.ts';

/** How servers say that the session has its one stream already: it may not have seen yet that a client which comes back had left. */
const CONFLICT = 409;
/** Waits before the tries after the first, in ms: a second in all. */
const WAITS_MS: readonly number[] = [20, 40, 80, 160, 300, 400];

/** One request for a stream, sent until the server has room for it. */
export class PatientStream implements UpstreamCall, UpstreamSink {
  readonly #send: (sink: UpstreamSink) => UpstreamCall;
  readonly #sink: UpstreamSink;
  readonly #clock: Clock;
  #call: UpstreamCall | null = null;
  #tries = 0;
  /** Set while a refusal is kept from the client. */
  #timer: TimerId | null = null;

  constructor(send: (sink: UpstreamSink) => UpstreamCall, sink: UpstreamSink, clock: Clock) {
    this.#send = send;
    this.#sink = sink;
    this.#clock = clock;
  }

  start(): this {
    this.#call = this.#send(this);
    return this;
  }

  #again(): void {
    this.#timer = null;
    // Its body may be on its way still.
    this.#call?.abort();
    this.start();
  }

  resume(): void {
    this.#call?.resume();
  }

  abort(): void {
    if (this.#timer !== null) this.#clock.cancel(this.#timer);
    this.#call?.abort();
  }

  onHead(head: ReplyHead): void {
    const waitMs = head.status === CONFLICT ? WAITS_MS[this.#tries++] : undefined;
    if (waitMs === undefined) this.#sink.onHead(head);
    else this.#timer = this.#clock.after(waitMs, () => this.#again());
  }

  onData(bytes: Uint8Array): boolean {
    return this.#timer !== null || this.#sink.onData(bytes);
  }

  onEnd(): void {
    if (this.#timer === null) this.#sink.onEnd();
  }

  onFail(error: GatewayError): void {
    if (this.#timer === null) this.#sink.onFail(error);
  }
}
