// The route table between real threads: control publishes it again and again, workers look names up all the while.
// Run by `bun test` with some 3 × 10^5 look-ups; SLUICE_STRESS=full makes it more than 10^7. Promises: each answer is wholly of one publication (torn
// ones name another), and of none older than the one that was in force when it was asked for.
import { afterEach, describe, expect, test } from 'bun:test';
import { join } from 'node:path';
import { RouteTable } from '../../src/route/table.ts';
import { loadAddon } from '../../src/scan/addon.ts';
import { entriesOf, type LookReport } from './route-thread.ts';

const FULL = Bun.env.SLUICE_STRESS === 'full';
const TIMEOUT_MS = FULL ? 600_000 : 60_000;

const { failure } = loadAddon();
if (failure !== null) console.log(`route threads: the addon is not tested (${failure})`);

const threads: Worker[] = [];
afterEach(() => {
  for (const thread of threads.splice(0)) thread.terminate();
});

interface Race {
  readonly workers: number;
  readonly names: number;
  /** Of all workers together. */
  readonly lookUps: number;
  readonly publicationsMin: number;
}

/** Publishes for as long as some thread looks up; reports of all threads. */
async function race({ workers, names, lookUps, publicationsMin }: Race): Promise<LookReport[]> {
  const table = RouteTable.create(names + 1, names * 24 + 100);
  const signals = new Int32Array(new SharedArrayBuffer(8));
  const reports = Array.from({ length: workers }, (_, seed) => {
    const thread = new Worker(join(import.meta.dir, 'route-thread.ts'));
    threads.push(thread);
    const report = new Promise<LookReport>((resolve, reject) => {
      thread.onmessage = (event: MessageEvent<LookReport>) => resolve(event.data);
      thread.onerror = (event) => reject(new Error(event.message));
    });
    const share = Math.ceil(lookUps / workers);
    thread.postMessage({
      table: table.memory,
      signals: signals.buffer,
      names,
      lookUps: share,
      publicationsMin,
      seed: seed + 1,
    });
    return report;
  });
  const all = Promise.all(reports);
  const endMs = performance.now() + TIMEOUT_MS * 0.8;
  while (Atomics.load(signals, 0) < workers) {
    // A burst: what takes place between two turns of the event loop.
    const burstMs = performance.now() + 20;
    while (performance.now() < burstMs) expect(table.publish(entriesOf(names, table.epoch + 1))).toBe(true);
    if (performance.now() > endMs) Atomics.store(signals, 1, 1);
    await Bun.sleep(0);
    if (performance.now() > endMs) break;
  }
  return all;
}

const SHARE = FULL ? 40 : 1;

describe('while control publishes', () => {
  test.each([
    // A large table takes long to fill, so that readers are overtaken in the middle of it; a small one flips all the time.
    { workers: 2, names: 10_000, lookUps: 100_000 },
    { workers: 8, names: 10_000, lookUps: 60_000 },
    { workers: 2, names: 20, lookUps: 80_000 },
    { workers: 4, names: 300, lookUps: 60_000 },
  ])(
    '$workers workers look up $names names, about $lookUps times',
    async ({ workers, names, lookUps }) => {
      const reports = await race({ workers, names, lookUps: lookUps * SHARE, publicationsMin: 3 });
      expect(reports.flatMap(({ faults }) => faults)).toEqual([]);
      expect(reports.reduce((sum, one) => sum + one.lookUps, 0)).toBeGreaterThanOrEqual(lookUps * SHARE);
      for (const { publications, scanners } of reports) {
        expect(publications).toBeGreaterThanOrEqual(3);
        expect(scanners.includes('addon')).toBe(failure === null);
      }
    },
    TIMEOUT_MS,
  );
});
