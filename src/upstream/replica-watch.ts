// Counts how the requests to one replica end, and how soon its replies begin, so that it can be compared with its siblings.
// Called by replicas.ts, around each replica of a server that has several. Promises: the contract of upstream.ts; one object a call; what counts as failure is
// what a breaker counts; a call whose client leaves, and a stream that lasts, count for nothing.
import type { GatewayError } from '../base/errors.ts';
import type { ReplicaCell } from '../memory/replica-cell.ts';
import type { Clock } from '../runtime/runtime.ts';
import { isOutage, isServerError } from './breaker.ts';
import { isEndless } from './deadline.ts';
import type { ReplyHead, Upstream, UpstreamSink } from './upstream.ts';

/** Puts the counting around a replica. */
export function withWatch(inner: Upstream, cell: ReplicaCell, clock: Pick<Clock, 'now'>): Upstream {
  return {
    name: inner.name,
    transport: inner.transport,
    send: (request, sink) =>
      inner.send(request, isEndless(request) ? sink : new WatchedSink(sink, cell, clock)),
    stats: () => inner.stats(),
    isPiped: () => inner.isPiped?.() === true,
    sweep: () => inner.sweep?.(),
    nudged: () => inner.nudged?.(),
    releaseShared: () => inner.releaseShared?.(),
    close: (withinMs) => inner.close(withinMs),
  };
}

class WatchedSink implements UpstreamSink {
  readonly #sink: UpstreamSink;
  readonly #cell: ReplicaCell;
  readonly #clock: Pick<Clock, 'now'>;
  readonly #sentAtMs: number;
  #headMs = 0;
  #isServerError = false;

  constructor(sink: UpstreamSink, cell: ReplicaCell, clock: Pick<Clock, 'now'>) {
    this.#sink = sink;
    this.#cell = cell;
    this.#clock = clock;
    this.#sentAtMs = clock.now();
  }

  onHead(head: ReplyHead): void {
    this.#headMs = this.#clock.now() - this.#sentAtMs;
    this.#isServerError = isServerError(head.status);
    this.#sink.onHead(head);
  }

  onData(bytes: Uint8Array): boolean {
    return this.#sink.onData(bytes);
  }

  onEnd(): void {
    if (this.#isServerError) this.#cell.failed();
    else this.#cell.succeeded(this.#headMs);
    this.#sink.onEnd();
  }

  onFail(error: GatewayError): void {
    if (this.#isServerError || isOutage(error)) this.#cell.failed();
    this.#sink.onFail(error);
  }
}
