// Cells, counters, histograms and journals under real threads: bounds hold, sums are exact, nothing is torn; and a thread that dies.
// Run by `bun test` with some 3 × 10^5 operations; SLUICE_STRESS=full makes it more than 10^7. Promises: no test depends on how threads are
// scheduled, only on what must hold however they are.
import { afterEach, describe, expect, test } from 'bun:test';
import { join } from 'node:path';
import { PoolCell, sumPool } from '../../src/memory/cells.ts';
import { sumCounters } from '../../src/memory/counters.ts';
import { mergedHistogram } from '../../src/memory/histogram.ts';
import { readJournal } from '../../src/memory/journal.ts';
import { createMemory, type PlaneMemory, sharedOf } from '../../src/memory/memory.ts';
import { clearWorker } from '../../src/memory/reclaim.ts';
import { BREAKER_TURNS_MAX, type CellsOrder, type CellsReport, CHECK } from './cells-thread.ts';

const FULL = Bun.env.SLUICE_STRESS === 'full';
const TIMEOUT_MS = FULL ? 600_000 : 60_000;
const count = (short: number, full: number): number => (FULL ? full : short);

const threads: Worker[] = [];

afterEach(() => {
  for (const thread of threads.splice(0)) thread.terminate();
});

/** A memory for some workers and the words that they check each other by. */
function worldOf(
  workers: number,
  journalRecords = 1,
): { readonly memory: PlaneMemory; readonly check: SharedArrayBuffer } {
  const memory = createMemory({ workers, upstreams: 1, endpoints: 2, ringBytes: 4096, journalRecords }, 0);
  return { memory, check: new SharedArrayBuffer((CHECK.trials + CHECK.trialSlots) * 4) };
}

function start(order: CellsOrder): { readonly thread: Worker; readonly report: Promise<CellsReport> } {
  const thread = new Worker(join(import.meta.dir, 'cells-thread.ts'));
  threads.push(thread);
  const report = new Promise<CellsReport>((resolve, reject) => {
    thread.onmessage = ({ data }: MessageEvent<CellsReport>) => resolve(data);
    thread.onerror = (event) => reject(new Error(event.message));
  });
  thread.postMessage(order);
  return { thread, report };
}

/** Runs one kind of work on all workers of a new memory at once, and wants no fault. */
async function run(
  work: CellsOrder['work'],
  workers: number,
  operations: number,
  bound = 1,
): Promise<{ readonly memory: PlaneMemory; readonly check: Int32Array; readonly reports: CellsReport[] }> {
  const { memory, check } = worldOf(workers);
  const shared = sharedOf(memory);
  const started = Array.from({ length: workers }, (_, worker) =>
    start({ work, shared, check, worker, operations, bound }),
  );
  const reports = await Promise.all(started.map(({ report }) => report));
  expect(reports.flatMap(({ faults }) => faults)).toEqual([]);
  return { memory, check: new Int32Array(check), reports };
}

function doneIn(reports: readonly CellsReport[]): number {
  return reports.reduce((sum, { done }) => sum + done, 0);
}

describe('permits', () => {
  for (const [workers, bound] of [
    [2, 1],
    [4, 3],
    [8, 5],
  ] as const) {
    test(
      `${workers} threads never hold more than ${bound} between them, and give all back`,
      async () => {
        const { memory, check, reports } = await run('permits', workers, count(15_000, 500_000), bound);
        expect(doneIn(reports)).toBeGreaterThan(0);
        expect([new PoolCell(memory, 0, 0).held(), check[CHECK.inside]]).toEqual([0, 0]);
      },
      TIMEOUT_MS,
    );
  }

  test(
    'a thread that dies at any moment: clearing its cell gives back exactly what it held',
    async () => {
      const { memory, check } = worldOf(2);
      const shared = sharedOf(memory);
      const bound = 3;
      const order = { work: 'permits', shared, check, bound } as const;
      for (let life = 0; life < count(6, 40); life++) {
        const survivor = start({ ...order, worker: 0, operations: count(4_000, 20_000) });
        const words = new Int32Array(check);
        Atomics.store(words, CHECK.holding, 0);
        const victim = start({ ...order, work: 'permits to die with', worker: 1, operations: 0 });
        while (Atomics.load(words, CHECK.holding) === 0) await Bun.sleep(1);
        // It is somewhere within its loop now, at another place each time.
        await Bun.sleep(life % 7);
        const gone = new Promise((resolve) => victim.thread.addEventListener('close', resolve));
        victim.thread.terminate();
        await gone;
        // Two, when it died between adding its permit and finding that it was one too many, or before it gave one back.
        expect([1, 2]).toContain(clearWorker(memory, 1).permits);
        expect((await survivor.report).faults).toEqual([]);
        expect(new PoolCell(memory, 0, 0).held()).toBe(0);
        const cell = new PoolCell(memory, 0, 1);
        expect(Array.from({ length: 4 }, () => cell.acquire(bound))).toEqual([true, true, true, false]);
        for (let n = 0; n < bound; n++) cell.release();
      }
      expect(sumPool(memory, 0)).toMatchObject({ total: 0, waiting: 0 });
    },
    TIMEOUT_MS,
  );
});

