// The breakers of all servers as an operator sees and moves them: read, forced open, reset.
// Called by control/admin/ and src/gateway/ (the main thread). Promises: each change is one compare-and-swap among those of the workers, so that no outcome of a
// call undoes it; a forced breaker stays open until it is reset, whatever becomes of the workers.
import {
  BREAKER_STATE,
  type BreakerState,
  elapsedMs,
  STATE_MASK,
  stampAfter,
  stateIn,
} from './breaker-word.ts';
import {
  BREAKER,
  BREAKER_COUNT,
  breakerCellAt,
  HEADER,
  POOL_COUNT,
  poolCellAt,
  WORD_BYTES,
} from './layout.ts';
import type { PlaneMemory } from './memory.ts';

/** A breaker at one moment. */
export interface BreakerReading {
  readonly state: BreakerState;
  /** True when an operator opened it. */
  readonly isForced: boolean;
  /** Outcomes of the window that runs; 0 while none does: it begins with a failure. */
  readonly failures: number;
  readonly successes: number;
  /** Wall clock in ms since when it is open or half open; null while it is closed. */
  readonly sinceMs: number | null;
}

/** Failures of a window, in its word. */
const FAILURES_MASK = 0xff;

/** The breaker of a cell; `windowMs` as its server has it, null: it has no breaker, which can be forced all the same. `wallMs`: now. */
export function readBreaker(
  memory: PlaneMemory,
  cell: number,
  { windowMs, wallMs }: { readonly windowMs: number | null; readonly wallMs: number },
): BreakerReading {
  const { words, doubles, plan } = memory;
  const at = breakerCellAt(plan, cell);
  const word = Atomics.load(words, at / WORD_BYTES + BREAKER.state);
  const window = Atomics.load(words, at / WORD_BYTES + BREAKER.window);
  const nowMs = wallMs - madeAtMs(memory);
  const runs = windowMs !== null && window !== 0 && elapsedMs(window, nowMs) < windowMs;
  const base = doubles[at / 8 + BREAKER_COUNT.base] ?? 0;
  const state = stateIn(word);
  return {
    state,
    isForced: (word & STATE_MASK) === BREAKER_STATE.forced,
    failures: runs ? window & FAILURES_MASK : 0,
    successes: runs ? Math.max(0, Math.round(successesOf(memory, cell) - base)) : 0,
    sinceMs:
      state === 'closed'
        ? null
        : Math.round((doubles[at / 8 + BREAKER_COUNT.changedAtMs] ?? 0) + madeAtMs(memory)),
  };
}

/** Opens it until it is reset; false when it was forced already. */
export function forceBreaker(memory: PlaneMemory, cell: number, wallMs: number): boolean {
  return change(memory, cell, { wallMs, state: BREAKER_STATE.forced });
}

/** Closes it, forced or not, with nothing counted; false when it was closed, and what it had counted is forgotten all the same. */
export function resetBreaker(memory: PlaneMemory, cell: number, wallMs: number): boolean {
  const { words, plan } = memory;
  Atomics.store(words, breakerCellAt(plan, cell) / WORD_BYTES + BREAKER.window, 0);
  return change(memory, cell, { wallMs, state: BREAKER_STATE.closed });
}

/** True when an operator opened it. */
export function isForced({ words, plan }: PlaneMemory, cell: number): boolean {
  const word = Atomics.load(words, breakerCellAt(plan, cell) / WORD_BYTES + BREAKER.state);
  return (word & STATE_MASK) === BREAKER_STATE.forced;
}

/** True when it lets requests pass without a second thought. */
export function isClosed({ words, plan }: PlaneMemory, cell: number): boolean {
  const word = Atomics.load(words, breakerCellAt(plan, cell) / WORD_BYTES + BREAKER.state);
  return (word & STATE_MASK) === BREAKER_STATE.closed;
}

function change(
  memory: PlaneMemory,
  cell: number,
  { wallMs, state }: { readonly wallMs: number; readonly state: number },
): boolean {
  const { words, doubles, plan } = memory;
  const at = breakerCellAt(plan, cell);
  const stateAt = at / WORD_BYTES + BREAKER.state;
  const nowMs = wallMs - madeAtMs(memory);
  for (;;) {
    const word = Atomics.load(words, stateAt);
    // The same state under a later time: outcomes of calls that began before are none of it.
    const isSame = (word & STATE_MASK) === state;
    if (isSame && state === BREAKER_STATE.forced) return false;
    if (Atomics.compareExchange(words, stateAt, word, state | stampAfter(word, nowMs)) !== word) continue;
    doubles[at / 8 + BREAKER_COUNT.changedAtMs] = nowMs;
    return !isSame;
  }
}

/** When the memory was made, wall clock in ms: times in cells count from there. */
function madeAtMs({ words }: PlaneMemory): number {
  return (words[HEADER.madeAtS] ?? 0) * 1000;
}

function successesOf({ doubles, plan }: PlaneMemory, cell: number): number {
  let sum = 0;
  for (let worker = 0; worker < plan.workers; worker++)
    sum += doubles[poolCellAt(plan, cell, worker) / 8 + POOL_COUNT.successes] ?? 0;
  return sum;
}

/** A server that takes another's place, in a cell that nobody uses yet, has a forced breaker when that one has. */
export function carryForced(memory: PlaneMemory, from: number, to: number): void {
  if (!isForced(memory, from)) return;
  const { words, doubles, plan } = memory;
  const [fromAt, toAt] = [breakerCellAt(plan, from), breakerCellAt(plan, to)];
  const word = Atomics.load(words, fromAt / WORD_BYTES + BREAKER.state);
  doubles[toAt / 8 + BREAKER_COUNT.changedAtMs] = doubles[fromAt / 8 + BREAKER_COUNT.changedAtMs] ?? 0;
  Atomics.store(words, toAt / WORD_BYTES + BREAKER.state, word);
}
