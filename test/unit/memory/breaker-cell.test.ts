// The breaker's states one by one, and a random walk against a model of plain fields.
// Runs src/memory/breaker-cell.ts on one thread; test/property/cells-threads.test.ts runs it on several.
import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { BreakerCell, type BreakerSettings, REFUSED } from '../../../src/memory/breaker-cell.ts';
import { createMemory } from '../../../src/memory/memory.ts';

const SETTINGS: BreakerSettings = {
  failures: 4,
  sharePercent: 50,
  windowMs: 1_000,
  openMs: 200,
  trials: 2,
  trialMs: 5_000,
};

function make(settings: Partial<BreakerSettings> = {}, workers = 2): readonly BreakerCell[] {
  const memory = createMemory({ workers, upstreams: 3, endpoints: 1, ringBytes: 4096, journalRecords: 1 }, 0);
  return Array.from(
    { length: workers },
    (_, worker) => new BreakerCell(memory, 1, worker, { ...SETTINGS, ...settings }),
  );
}

function one(settings: Partial<BreakerSettings> = {}): BreakerCell {
  const [cell] = make(settings);
  if (cell === undefined) throw new Error('no cell');
  return cell;
}

function failTimes(cell: BreakerCell, count: number, nowMs: number): void {
  for (let n = 0; n < count; n++) cell.failed(cell.permit(nowMs), nowMs);
}

describe('closed', () => {
  test('opens when enough have failed within the window', () => {
    const cell = one();
    failTimes(cell, 3, 100);
    expect([cell.state, cell.passing() === REFUSED]).toEqual(['closed', false]);
    failTimes(cell, 1, 1_099);
    expect([cell.state, cell.passing(), cell.permit(1_100)]).toEqual(['open', REFUSED, REFUSED]);
  });

  test('stays closed when they lie in two windows', () => {
    const cell = one();
    failTimes(cell, 3, 100);
    failTimes(cell, 3, 1_100);
    expect(cell.state).toBe('closed');
    failTimes(cell, 1, 1_200);
    expect(cell.state).toBe('open');
  });

  test('stays closed while their share of the outcomes of all workers is too small', () => {
    const [a, b] = make();
    if (a === undefined || b === undefined) throw new Error('no cells');
    failTimes(a, 1, 10);
    for (let n = 0; n < 5; n++) b.succeeded(b.passing());
    failTimes(a, 3, 20);
    expect(a.state).toBe('closed');
    failTimes(b, 1, 30);
    expect([a.state, b.state]).toEqual(['open', 'open']);
  });

  test('one fault that ends many calls at once is no outage of a server that was well until then', () => {
    const cell = one({ failures: 20 });
    for (let n = 0; n < 300; n++) cell.succeeded(cell.passing());
    // 300 within 3 s are 100 a window.
    failTimes(cell, 99, 3_000);
    expect(cell.state).toBe('closed');
    failTimes(cell, 1, 3_001);
    expect(cell.state).toBe('open');
  });

  test('what went well long ago does not hold up a real outage for more than a window', () => {
    const cell = one({ failures: 20 });
    for (let n = 0; n < 1e5; n++) cell.succeeded(cell.passing());
    failTimes(cell, 60, 10_000);
    expect(cell.state).toBe('closed');
    // A window later nothing has succeeded since: the count alone decides.
    failTimes(cell, 19, 11_000);
    expect(cell.state).toBe('closed');
    failTimes(cell, 1, 11_100);
    expect(cell.state).toBe('open');
  });

  test('more failures than are counted change nothing', () => {
    const cell = one({ failures: 255 });
    for (let n = 0; n < 1_000; n++) cell.succeeded(cell.passing());
    failTimes(cell, 1, 1);
    for (let n = 0; n < 600; n++) cell.succeeded(cell.passing());
    failTimes(cell, 400, 2);
    // 401 of 1 001 is two fifths, and the count stands at 255: that is under a third.
    expect(cell.state).toBe('closed');
  });
});

