// The link under load between real threads: all ask all, over rings so small that they are full most of the time.
// Runs src/upstream/peer-link.ts in several threads. A wake-up that is lost would leave a worker waiting for good.
import { expect, test } from 'bun:test';
import { createMemory, sharedOf } from '../../../src/memory/memory.ts';
import { createBunRuntime } from '../../../src/runtime/bun.ts';
import type { Port } from '../../../src/runtime/runtime.ts';
import type { StressOrder, StressReport } from './peer-thread.ts';

const runtime = createBunRuntime();

interface Plan {
  readonly workers: number;
  readonly ringBytes: number;
  readonly calls: number;
  readonly atOnce: number;
  readonly largeEach: number;
}

async function stress({ workers, ringBytes, calls, atOnce, largeEach }: Plan): Promise<StressReport[]> {
  const shape = { workers, upstreams: 1, endpoints: 1, ringBytes, journalRecords: 16 };
  const memory = sharedOf(createMemory(shape, Date.now()));
  const all = Array.from({ length: workers }, (_, index) => index);
  const ports = new Map<string, Port>();
  for (const a of all)
    for (const b of all) {
      if (a >= b) continue;
      const [near, far] = runtime.channel();
      ports.set(`${a} ${b}`, near);
      ports.set(`${b} ${a}`, far);
    }
  const url = new URL('./peer-thread.ts', import.meta.url).href;
  const threads = all.map((index) => {
    const { promise, resolve, reject } = Promise.withResolvers<StressReport>();
    const thread = runtime.startWorker(url, {
      onMessage: (message) => resolve(message as StressReport),
      onExit: (error) => reject(new Error(error ?? 'it ended')),
    });
    const others = all.filter((other) => other !== index);
    const order: StressOrder = { memory, index, count: workers, others, calls, atOnce, largeEach };
    thread.post(
      order,
      others.flatMap((other) => ports.get(`${index} ${other}`) ?? []),
    );
    promise.catch(() => undefined);
    return { thread, promise };
  });
  try {
    return await Promise.all(threads.map(({ promise }) => promise));
  } finally {
    for (const { thread } of threads) thread.terminate();
  }
}

for (const plan of [
  { workers: 2, ringBytes: 4096, calls: 2_000, atOnce: 64, largeEach: 20 },
  { workers: 3, ringBytes: 4096, calls: 800, atOnce: 1, largeEach: 7 },
  { workers: 4, ringBytes: 8192, calls: 800, atOnce: 40, largeEach: 10 },
]) {
  test(`${plan.workers} threads, rings of ${plan.ringBytes}, ${plan.atOnce} calls at once`, async () => {
    const reports = await stress(plan);
    for (const { right, wrong } of reports) {
      expect(wrong).toEqual([]);
      expect(right).toBe(plan.calls);
    }
  }, 60_000);
}
