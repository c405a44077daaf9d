// The breaker of one upstream, shared by all workers: closed (all pass), open (none passes), half open (a few trials pass), forced (none passes until an operator
// says otherwise, see breaker-control.ts). Called by upstream/breaker.ts. Promises: each change of state happens once, by compare-and-swap; an outcome of an earlier state changes
// nothing; half open, never more trials are under way than allowed, nor does a lost one block the rest for good; no clock while closed.
//
// One word holds state, trials and the time of the last change, so that every step is one swap. That time also tells one half-open time, and the
// closed one that follows it, from all others: it always grows, by a millisecond at least, as long as no thread's time is more than SKEW_MS behind
// (its clock, or a halt between reading it and getting here). Beyond that a half-open time may be taken for an earlier one: a trial too many.
//
//            failures of a window reach count and share              openMs over, a permit is asked
//   closed ────────────────────────────────────────────▶ open ──────────────────────────────▶ half open
//      ▲                                                  ▲                                     │    │
//      │                                                  └──────────── a trial fails ──────────┘    │
//      └──────────────────────────────────── a trial succeeds ──────────────────────────────────────┘
//
// An outcome is told with the state that its call was let through in: it moves nothing once that has been forced or reset.
import { assert } from '../base/assert.ts';
import {
  BREAKER_STATE,
  type BreakerState,
  elapsedMs,
  STATE_MASK,
  stampAfter,
  stampOf,
  stateIn,
} from './breaker-word.ts';
import { BREAKER, BREAKER_COUNT, breakerCellAt, POOL, POOL_COUNT, poolCellAt, WORD_BYTES } from './layout.ts';
import type { PlaneMemory } from './memory.ts';

/** When a breaker opens and how it tries again. */
export interface BreakerSettings {
  /** Failures within one window that open it, 1 … BREAKER_FAILURES_MAX; counted from the first failure on. */
  readonly failures: number;
  /** Share of all outcomes of the window that must have failed, 0 … 100. */
  readonly sharePercent: number;
  readonly windowMs: number;
  /** Time from opening to the first trial. */
  readonly openMs: number;
  /** Trials under way at once while half open, 1 … BREAKER_TRIALS_MAX. */
  readonly trials: number;
  /** Trials that have told no outcome for so long are given up, and others let through. */
  readonly trialMs: number;
}

/** What the failures of a window are counted up to: 8 bits. */
export const BREAKER_FAILURES_MAX = 255;
/** What trials are counted up to: 6 bits. */
export const BREAKER_TRIALS_MAX = 63;
/** Longest time that a setting may have: times are 24 bits of ms, and half of that tells before from after. */
export const BREAKER_MS_MAX = 3_600_000;

/** What permit() returns when nobody may pass. No token is -1: its state bits would be those of a forced breaker, which gives none. */
export const REFUSED = -1;

const { closed: CLOSED, open: OPEN, halfOpen: HALF_OPEN, forced: FORCED } = BREAKER_STATE;
const TRIAL = 1 << 2;
const TRIALS_SHIFT = 2;
const TRIALS_MASK = 63;
/** A token is the word without its trials. */
const TOKEN_MASK = ~(TRIALS_MASK << TRIALS_SHIFT);
const FAILURES_MASK = 0xff;
/** Of a server without a breaker, which never opens by itself: what is not 0 is of no consequence. */
const NEVER: BreakerSettings = Object.freeze({
  ...{ failures: BREAKER_FAILURES_MAX, sharePercent: 100, trials: 1 },
  ...{ windowMs: 1, openMs: 1, trialMs: 1 },
});

function trialsIn(word: number): number {
  return (word >>> TRIALS_SHIFT) & TRIALS_MASK;
}

/** One worker's hold on the breaker cell of one upstream. All times are ms since the memory was made. */
export class BreakerCell {
  private readonly words: Int32Array;
  private readonly doubles: Float64Array;
  private readonly stateAt: number;
  private readonly windowAt: number;
  private readonly countAt: number;
  private readonly ownSuccessesAt: number;
  private readonly firstSuccessesAt: number;
  private readonly workers: number;
  private readonly settings: BreakerSettings;
  private readonly opens: boolean;