test(
  'tickets: each is drawn once, none is left out, and each thread sees its own in order',
  async () => {
    const { memory, reports } = await run('tickets', 4, count(10_000, 300_000));
    const drawn = reports.map(({ tickets }) => tickets ?? new Int32Array());
    for (const own of drawn)
      expect(own.every((ticket, n) => n === 0 || ticket > (own[n - 1] ?? 0))).toBe(true);
    const all = Int32Array.from(drawn.flatMap((own) => [...own])).sort();
    expect(all.every((ticket, n) => ticket === n + 1)).toBe(true);
    const cells = Array.from({ length: 4 }, (_, worker) => new PoolCell(memory, 0, worker));
    expect(cells.map((cell) => cell.othersWait)).toEqual([false, false, false, false]);
  },
  TIMEOUT_MS,
);

test(
  'counters lose nothing',
  async () => {
    const operations = count(20_000, 600_000);
    const { memory } = await run('counters', 4, operations);
    const [a, b] = [sumCounters(memory, 0), sumCounters(memory, 1)];
    expect([a.exchanges, b.exchanges]).toEqual([2 * operations, 2 * operations]);
    expect(a.replyBytes + b.replyBytes).toBe((4 * operations * (operations - 1)) / 2);
  },
  TIMEOUT_MS,
);

test(
  'histograms count exactly while they are read',
  async () => {
    const operations = count(20_000, 600_000);
    const { memory } = await run('histogram', 4, operations);
    const merged = mergedHistogram(memory, 0);
    expect([merged.count, merged.minUs, merged.maxUs, merged.meanUs]).toEqual([
      4 * operations,
      1,
      10_000,
      5_000.5,
    ]);
    expect(Math.abs(merged.percentileUs(50) - 5_000)).toBeLessThan(5_000 * 0.03);
    expect(mergedHistogram(memory, 1).count).toBe(0);
  },
  TIMEOUT_MS,
);

for (const workers of [2, 8]) {
  test(
    `the breaker under ${workers} threads: never more trials than allowed, and none left over`,
    async () => {
      for (let round = 0; round < count(2, 30); round++) {
        const { check, reports } = await run('breaker', workers, BREAKER_TURNS_MAX / workers);
        expect(doneIn(reports)).toBeGreaterThan(10);
        expect(check.subarray(CHECK.trials).every((under) => under === 0)).toBe(true);
      }
    },
    TIMEOUT_MS,
  );
}

test(
  'a journal is never seen torn, by a thread that reads while two write',
  async () => {
    // Few records: the writers come round to the one that is being read all the time.
    const { memory, check } = worldOf(3, 2);
    const shared = sharedOf(memory);
    const operations = count(60_000, 1_000_000);
    const order = { shared, check, operations, bound: 1 };
    const started = [
      start({ ...order, work: 'read journal', worker: 2 }),
      start({ ...order, work: 'journal', worker: 0 }),
      start({ ...order, work: 'journal', worker: 1 }),
    ];
    const reports = await Promise.all(started.map(({ report }) => report));
    expect(reports.flatMap(({ faults }) => faults)).toEqual([]);
    expect(reports[0]?.done).toBeGreaterThan(0);
    for (const worker of [0, 1]) {
      const last = readJournal(memory, worker, 100).map(({ wallMs }) => wallMs);
      expect(last).toEqual([operations, operations - 1]);
    }
  },
  TIMEOUT_MS,
);
