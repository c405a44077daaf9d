// A breaker that is forced and reset by one thread while others call through it: forced, it lets nobody through and is moved by no outcome; reset, it serves on.
// Run by `bun test`; SLUICE_STRESS=full makes it more rounds. Promises: no test depends on how threads are scheduled, only on what must hold however they are.
import { afterEach, expect, test } from 'bun:test';
import { join } from 'node:path';
import { forceBreaker, isForced, resetBreaker } from '../../src/memory/breaker-control.ts';
import { createMemory, sharedOf } from '../../src/memory/memory.ts';
import { type BreakerOrder, type BreakerReport, FORCE } from './breaker-thread.ts';

const WORKERS = 3;
const ROUNDS = Bun.env.SLUICE_STRESS === 'full' ? 20_000 : 600;
const LOOKS = 20;
const threads: Worker[] = [];

afterEach(() => {
  for (const thread of threads.splice(0)) thread.terminate();
});

function start(order: BreakerOrder): Promise<BreakerReport> {
  const thread = new Worker(join(import.meta.dir, 'breaker-thread.ts'));
  threads.push(thread);
  return new Promise((resolve, reject) => {
    thread.onmessage = ({ data }: MessageEvent<BreakerReport>) => resolve(data);
    thread.onerror = (event) => reject(new Error(event.message));
    thread.postMessage(order);
  });
}

test('a forced breaker holds against the outcomes of other threads', async () => {
  const shape = { workers: WORKERS, upstreams: 1, endpoints: 0, ringBytes: 4096, journalRecords: 1 };
  const madeMs = Date.UTC(2020, 0, 1);
  const memory = createMemory(shape, madeMs);
  const buffer = new SharedArrayBuffer(FORCE.words * 4);
  const words = new Int32Array(buffer);
  const shared = sharedOf(memory);
  const reports = Array.from({ length: WORKERS }, (_, worker) => start({ shared, words: buffer, worker }));
  let lapses = 0;
  for (let round = 0; round < ROUNDS; round++) {
    forceBreaker(memory, 0, Date.now());
    Atomics.add(words, FORCE.epoch, 1);
    for (let look = 0; look < LOOKS; look++) if (!isForced(memory, 0)) lapses++;
    if (round % 20 === 0) await Bun.sleep(1);
    if (!isForced(memory, 0)) lapses++;
    Atomics.add(words, FORCE.epoch, 1);
    resetBreaker(memory, 0, Date.now());
    if (round % 20 === 10) await Bun.sleep(1);
  }
  forceBreaker(memory, 0, Date.now());
  Atomics.store(words, FORCE.isOver, 1);
  const told = await Promise.all(reports);
  expect([lapses, isForced(memory, 0)]).toEqual([0, true]);
  expect(told.map(({ faults }) => faults)).toEqual(told.map(() => 0));
  // It was open to them in between, and closed to them; each of them need not have run at such a moment.
  expect(told.some(({ permits }) => permits > 0)).toBe(true);
  expect(told.some(({ refusals }) => refusals > 0)).toBe(true);
}, 60_000);