  /** `settings` null: it opens only when it is forced. */
  constructor(memory: PlaneMemory, upstream: number, worker: number, settings: BreakerSettings | null) {
    const { plan } = memory;
    const { failures, trials, windowMs, openMs, trialMs } = settings ?? NEVER;
    assert(failures >= 1 && failures <= BREAKER_FAILURES_MAX, 'failures of a breaker fit in 8 bits');
    assert(trials >= 1 && trials <= BREAKER_TRIALS_MAX, 'trials of a breaker fit in 6 bits');
    for (const ms of [windowMs, openMs, trialMs])
      assert(ms >= 1 && ms <= BREAKER_MS_MAX, 'times of a breaker are 1 ms to an hour');
    const cellAt = breakerCellAt(plan, upstream);
    this.words = memory.words;
    this.doubles = memory.doubles;
    this.stateAt = cellAt / WORD_BYTES + BREAKER.state;
    this.windowAt = cellAt / WORD_BYTES + BREAKER.window;
    this.countAt = cellAt / 8;
    this.firstSuccessesAt = poolCellAt(plan, upstream, 0) / 8 + POOL_COUNT.successes;
    this.ownSuccessesAt = poolCellAt(plan, upstream, worker) / 8 + POOL_COUNT.successes;
    this.workers = plan.workers;
    this.settings = settings ?? NEVER;
    this.opens = settings !== null;
  }

  get state(): BreakerState {
    return stateIn(Atomics.load(this.words, this.stateAt));
  }

  /** True when an operator opened it. */
  get isForced(): boolean {
    return (Atomics.load(this.words, this.stateAt) & STATE_MASK) === FORCED;
  }

  /** A token while closed, else REFUSED: then ask permit(), which needs the time. */
  passing(): number {
    const word = Atomics.load(this.words, this.stateAt);
    return (word & STATE_MASK) === CLOSED ? word : REFUSED;
  }

  /** A token for exactly one of succeeded(), failed() and undecided(), or REFUSED. */
  permit(nowMs: number): number {
    const { openMs, trials, trialMs } = this.settings;
    for (;;) {
      const word = Atomics.load(this.words, this.stateAt);
      const state = word & STATE_MASK;
      if (state === CLOSED) return word;
      if (state === FORCED) return REFUSED;
      let next = HALF_OPEN | TRIAL | stampAfter(word, nowMs);
      if (state === OPEN) {
        if (elapsedMs(word, nowMs) < openMs) return REFUSED;
      } else if (trialsIn(word) < trials) next = word + TRIAL;
      else if (elapsedMs(word, nowMs) < trialMs) return REFUSED;
      if (!this.swap(word, next)) continue;
      if (state === OPEN) this.changed(nowMs);
      return next & TOKEN_MASK;
    }
  }

  /** True when permit() would refuse; nothing is taken. */
  refuses(nowMs: number): boolean {
    const { openMs, trials, trialMs } = this.settings;
    const word = Atomics.load(this.words, this.stateAt);
    const state = word & STATE_MASK;
    if (state === CLOSED) return false;
    if (state === FORCED) return true;
    if (state === OPEN) return elapsedMs(word, nowMs) < openMs;
    return trialsIn(word) >= trials && elapsedMs(word, nowMs) < trialMs;
  }

  /** True when the token let a trial through: its outcome decides, and is best told early. */
  isTrial(token: number): boolean {
    return (token & STATE_MASK) === HALF_OPEN;
  }

  /** The exchange of this token went well. */
  succeeded(token: number): void {
    if ((token & STATE_MASK) === CLOSED) {
      // Counted in this worker's own line: a count that all workers share would cost each call a fight for it.
      if (this.words[this.stateAt] !== token) return;
      this.doubles[this.ownSuccessesAt] = (this.doubles[this.ownSuccessesAt] ?? 0) + 1;
      return;
    }
    if (!this.isCurrent(token)) return;
    Atomics.store(this.words, this.windowAt, 0);
    // The closed time bears the time of the half-open one that it follows, of which there is only one.
    this.leave(token, (token & ~STATE_MASK) | CLOSED);
  }

