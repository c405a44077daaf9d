// Deadlines of many calls over one timer.
// Called by stdio.ts (makes it), stdio-calls.ts, stdio-session.ts and stdio-shared.ts (set deadlines). Promises: an
// expiry comes at or at most one tick after its time; no timer runs while nothing waits.
import type { Clock, TimerId } from '../runtime/runtime.ts';

/** Expiries are gathered: the timer never fires more often than this. */
const TICK_MS = 10;

/** Something that must happen by a time of the monotonic clock, unless it is taken back. */
export interface Deadline {
  readonly at: number;
  expire(): void;
}

/** A set of deadlines. */
export class Deadlines {
  readonly #clock: Clock;
  readonly #waiting = new Set<Deadline>();
  #timer: TimerId = 0;
  #timerAt = Number.POSITIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Adds a deadline `ms` from now. */
  set(ms: number, expire: () => void): Deadline {
    const deadline = { at: this.#clock.now() + ms, expire };
    this.#waiting.add(deadline);
    this.#arm(deadline.at);
    return deadline;
  }

  /** Takes a deadline back; nothing happens when it expired already. */
  clear(deadline: Deadline | null): void {
    if (deadline !== null) this.#waiting.delete(deadline);
  }

  #arm(at: number): void {
    if (at >= this.#timerAt) return;
    this.#clock.cancel(this.#timer);
    this.#timerAt = at;
    this.#timer = this.#clock.after(Math.max(TICK_MS, at - this.#clock.now()), () => this.#sweep());
  }

  #sweep(): void {
    this.#timerAt = Number.POSITIVE_INFINITY;
    const now = this.#clock.now();
    let next = Number.POSITIVE_INFINITY;
    for (const deadline of [...this.#waiting]) {
      if (deadline.at > now) next = Math.min(next, deadline.at);
      else if (this.#waiting.delete(deadline)) deadline.expire();
    }
    if (next < Number.POSITIVE_INFINITY) this.#arm(next);
  }
}
