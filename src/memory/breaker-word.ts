// The word of a breaker cell: its states, and the time in it.
// Called by breaker-cell.ts (workers) and breaker-control.ts (the main thread). Promises: pure; times in words are 24 bits of ms, and are only ever compared with
// such as lie less than half of that apart.

/** States in a word's lowest two bits. `forced`: an operator opened it, and none but an operator closes it. */
export const BREAKER_STATE = Object.freeze({ closed: 0, open: 1, halfOpen: 2, forced: 3 });

/** The bits of the state. */
export const STATE_MASK = 3;

/** States by their names; a forced one is open. */
export type BreakerState = 'closed' | 'open' | 'half-open';

const TIME_SHIFT = 8;
const TIME_MASK = 0xff_ffff;
/** Clocks of two threads differ a little: a change that seems to lie this little in the future has just happened. */
const SKEW_MS = 1_000;

/** The time of a word, in its place. */
export function stampOf(nowMs: number): number {
  return (Math.floor(nowMs) & TIME_MASK) << TIME_SHIFT;
}

/** Milliseconds since the time in a word; 0 for what seems to come from another thread's near future. */
export function elapsedMs(word: number, nowMs: number): number {
  const elapsed = (Math.floor(nowMs) - (word >>> TIME_SHIFT)) & TIME_MASK;
  return elapsed > TIME_MASK - SKEW_MS ? 0 : elapsed;
}

/** The time of a change that follows the one in a word: always a later one. */
export function stampAfter(word: number, nowMs: number): number {
  const isLater = elapsedMs(word, nowMs) > 0;
  return isLater ? stampOf(nowMs) : stampOf((word >>> TIME_SHIFT) + 1);
}

/** The state of a word by its name. */
export function stateIn(word: number): BreakerState {
  const state = word & STATE_MASK;
  if (state === BREAKER_STATE.closed) return 'closed';
  return state === BREAKER_STATE.halfOpen ? 'half-open' : 'open';
}
