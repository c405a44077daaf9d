// Breakers as an operator reads and moves them.
// Runs src/memory/breaker-control.ts beside the cells that workers hold; test/property/breaker-threads.test.ts does so on several threads.
import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { BreakerCell, type BreakerSettings, REFUSED } from '../../../src/memory/breaker-cell.ts';
import {
  carryForced,
  forceBreaker,
  isClosed,
  isForced,
  readBreaker,
  resetBreaker,
} from '../../../src/memory/breaker-control.ts';
import { createMemory, type PlaneMemory } from '../../../src/memory/memory.ts';
import { clearUpstream, clearWorker } from '../../../src/memory/reclaim.ts';

const MADE_MS = 1_000_000_000_000;
const SETTINGS: BreakerSettings = {
  ...{ failures: 3, sharePercent: 50, windowMs: 1_000 },
  ...{ openMs: 200, trials: 2, trialMs: 5_000 },
};

function make(settings: BreakerSettings | null = SETTINGS) {
  const memory = createMemory(
    { workers: 2, upstreams: 3, endpoints: 1, ringBytes: 4096, journalRecords: 1 },
    MADE_MS,
  );
  const [one, other] = [0, 1].map((worker) => new BreakerCell(memory, 1, worker, settings));
  if (one === undefined || other === undefined) throw new Error('no cells');
  return { memory, one, other };
}

const read = (memory: PlaneMemory, atMs: number, cell = 1) =>
  readBreaker(memory, cell, { windowMs: SETTINGS.windowMs, wallMs: MADE_MS + atMs });
const force = (memory: PlaneMemory, atMs: number): boolean => forceBreaker(memory, 1, MADE_MS + atMs);
const reset = (memory: PlaneMemory, atMs: number): boolean => resetBreaker(memory, 1, MADE_MS + atMs);

describe('a breaker that is read', () => {
  test('tells its window while that runs, and since when it is open', () => {
    const { memory, one, other } = make();
    const calm = { state: 'closed', isForced: false, failures: 0, successes: 0, sinceMs: null } as const;
    expect(read(memory, 50)).toEqual(calm);
    one.failed(one.permit(100), 100);
    for (let n = 0; n < 4; n++) other.succeeded(other.passing());
    other.failed(other.permit(150), 150);
    expect(read(memory, 160)).toEqual({ ...calm, failures: 2, successes: 4 });
    expect(read(memory, 1_101)).toEqual(calm);
    for (let n = 0; n < 5; n++) one.failed(one.permit(2_000), 2_000);
    expect(read(memory, 2_100)).toMatchObject({ state: 'open', isForced: false, sinceMs: MADE_MS + 2_000 });
    expect(one.isTrial(one.permit(2_300))).toBe(true);
    expect(read(memory, 2_400)).toMatchObject({ state: 'half-open', sinceMs: MADE_MS + 2_300 });
  });

  test('says since when it is forced for longer than the time in its word can tell', () => {
    const { memory } = make();
    force(memory, 10);
    expect(read(memory, 10 * 24 * 3_600_000).sinceMs).toBe(MADE_MS + 10);
  });
});

describe('a breaker that is forced', () => {
  test('refuses for as long as nobody resets it, whatever its settings and its workers say', () => {
    const { memory, one, other } = make();
    expect([force(memory, 10), force(memory, 11)]).toEqual([true, false]);
    expect([one.passing(), one.permit(1_000_000), other.permit(9_000_000)]).toEqual([
      REFUSED,
      REFUSED,
      REFUSED,
    ]);
    expect([one.refuses(9_000_000), one.state, one.isForced]).toEqual([true, 'open', true]);
    clearWorker(memory, 0);
    clearWorker(memory, 1);
    expect([isForced(memory, 1), isForced(memory, 0), isClosed(memory, 1), isClosed(memory, 0)]).toEqual([
      ...[true, false, false, true],
    ]);
  });

  test('is not moved by the outcomes of calls that it let through before', () => {
    const { memory, one } = make();
    const early = one.passing();
    for (let n = 0; n < 3; n++) one.failed(one.permit(100), 100);
    const trials = [one.permit(400), one.permit(400), one.permit(400)];
    expect(trials.map((token) => token === REFUSED)).toEqual([false, false, true]);
    force(memory, 401);
    one.succeeded(early);
    one.failed(early, 402);
    one.succeeded(trials[0] ?? REFUSED);
    one.undecided(trials[1] ?? REFUSED);
    expect(read(memory, 403)).toMatchObject({ state: 'open', isForced: true });
  });

  test('closes when it is reset, with nothing counted; what was let through before counts for nothing then', () => {
    const { memory, one } = make();
    const early = one.passing();
    for (let n = 0; n < 2; n++) one.failed(one.permit(100), 100);
    force(memory, 110);
    expect([reset(memory, 120), reset(memory, 121)]).toEqual([true, false]);
    expect(read(memory, 122)).toMatchObject({ state: 'closed', isForced: false, failures: 0 });
    for (let n = 0; n < 5; n++) one.failed(early, 130);
    expect(read(memory, 131).failures).toBe(0);
    for (let n = 0; n < 2; n++) one.failed(one.permit(140), 140);
    expect(one.state).toBe('closed');
    one.failed(one.permit(141), 141);
    expect(one.state).toBe('open');
    expect([reset(memory, 142), one.state]).toEqual([true, 'closed']);
  });

  test('can be one that never opens by itself', () => {
    const { memory, one } = make(null);
    for (let n = 0; n < 1_000; n++) one.failed(one.permit(10), 10);
    expect([one.state, one.passing() === REFUSED]).toEqual(['closed', false]);
    force(memory, 20);
    expect([one.state, one.permit(30), one.refuses(30)]).toEqual(['open', REFUSED, true]);
    reset(memory, 40);
    expect(one.permit(50)).not.toBe(REFUSED);
  });

  test('is carried to the cell of what takes its place, and is gone with a cell that is cleared', () => {
    const { memory } = make();
    force(memory, 10);
    carryForced(memory, 1, 2);
    carryForced(memory, 0, 1);
    expect(read(memory, 20, 2)).toMatchObject({ isForced: true, sinceMs: MADE_MS + 10 });
    expect(isForced(memory, 1)).toBe(true);
    clearUpstream(memory, 2);
    expect(read(memory, 30, 2)).toMatchObject({ state: 'closed', isForced: false });
  });

  test('holds against any order of permits, outcomes and times', () => {
    const step = fc.tuple(fc.nat({ max: 5 }), fc.nat({ max: 1 }), fc.nat({ max: 400 }));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        const { memory, one, other } = make();
        const tokens: number[] = [];
        let nowMs = 1;
        let isHeld = false;
        for (const [what, who, ms] of steps) {
          nowMs += ms;
          const cell = who === 0 ? one : other;
          if (what < 2) {
            const token = cell.permit(nowMs);
            if (isHeld && token !== REFUSED) return false;
            if (token !== REFUSED) tokens.push(token);
          } else if (what === 2) cell.failed(tokens.shift() ?? 0, nowMs);
          else if (what === 3) cell.succeeded(tokens.shift() ?? 0);
          else if (what === 4 && isHeld) {
            reset(memory, nowMs);
            isHeld = false;
            if (cell.permit(nowMs) === REFUSED) return false;
          } else if (what === 5) {
            force(memory, nowMs);
            isHeld = true;
          }
          if (isForced(memory, 1) !== isHeld) return false;
        }
        return true;
      }),
      { numRuns: 300 },
    );
  });
});
