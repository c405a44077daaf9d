// When a process that ended may start again, and who waits for it meanwhile.
// Called by stdio-keeper.ts and stdio-session.ts. Promises: one start at a time, shared by all who wait; the first
// restart comes at once, further ones of a process that dies young back off with jitter; nobody waits for a back-off
// longer than its patience; waiters are bounded and each hears exactly one of ready and failed; a crash loop is logged
// once, and those who come are told why.
import { assert } from '../base/assert.ts';
import { GatewayError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { Log } from '../observe/log.ts';
import type { Clock, Random } from '../runtime/runtime.ts';

/** A call waits for a back-off this long at most; beyond it the client is told to come again. */
export const BACKOFF_PATIENCE_MS = 2_000;

/** What a process left behind. */
export interface LastWords {
  /** How it ended, as a sentence about it. */
  readonly reason: string;
  /** What it printed on stderr last, oldest line first. */
  readonly lines: readonly string[];
  /** The last of these in a form that clients may see, '' when there is none. */
  readonly shown: string;
}

/** `waiting`: it died young and is left alone for a moment. `crash-loop`: it has done so LIMITS.childCrashLoopDeaths times in a row. */
export type BackoffState = 'well' | 'waiting' | 'crash-loop';

/** The time before which a process must not be started again. */
export class Backoff {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #log: Pick<Log, 'error' | 'info'> | null;
  readonly #longestMs: number;
  #youngDeaths = 0;
  #notBefore = 0;
  #last: LastWords | null = null;

  /** `log` hears of a crash loop, and of its end; no wait is longer than `longestMs`. */
  constructor(
    clock: Clock,
    random: Random,
    log: Pick<Log, 'error' | 'info'> | null = null,
    longestMs: number = LIMITS.childBackoffLastMs,
  ) {
    this.#clock = clock;
    this.#random = random;
    this.#log = log;
    this.#longestMs = longestMs;
  }

  get state(): BackoffState {
    if (this.#youngDeaths >= LIMITS.childCrashLoopDeaths) return 'crash-loop';
    return this.waitMs() > 0 ? 'waiting' : 'well';
  }

  /** Why nothing is started now, for the client that is told so. */
  why(waitMs: number): string {
    const again = `it will be tried again in ${Math.ceil(waitMs)} ms`;
    const loop = this.state === 'crash-loop' ? `it failed ${this.#youngDeaths} times in a row; ` : '';
    const { reason = '', shown = '' } = this.#last ?? {};
    const end = reason === '' ? '' : `; ${reason}`;
    return `${loop}${again}${end}${shown === '' ? '' : `; its last words: ${JSON.stringify(shown)}`}`;
  }

  /** Milliseconds until a start is allowed; 0 when it is now. */
  waitMs(): number {
    return this.#youngDeaths === 0 ? 0 : Math.max(0, this.#notBefore - this.#clock.now());
  }

  /** The process ended unasked after `livedMs` (0 when it could not be started). */
  died(livedMs: number, last: LastWords | null = null): void {
    if (livedMs >= LIMITS.childHealthyMs) {
      this.reset();
      return;
    }
    this.#youngDeaths++;
    this.#last = last;
    if (this.#youngDeaths < 2) return;
    const doubled = LIMITS.childBackoffFirstMs * 2 ** Math.min(this.#youngDeaths - 2, 30);
    const stepMs = Math.min(doubled, this.#longestMs);
    this.#notBefore = this.#clock.now() + stepMs * (0.5 + this.#random.fraction() / 2);
    if (this.#youngDeaths !== LIMITS.childCrashLoopDeaths) return;
    this.#log?.error('the MCP server is in a crash loop', {
      state: this.state,
      deaths: this.#youngDeaths,
      reason: last?.reason ?? '',
      stderr: last?.lines ?? [],
    });
  }

  /** It answered: the loop is over, but one that dies again at once waits before its next start. */
  succeeded(): void {
    this.#recover(1);
  }

  /** It did well: the next start needs no wait. */
  reset(): void {
    this.#recover(0);
  }

  #recover(deathsLeft: number): void {
    if (this.state === 'crash-loop')
      this.#log?.info('the MCP server works again', { deaths: this.#youngDeaths });
    this.#youngDeaths = Math.min(this.#youngDeaths, deathsLeft);
    this.#notBefore = 0;
    this.#last = null;
  }
}

/** Starts one `C`, asynchronously or at once; calls exactly one of the two. */
export type Open<C> = (opened: (child: C) => void, failed: StartFailed) => void;

/** Told that a start came to nothing. */
export type StartFailed = (error: GatewayError, last?: LastWords) => void;

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
      waiter.failed(new GatewayError('GW_UPSTREAM_BACKOFF', this.#backoff.why(waitMs)));
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
  died(livedMs: number, last: LastWords | null = null): void {
    this.#current = null;
    this.#phase = 'down';
    this.#backoff.died(livedMs, last);
  }

  /** The running one does its work. */
  succeeded(): void {
    this.#backoff.succeeded();
  }

  /** The running one is wanted no more: the next use starts another, without back-off. */
  letGo(): void {
    assert(this.#phase === 'up', 'only one that runs is let go');
    this.#current = null;
    this.#phase = 'down';
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
      (error, last) => this.#failed(error, last ?? { reason: error.detail, lines: [], shown: '' }),
    );
  }

  #opened(child: C): void {
    if (this.#closed !== null) return;
    assert(this.#phase === 'opening', 'a start ends once');
    this.#phase = 'up';
    this.#current = child;
    this.#tell((waiter) => waiter.ready(child));
  }

  #failed(error: GatewayError, last: LastWords): void {
    if (this.#closed !== null) return;
    assert(this.#phase === 'opening', 'a start ends once');
    this.died(0, last);
    this.#tell((waiter) => waiter.failed(error));
  }

  #tell(say: (waiter: Waiter<C>) => void): void {
    const waiters = this.#waiters;
    this.#waiters = new Set();
    for (const waiter of waiters) say(waiter);
  }
}