describe('open and half open', () => {
  function opened(settings: Partial<BreakerSettings> = {}): BreakerCell {
    const cell = one(settings);
    failTimes(cell, 4, 1_000);
    expect(cell.state).toBe('open');
    return cell;
  }

  test('lets as many trials through as it may, once its time is over', () => {
    const cell = opened();
    expect(cell.permit(1_199)).toBe(REFUSED);
    const [first, second] = [cell.permit(1_200), cell.permit(1_201)];
    expect([cell.isTrial(first), cell.isTrial(second), cell.state]).toEqual([true, true, 'half-open']);
    expect([cell.permit(1_202), cell.passing()]).toEqual([REFUSED, REFUSED]);
  });

  test('closes at a success, with a clean window', () => {
    const cell = opened();
    const trial = cell.permit(1_300);
    cell.succeeded(trial);
    expect([cell.state, cell.isTrial(cell.passing())]).toEqual(['closed', false]);
    failTimes(cell, 3, 1_301);
    expect(cell.state).toBe('closed');
  });

  test('opens again at a failure, for its whole time', () => {
    const cell = opened();
    cell.failed(cell.permit(1_300), 1_350);
    expect([cell.state, cell.permit(1_549), cell.isTrial(cell.permit(1_550))]).toEqual([
      'open',
      REFUSED,
      true,
    ]);
  });

  test('a trial that said nothing makes room for another', () => {
    const cell = opened({ trials: 1 });
    const trial = cell.permit(1_300);
    expect(cell.permit(1_301)).toBe(REFUSED);
    cell.undecided(trial);
    expect(cell.isTrial(cell.permit(1_301))).toBe(true);
  });

  test('trials that never end are given up', () => {
    const cell = opened({ trials: 1 });
    const lost = cell.permit(1_300);
    expect(cell.permit(6_299)).toBe(REFUSED);
    const next = cell.permit(6_300);
    expect(cell.isTrial(next)).toBe(true);
    cell.succeeded(lost);
    expect(cell.state).toBe('half-open');
    cell.succeeded(next);
    expect(cell.state).toBe('closed');
  });

  test('what began in an earlier state changes nothing', () => {
    const cell = one();
    const early = cell.passing();
    failTimes(cell, 4, 1_000);
    cell.succeeded(early);
    cell.failed(early, 1_001);
    expect([cell.state, cell.permit(1_199)]).toEqual(['open', REFUSED]);
    const trial = cell.permit(1_200);
    const other = cell.permit(1_200);
    for (const act of [
      () => cell.succeeded(early),
      () => cell.failed(early, 1_210),
      () => cell.undecided(early),
    ])
      act();
    expect([cell.state, cell.permit(1_220)]).toEqual(['half-open', REFUSED]);
    cell.succeeded(trial);
    cell.failed(other, 1_230);
    cell.undecided(other);
    for (let n = 0; n < 9; n++) cell.failed(early, 1_240);
    expect(cell.state).toBe('closed');
  });
});

describe('time', () => {
  test('one half-open time is never taken for another, though clocks run backwards', () => {
    const cell = one({ openMs: 2 });
    failTimes(cell, 4, 1_000);
    const early = [cell.permit(1_002), cell.permit(1_002)];
    // A thread whose clock is behind sees the trial fail before it began.
    cell.failed(early[0] ?? REFUSED, 990);
    expect([cell.state, cell.permit(1_002), cell.permit(1_004)]).toEqual(['open', REFUSED, REFUSED]);
    const late = cell.permit(1_005);
    expect([cell.isTrial(late), early.includes(late)]).toEqual([true, false]);
    cell.succeeded(early[1] ?? REFUSED);
    expect(cell.state).toBe('half-open');
  });

  test("another thread's clock may be a little behind", () => {
    const cell = one();
    failTimes(cell, 4, 10_000);
    expect(cell.permit(9_990)).toBe(REFUSED);
  });

  test('wraps after 4.6 hours', () => {
    const wrapMs = 2 ** 24;
    const cell = one();
    failTimes(cell, 4, wrapMs - 2_000);
    cell.succeeded(cell.permit(wrapMs - 1_800));
    failTimes(cell, 4, wrapMs - 50);
    expect([cell.permit(wrapMs + 149), cell.isTrial(cell.permit(wrapMs + 150))]).toEqual([REFUSED, true]);
    const late = one();
    failTimes(late, 4, wrapMs * 9 + 5);
    expect([late.permit(wrapMs * 9 + 204), late.isTrial(late.permit(wrapMs * 9 + 205))]).toEqual([
      REFUSED,
      true,
    ]);
  });

  test('settings out of range are a fault of ours', () => {
    for (const bad of [
      { failures: 0 },
      { failures: 256 },
      { trials: 0 },
      { trials: 64 },
      { openMs: 0 },
      { windowMs: 4e6 },
    ])
      expect(() => one(bad)).toThrow('breaker');
  });
});

