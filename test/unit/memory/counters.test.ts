// Counters: a stripe a worker, sums over all of them, and nothing of one endpoint in another's.
// Runs src/memory/counters.ts.
import { expect, test } from 'bun:test';
import { CounterStripe, sumCounters } from '../../../src/memory/counters.ts';
import { COUNTER } from '../../../src/memory/layout.ts';
import { createMemory } from '../../../src/memory/memory.ts';

test('each worker adds in its own stripe, readers sum them', () => {
  const memory = createMemory(
    { workers: 2, upstreams: 1, endpoints: 3, ringBytes: 4096, journalRecords: 1 },
    0,
  );
  const stripes = [new CounterStripe(memory, 0), new CounterStripe(memory, 1)];
  for (const [worker, stripe] of stripes.entries()) {
    for (let n = 0; n < 10; n++) stripe.bump(1, COUNTER.exchanges);
    stripe.bump(1, COUNTER.requestBytes, 2 ** 40 + worker);
    stripe.bump(2, COUNTER.failed);
  }
  expect(sumCounters(memory, 1)).toMatchObject({ exchanges: 20, requestBytes: 2 ** 41 + 1, failed: 0 });
  expect(sumCounters(memory, 2)).toMatchObject({ exchanges: 0, failed: 2 });
  expect(Object.values(sumCounters(memory, 0)).every((count) => count === 0)).toBe(true);
  expect(() => new CounterStripe(memory, 2)).toThrow('worker of the plan');
});
