// The other thread of breaker-threads.test.ts: calls through one breaker that end in every way, and looks whether it holds while it is forced.
// Started by that test. Promises: ends by itself when it is told to, and reports what it did and saw.
import { BreakerCell, REFUSED } from '../../src/memory/breaker-cell.ts';
import { attachMemory, type SharedMemory } from '../../src/memory/memory.ts';

/** Words that the threads share: odd while the breaker is forced for sure, then one that ends the work. */
export const FORCE = Object.freeze({ epoch: 0, isOver: 1, words: 2 });

/** What a thread is to work on. */
export interface BreakerOrder {
  readonly shared: SharedMemory;
  readonly words: SharedArrayBuffer;
  readonly worker: number;
}

/** What it did: permits that it got, and those that it got while the breaker was forced. */
export interface BreakerReport {
  readonly permits: number;
  readonly refusals: number;
  readonly faults: number;
}

function work({ shared, words: buffer, worker }: BreakerOrder): BreakerReport {
  const words = new Int32Array(buffer);
  const settings = {
    ...{ failures: 3, sharePercent: 30, windowMs: 50 },
    ...{ openMs: 1, trials: 2, trialMs: 20 },
  };
  const cell = new BreakerCell(attachMemory(shared), 0, worker, settings);
  const pending: number[] = [];
  const report = { permits: 0, refusals: 0, faults: 0 };
  for (let turn = worker; Atomics.load(words, FORCE.isOver) === 0; turn++) {
    const nowMs = performance.timeOrigin + performance.now() - Date.UTC(2020, 0, 1);
    const before = Atomics.load(words, FORCE.epoch);
    const token = turn % 3 === 0 ? cell.passing() : cell.permit(nowMs);
    const isForced = before % 2 === 1 && Atomics.load(words, FORCE.epoch) === before;
    if (token === REFUSED) report.refusals++;
    else {
      report.permits++;
      if (isForced) report.faults++;
      pending.push(token);
    }
    if (pending.length < 8 && turn % 2 === 0) continue;
    const told = pending.shift();
    if (told === undefined) continue;
    if (turn % 5 === 0) cell.undecided(told);
    else if (turn % 5 < 3) cell.failed(told, nowMs);
    else cell.succeeded(told);
  }
  return report;
}

self.onmessage = ({ data }: MessageEvent<BreakerOrder>) => self.postMessage(work(data));
