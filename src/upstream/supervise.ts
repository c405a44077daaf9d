// When a process that ended may start again, and who waits for it meanwhile.
// Called by stdio-shared.ts and stdio-session.ts. Promises: one start at a time, shared by all who wait; the first
// restart comes at once, further ones of a process that dies young back off with jitter; nobody waits for a back-off
// longer than its patience; waiters are bounded and each hears exactly one of ready and failed.
import { assert } from '../base/assert.ts';
import { GatewayError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { Clock, Random } from '../runtime/runtime.ts';

/** A call waits for a back-off this long at most; beyond it the client is told to come again. */
export const BACKOFF_PATIENCE_MS = 2_000;

/** The time before which a process must not be started again. */
export class Backoff {
  readonly #clock: Clock;
  readonly #random: Random;
  #youngDeaths = 0;
  #notBefore = 0;

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
  }

  /** Milliseconds until a start is allowed; 0 when it is now. */
  waitMs(): number {
    return this.#youngDeaths === 0 ? 0 : Math.max(0, this.#notBefore - this.#clock.now());
  }

  /** The process ended unasked after `livedMs` (0 when it could not be started). */
  died(livedMs: number): void {
    if (livedMs >= LIMITS.childHealthyMs) {
      this.reset();
      return;
    }
    this.#youngDeaths++;
    if (this.#youngDeaths < 2) return;
    const doubled = LIMITS.childBackoffFirstMs * 2 ** Math.min(this.#youngDeaths - 2, 30);
    const stepMs = Math.min(doubled, LIMITS.childBackoffLastMs);
    this.#notBefore = this.#clock.now() + stepMs * (0.5 + this.#random.fraction() / 2);
  }

  /** It did well: the next start needs no wait. */
  reset(): void {
    this.#youngDeaths = 0;
    this.#notBefore = 0;
  }
}

/** Starts one `C`, asynchronously or at once; calls exactly one of the two. */
export type Open<C> = (opened: (child: C) => void, failed: (error: GatewayError) => void) => void;

/** Someone who needs a running `C`. */
export interface Waiter<C> {
  ready(child: C): void;
  failed(error: GatewayError): void;
}

/** Keeps one `C` running on demand. */
export class Supervisor<C> {
  readonly #clock: Clock;
  readonly #open: Open<C>;
  readonly #waitersMax: number;
  #backoff: Backoff;
  #current: C | null = null;
  #phase: 'down' | 'waiting' | 'opening' | 'up' = 'down';
  #waiters = new Set<Waiter<C>>();
  #closed: GatewayError | null = null;

  constructor(clock: Clock, backoff: Backoff, waitersMax: number, open: Open<C>) {
    assert(waitersMax > 0, 'somebody may wait');
    this.#clock = clock;
    this.#backoff = backoff;
    this.#waitersMax = waitersMax;
    this.#open = open;
  }

  /** The one that runs, null when none does. */
  get current(): C | null {
    return this.#current;
  }

  /** How many wait for a start. */
  get waiting(): number {
    return this.#waiters.size;
  }

  /** Counts deaths on another back-off from now on. */
  countOn(backoff: Backoff): void {
    this.#backoff = backoff;
  }

  /** Hands the running one to the waiter, at once or after a start, or says why not. */
  use(waiter: Waiter<C>, patienceMs: number = BACKOFF_PATIENCE_MS): void {
    if (this.#closed !== null) {
      waiter.failed(this.#closed);
      return;
    }
    if (this.#current !== null) {
      waiter.ready(this.#current);
      return;
    }
    const waitMs = this.#backoff.waitMs();
    if (this.#phase !== 'opening' && waitMs > patienceMs) {
      waiter.failed(
        new GatewayError('GW_UPSTREAM_BACKOFF', `it will be tried again in ${Math.ceil(waitMs)} ms`),
      );
      return;
    }
    if (this.#waiters.size >= this.#waitersMax) {
      waiter.failed(new GatewayError('GW_UPSTREAM_BUSY', `${this.#waiters.size} calls wait for its start`));
      return;
    }
    this.#waiters.add(waiter);
    if (this.#phase !== 'down') return;
    if (waitMs === 0) {
      this.#start();
      return;
    }
    this.#phase = 'waiting';
    this.#clock.after(waitMs, () => this.#start());
  }

  /** The waiter wants nothing any more. */
  withdraw(waiter: Waiter<C>): void {
    this.#waiters.delete(waiter);
  }

  /** The running one ended unasked after `livedMs`: the next use starts another. */
  died(livedMs: number): void {
    this.#current = null;
    this.#phase = 'down';
    this.#backoff.died(livedMs);
  }

  /** Starts nothing more; whoever waits or comes hears the error. */
  close(error: GatewayError): void {
    this.#closed ??= error;
    this.#current = null;
    this.#phase = 'down';
    this.#tell((waiter) => waiter.failed(error));
  }

  #start(): void {
    if (this.#closed !== null) return;
    if (this.#waiters.size === 0) {
      this.#phase = 'down';
      return;
    }
    this.#phase = 'opening';
    this.#open(
      (child) => this.#opened(child),
      (error) => this.#failed(error),
    );
  }

  #opened(child: C): void {
    if (this.#closed !== null) return;
    assert(this.#phase === 'opening', 'a start ends once');
    this.#phase = 'up';
    this.#current = child;
    this.#tell((waiter) => waiter.ready(child));
  }

  #failed(error: GatewayError): void {
    if (this.#closed !== null) return;
    assert(this.#phase === 'opening', 'a start ends once');
    this.died(0);
    this.#tell((waiter) => waiter.failed(error));
  }

  #tell(say: (waiter: Waiter<C>) => void): void {
    const waiters = this.#waiters;
    this.#waiters = new Set();
    for (const waiter of waiters) say(waiter);
  }
}
