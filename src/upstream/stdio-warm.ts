// Processes that are started before anybody asks, so that a session need not wait for the start of its own.
// Called by stdio-core.ts. Promises: what is taken is replaced; what dies while it waits is replaced with back-off; what it
// says meanwhile reaches nobody; after close() none is started.
import { GatewayError } from '../base/errors.ts';
import type { Clock } from '../runtime/runtime.ts';
import type { ChildEnd, ChildEvents, ChildPipe } from './stdio-child.ts';
import type { Backoff } from './supervise.ts';

/** What a pool of warm processes is made of. */
export interface WarmParts {
  readonly clock: Clock;
  readonly backoff: Backoff;
  /** How many are kept. */
  readonly count: number;
  /** How many may be kept at this moment, given all that runs. */
  room(): number;
  /** Starts a process. Throws GW_UPSTREAM_SPAWN. */
  start(events: ChildEvents): ChildPipe;
}

/** Listens to a process that has no owner yet. */
class Waiting implements ChildEvents {
  pipe: ChildPipe | null = null;
  readonly #ended: (waiting: Waiting, end: ChildEnd) => void;

  constructor(ended: (waiting: Waiting, end: ChildEnd) => void) {
    this.#ended = ended;
  }

  onLine(): void {
    // Nothing was asked, so nobody is there to hear it.
  }

  onGone(end: ChildEnd): void {
    this.#ended(this, end);
  }

  onSpent(): void {
    this.pipe?.stop();
  }
}

/** The pool. */
export class WarmPool {
  readonly #parts: WarmParts;
  readonly #waiting = new Set<Waiting>();
  #isRefilling = false;
  #isClosed = false;

  constructor(parts: WarmParts) {
    this.#parts = parts;
  }

  /** Processes that wait. */
  get size(): number {
    return this.#waiting.size;
  }

  /** A process for somebody, or null; either way there will be others. */
  take(events: ChildEvents): ChildPipe | null {
    this.refill();
    for (const waiting of this.#waiting) {
      this.#waiting.delete(waiting);
      const { pipe } = waiting;
      if (pipe === null || !pipe.alive) continue;
      pipe.adopt(events);
      return pipe;
    }
    return null;
  }

  /** Starts what is lacking, after this turn: whoever wants a process now goes first. */
  refill(afterMs = 0): void {
    if (this.#parts.count === 0 || this.#isRefilling || this.#isClosed) return;
    this.#isRefilling = true;
    const { clock } = this.#parts;
    if (afterMs > 0) clock.after(afterMs, () => this.#fill());
    else clock.soon(() => this.#fill());
  }

  /** Stops all that wait, with the graces given in ms. */
  close(stopGraceMs: number, killGraceMs: number): void {
    this.#isClosed = true;
    for (const { pipe } of this.#waiting) pipe?.stop(stopGraceMs, killGraceMs);
    this.#waiting.clear();
  }

  #fill(): void {
    this.#isRefilling = false;
    const { count, backoff } = this.#parts;
    while (!this.#isClosed && this.#waiting.size < Math.min(count, this.#parts.room())) {
      const waitMs = backoff.waitMs();
      if (waitMs > 0) return this.refill(waitMs);
      if (!this.#start()) return this.refill(Math.max(1, backoff.waitMs()));
    }
  }

  #start(): boolean {
    const waiting = new Waiting((gone, end) => this.#gone(gone, end));
    try {
      waiting.pipe = this.#parts.start(waiting);
    } catch (thrown) {
      if (!(thrown instanceof GatewayError)) throw thrown;
      this.#parts.backoff.died(0, { reason: thrown.detail, lines: [], shown: '' });
      return false;
    }
    this.#waiting.add(waiting);
    return true;
  }

  #gone(waiting: Waiting, { livedMs, last, asked }: ChildEnd): void {
    if (!this.#waiting.delete(waiting)) return;
    if (!asked) this.#parts.backoff.died(livedMs, last);
    this.refill();
  }
}