/** The same breaker, written for reading: one thread, no packing, no wrapping. */
class Model {
  state: 'closed' | 'open' | 'half-open' = 'closed';
  version = 0;
  sinceMs = 0;
  trials = 0;
  windowAtMs: number | null = null;
  failures = 0;
  /** All that ever succeeded; what of it the window does not count; and what it was when the window began. */
  successes = 0;
  base = 0;
  mark = 0;
  markedAtMs = 0;
  readonly settings: BreakerSettings;

  constructor(settings: BreakerSettings) {
    this.settings = settings;
  }

  private become(state: Model['state'], nowMs: number): void {
    this.state = state;
    this.version++;
    this.sinceMs = state === 'closed' ? this.sinceMs : Math.max(nowMs, this.sinceMs + 1);
    this.trials = 0;
  }

  permit(nowMs: number): number | null {
    const { openMs, trials, trialMs } = this.settings;
    if (this.state === 'open' && nowMs - this.sinceMs >= openMs) this.become('half-open', nowMs);
    if (this.state === 'open') return null;
    if (this.state === 'closed') return this.version;
    if (this.trials === trials && nowMs - this.sinceMs >= trialMs) this.become('half-open', nowMs);
    if (this.trials === trials) return null;
    this.trials++;
    return this.version;
  }

  succeeded(version: number, nowMs: number): void {
    if (version !== this.version) return;
    if (this.state === 'half-open') {
      this.become('closed', nowMs);
      this.windowAtMs = null;
    } else this.successes++;
  }

  failed(version: number, nowMs: number): void {
    if (version !== this.version) return;
    if (this.state === 'half-open') return this.become('open', nowMs);
    const { windowMs, failures, sharePercent } = this.settings;
    if (this.windowAtMs === null || nowMs - this.windowAtMs >= windowMs) {
      const since = this.successes - this.mark;
      this.base = this.successes - (since * windowMs) / Math.max(windowMs, nowMs - this.markedAtMs);
      this.mark = this.successes;
      this.markedAtMs = nowMs;
      this.windowAtMs = nowMs;
      this.failures = 0;
    }
    this.failures++;
    const share = (this.failures * 100) / (this.failures + this.successes - this.base);
    if (this.failures >= failures && share >= sharePercent) this.become('open', nowMs);
  }

  undecided(version: number): void {
    if (version === this.version && this.state === 'half-open') this.trials--;
  }
}

test('a random walk does what the model does', () => {
  const step = fc.record({
    afterMs: fc.constantFrom(0, 1, 7, 40, 90, 120, 600),
    act: fc.constantFrom('permit', 'permit', 'permit', 'succeeded', 'failed', 'failed', 'undecided'),
    which: fc.nat(30),
    worker: fc.nat(1),
  });
  const settings = fc.record({
    failures: fc.integer({ min: 1, max: 5 }),
    sharePercent: fc.integer({ min: 0, max: 100 }),
    windowMs: fc.constantFrom(50, 300, 1_000),
    openMs: fc.constantFrom(1, 80, 200),
    trials: fc.integer({ min: 1, max: 3 }),
    trialMs: fc.constantFrom(100, 700),
  });
  fc.assert(
    fc.property(settings, fc.array(step, { maxLength: 150 }), (chosen, steps) => {
      const cells = make(chosen);
      const model = new Model(chosen);
      const pending: { readonly token: number; readonly version: number }[] = [];
      let nowMs = 5_000;
      for (const { afterMs, act, which, worker } of steps) {
        nowMs += afterMs;
        const cell = cells[worker];
        if (cell === undefined) throw new Error('no cell');
        if (act === 'permit') {
          const token = cell.permit(nowMs);
          const version = model.permit(nowMs);
          expect(token === REFUSED).toBe(version === null);
          if (version !== null) pending.push({ token, version });
        } else {
          const [picked] = pending.splice(which % Math.max(1, pending.length), 1);
          if (picked === undefined) continue;
          if (act === 'succeeded') {
            cell.succeeded(picked.token);
            model.succeeded(picked.version, nowMs);
          } else if (act === 'failed') {
            cell.failed(picked.token, nowMs);
            model.failed(picked.version, nowMs);
          } else {
            cell.undecided(picked.token);
            model.undecided(picked.version);
          }
        }
        expect(cell.state).toBe(model.state);
      }
    }),
    { numRuns: 300 },
  );
});
