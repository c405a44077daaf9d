// The memory that workers share: every number of workers gets a plan, and rings within their bound.
// Runs gateway/shape.ts alone.
import { expect, test } from 'bun:test';
import { LIMITS } from '../../../src/base/limits.ts';
import { memoryShape, sumStats } from '../../../src/gateway/shape.ts';
import { planMemory, WORKERS_MAX } from '../../../src/memory/layout.ts';
import type { UpstreamStats } from '../../../src/upstream/upstream.ts';
import type { DataPlaneStats } from '../../../src/worker.ts';
import { snapshotOf } from '../../fixtures/plane.ts';

const snapshot = snapshotOf({ servers: { a: { url: 'http://127.0.0.1:1/mcp' } } });

test('as many workers may be configured as a memory is laid out for, and each number has its rings', () => {
  expect(LIMITS.workersMax).toBe(WORKERS_MAX);
  for (let workers = 1; workers <= WORKERS_MAX; workers++) {
    const plan = planMemory(memoryShape(snapshot, workers));
    expect([plan.upstreams, plan.endpoints]).toEqual([LIMITS.reloadCellsMin, LIMITS.reloadCellsMin]);
    expect(workers * (workers - 1) * plan.ringBytes).toBeLessThanOrEqual(LIMITS.ringsBytesMax);
  }
  const ringKib = [2, 4, 16, 17, 64].map((workers) => memoryShape(snapshot, workers).ringBytes / 1024);
  expect(ringKib).toEqual([256, 256, 256, 128, 16]);
});

test('twice as many servers as there are have room', () => {
  const servers = Object.fromEntries(
    Array.from({ length: 50 }, (_, n) => [`s${n}`, { url: `http://127.0.0.1:${n + 1}/mcp` }]),
  );
  const { upstreams, endpoints } = memoryShape(snapshotOf({ servers }), 2);
  expect([upstreams, endpoints]).toEqual([100, 102]);
});

test('counts add up, by server', () => {
  const a = { total: 1, busy: 2, idle: 3, waiting: 4, connects: 5, reuses: 6, failures: 7, sessions: 8 };
  const one = { activeExchanges: 1, sessions: 2, heapBytes: 100, upstreams: { a } };
  const two = { activeExchanges: 10, sessions: 20, heapBytes: 50, upstreams: { a, b: a } };
  expect(sumStats([one, two])).toEqual({
    activeExchanges: 11,
    sessions: 22,
    heapBytes: 150,
    upstreams: {
      a: { total: 2, busy: 4, idle: 6, waiting: 8, connects: 10, reuses: 12, failures: 14, sessions: 16 },
      b: a,
    },
  });
  expect(sumStats([])).toEqual({ activeExchanges: 0, sessions: 0, heapBytes: 0, upstreams: {} });
});

test('what caches did adds up', () => {
  const pool = { total: 0, busy: 0, idle: 0, waiting: 0, connects: 0, reuses: 0, failures: 0, sessions: 0 };
  const cache = { hits: 1, misses: 2, shared: 3, stale: 4, evictions: 5, entries: 6, bytes: 7 };
  const plane = (upstreams: Record<string, UpstreamStats>): DataPlaneStats => ({
    ...{ activeExchanges: 0, sessions: 0, heapBytes: 0 },
    upstreams,
  });
  const { upstreams } = sumStats([
    plane({ a: { ...pool, cache }, b: pool, c: pool }),
    plane({ a: { ...pool, cache }, b: { ...pool, cache }, c: pool }),
  ]);
  expect(upstreams.a?.cache).toEqual({
    ...{ hits: 2, misses: 4, shared: 6, stale: 8, evictions: 10, entries: 12, bytes: 14 },
  });
  expect(upstreams.b?.cache).toEqual(cache);
  expect(upstreams.c?.cache).toBeUndefined();
});

test('a registry has room for as many servers as it may get, within bounds of addresses however many workers there are', () => {
  const { upstreams, endpoints } = memoryShape(snapshot, 2, 10_000);
  expect([upstreams, endpoints]).toEqual([10_001, 10_002]);
  for (const workers of [1, 8, WORKERS_MAX]) {
    const shape = memoryShape(snapshot, workers, 100_000);
    expect(shape.endpoints).toBeGreaterThanOrEqual(LIMITS.reloadCellsMin);
    expect(planMemory(shape).bytes).toBeLessThan(4 * LIMITS.registryRoomBytesMax);
  }
});