  /** The exchange of this token failed, and not by its caller's fault. */
  failed(token: number, nowMs: number): void {
    if (!this.opens || !this.isCurrent(token)) return;
    const open = OPEN | stampAfter(token, nowMs);
    const isTrial = (token & STATE_MASK) === HALF_OPEN;
    const hasOpened = isTrial ? this.leave(token, open) : this.countFailure(nowMs) && this.swap(token, open);
    if (hasOpened) this.changed(nowMs);
  }

  /** The exchange of this token ended without saying anything about the upstream (its client left): a trial may be made again. */
  undecided(token: number): void {
    if ((token & STATE_MASK) !== HALF_OPEN) return;
    for (;;) {
      const word = Atomics.load(this.words, this.stateAt);
      if ((word & TOKEN_MASK) !== token || trialsIn(word) === 0) return;
      if (this.swap(word, word - TRIAL)) return;
    }
  }

  private isCurrent(token: number): boolean {
    return (Atomics.load(this.words, this.stateAt) & TOKEN_MASK) === token;
  }

  private swap(from: number, to: number): boolean {
    return Atomics.compareExchange(this.words, this.stateAt, from, to) === from;
  }

  /** Leaves the half-open time of this token; false when somebody did before. */
  private leave(token: number, to: number): boolean {
    for (;;) {
      const word = Atomics.load(this.words, this.stateAt);
      if ((word & TOKEN_MASK) !== token) return false;
      if (this.swap(word, to)) return true;
    }
  }

  /** For those who look: it is in this state since then. */
  private changed(nowMs: number): void {
    this.doubles[this.countAt + BREAKER_COUNT.changedAtMs] = nowMs;
  }

  /** Counts one failure; true when there are enough. A window begins with its first failure, so that successes need no clock. */
  private countFailure(nowMs: number): boolean {
    const { failures, sharePercent, windowMs } = this.settings;
    for (;;) {
      const word = Atomics.load(this.words, this.windowAt);
      const goesOn = word !== 0 && elapsedMs(word, nowMs) < windowMs;
      const count = goesOn ? Math.min((word & FAILURES_MASK) + 1, BREAKER_FAILURES_MAX) : 1;
      const stamp = goesOn ? word & ~FAILURES_MASK : stampOf(nowMs);
      if (Atomics.compareExchange(this.words, this.windowAt, word, stamp | count) !== word) continue;
      if (!goesOn) this.beginWindow(nowMs);
      if (count < failures) return false;
      return (
        count * 100 >=
        sharePercent * (count + this.successes() - (this.doubles[this.countAt + BREAKER_COUNT.base] ?? 0))
      );
    }
  }

  /**
   * Successes of the window's length before it count as well, at their average rate since the window before: one fault that ends many calls at once
   * (a process or a connection that dies) would otherwise look like an outage in which nothing succeeds.
   */
  private beginWindow(nowMs: number): void {
    const { doubles, countAt } = this;
    const { windowMs } = this.settings;
    const sum = this.successes();
    const since = sum - (doubles[countAt + BREAKER_COUNT.mark] ?? 0);
    const sinceMs = nowMs - (doubles[countAt + BREAKER_COUNT.markedAtMs] ?? 0);
    doubles[countAt + BREAKER_COUNT.base] = sum - (since * windowMs) / Math.max(windowMs, sinceMs);
    doubles[countAt + BREAKER_COUNT.mark] = sum;
    doubles[countAt + BREAKER_COUNT.markedAtMs] = nowMs;
  }

  private successes(): number {
    let sum = 0;
    for (let worker = 0; worker < this.workers; worker++)
      sum += this.doubles[this.firstSuccessesAt + worker * (POOL.words / 2)] ?? 0;
    return sum;
  }
}
