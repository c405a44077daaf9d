// Which cells are whose over reloads: nobody shares one, what stays keeps its own, and none is given again before it was given back.
// Runs gateway/places.ts and memory/reclaim.ts; the property test compares with a model of who may have what.
import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { type Claim, Places } from '../../../src/gateway/places.ts';
import { PoolCell, sumPool } from '../../../src/memory/cells.ts';
import { CounterStripe, sumCounters } from '../../../src/memory/counters.ts';
import { mergedHistogram, sharedHistogram } from '../../../src/memory/histogram.ts';
import { COUNTER } from '../../../src/memory/layout.ts';
import { createMemory } from '../../../src/memory/memory.ts';
import { clearEndpoint, clearUpstream } from '../../../src/memory/reclaim.ts';
import type { Snapshot } from '../../../src/snapshot.ts';
import { cellsInOrder, type HttpTarget } from '../../../src/upstream/spec.ts';
import { snapshotOf, targetOf } from '../../fixtures/plane.ts';

/** Servers by name; the number is the port, so that another one is another server, and `replicas` says how many places more it has. */
type Config = Readonly<Record<string, { readonly port: number; readonly replicas: number }>>;

function snapshotFor(config: Config, epoch: number): Snapshot {
  const urls = Object.entries(config).map(([name, { port }]) => [
    name,
    { url: `http://127.0.0.1:${port}/mcp` },
  ]);
  const base = snapshotOf({ servers: Object.fromEntries(urls) as Record<string, { url: string }> });
  const servers = base.servers.map((spec) => {
    const count = config[spec.name]?.replicas ?? 0;
    // Only targets behind HTTP are made here.
    const replicas = Array.from(
      { length: count },
      () => targetOf({ url: 'http://127.0.0.1:9/mcp' }) as HttpTarget,
    );
    return count === 0 ? spec : { ...spec, replicas };
  });
  return { ...base, epoch, servers };
}

function claimed(claim: ReturnType<Places['claim']>): Claim {
  if ('snapshot' in claim) return claim;
  throw new Error(`short of ${claim.cells} cells and ${claim.slots} slots`);
}

const placesOf = ({ snapshot }: Claim): NonNullable<Snapshot['places']> => {
  if (snapshot.places === undefined) throw new Error('no places');
  return snapshot.places;
};

describe('places', () => {
  test('the first snapshot has them in its order, those of replicas behind', () => {
    const snapshot = snapshotFor(
      { a: { port: 1, replicas: 2 }, b: { port: 2, replicas: 0 }, c: { port: 3, replicas: 1 } },
      1,
    );
    const { servers, endpoints } = placesOf(claimed(new Places(10, 10).claim(snapshot, null)));
    expect(servers).toEqual([[0, 3, 4], [1], [2, 5]]);
    expect(servers).toEqual(cellsInOrder(snapshot.servers) as number[][]);
    expect(endpoints).toEqual([0, 1, 2, 3]);
  });

  test('what stays keeps its own, what changed has another one until the former is given back', () => {
    const places = new Places(4, 4);
    const one = claimed(
      places.claim(snapshotFor({ a: { port: 1, replicas: 0 }, b: { port: 2, replicas: 0 } }, 1), null),
    );
    const two = claimed(
      places.claim(
        snapshotFor({ b: { port: 2, replicas: 0 }, a: { port: 9, replicas: 0 } }, 2),
        one.snapshot,
      ),
    );
    expect([placesOf(two).servers, two.fresh.cells, two.leaving.cells]).toEqual([[[1], [2]], [2], [0]]);
    // The paths are the same ones.
    expect([placesOf(two).endpoints, two.leaving.slots]).toEqual([[0, 2, 1], []]);
    const three = snapshotFor({ a: { port: 9, replicas: 0 }, c: { port: 3, replicas: 1 } }, 3);
    expect(places.claim(three, two.snapshot)).toEqual({ cells: 1, slots: 0 });
    places.give(two.leaving);
    const last = claimed(places.claim(three, two.snapshot));
    expect([placesOf(last).servers, last.leaving]).toEqual([[[2], [0, 3]], { cells: [1], slots: [2] }]);
  });

  test('a claim that does not come to be gives back what was taken for it, and that only', () => {
    const places = new Places(3, 4);
    const one = claimed(places.claim(snapshotFor({ a: { port: 1, replicas: 0 } }, 1), null));
    const failed = claimed(
      places.claim(
        snapshotFor({ a: { port: 1, replicas: 0 }, b: { port: 2, replicas: 0 } }, 2),
        one.snapshot,
      ),
    );
    places.give(failed.fresh);
    const wide = snapshotFor({ a: { port: 1, replicas: 0 }, b: { port: 5, replicas: 1 } }, 2);
    expect(placesOf(claimed(places.claim(wide, one.snapshot))).servers).toEqual([[0], [1, 2]]);
  });

  test('property: over any sequence of configurations no two that are there share a cell, and what stays keeps its own', () => {
    const config = fc.dictionary(
      fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'),
      fc.record({ port: fc.integer({ min: 1, max: 3 }), replicas: fc.integer({ min: 0, max: 2 }) }),
      { minKeys: 1, noNullPrototype: true },
    );
    // After each configuration: whether it fails, and how many of those that were left out have ended by then.
    const step = fc.record({ config, fails: fc.boolean(), ends: fc.integer({ min: 0, max: 3 }) });
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 30 }), (steps) => {
        const places = new Places(2 * 18 + 6, 2 * 7 + 2);
        let before: Snapshot | null = null;
        const leaving: Claim['leaving'][] = [];
        steps.forEach(({ config, fails, ends }, at) => {
          const claim = places.claim(snapshotFor(config, at + 1), before);
          if (!('snapshot' in claim)) {
            // Only what was left out and not given back can be the reason.
            expect(leaving.length).toBeGreaterThan(0);
            return;
          }
          const { servers, endpoints } = placesOf(claim);
          const cells = [...servers.flat(), ...leaving.flatMap((one) => one.cells)];
          const slots = [...endpoints, ...leaving.flatMap((one) => one.slots)];
          expect(new Set(cells).size).toBe(cells.length);
          expect(new Set(slots).size).toBe(slots.length);
          expect(servers.map((own) => own.length)).toEqual(
            claim.snapshot.servers.map(({ replicas = [] }) => 1 + replicas.length),
          );
          const former: Snapshot | null = before;
          former?.servers.forEach((spec, was) => {
            const is = claim.snapshot.servers.findIndex(
              (one) => JSON.stringify(one) === JSON.stringify(spec),
            );
            if (is >= 0) expect(servers[is]).toEqual([...(former.places?.servers[was] ?? [])]);
          });
          former?.endpoints.forEach(({ path }, was) => {
            const is = claim.snapshot.endpoints.findIndex((one) => one.path === path);
            if (is >= 0) expect(endpoints[is]).toBe(former.places?.endpoints[was] ?? -1);
          });
          if (fails && before !== null) {
            places.give(claim.fresh);
            return;
          }
          before = claim.snapshot;
          leaving.push(claim.leaving);
          for (const one of leaving.splice(0, ends)) places.give(one);
        });
      }),
      { numRuns: 300 },
    );
  });
});

test('cells that are given again are as new, and their neighbours as they were', () => {
  const memory = createMemory(
    { workers: 2, upstreams: 3, endpoints: 3, ringBytes: 4096, journalRecords: 1 },
    0,
  );
  for (let at = 0; at < 3; at++) {
    for (let worker = 0; worker < 2; worker++) {
      const cell = new PoolCell(memory, at, worker);
      expect(cell.acquire(10)).toBe(true);
      cell.setLoad(3, 1);
      cell.setOldest(7);
      cell.bumpConnects();
      new CounterStripe(memory, worker).bump(at, COUNTER.ok, 5);
      sharedHistogram(memory, worker, at).record(100);
    }
  }
  clearUpstream(memory, 1);
  clearEndpoint(memory, 1);
  expect([0, 1, 2].map((at) => [sumPool(memory, at).total, sumPool(memory, at).connects])).toEqual([
    [6, 2],
    [0, 0],
    [6, 2],
  ]);
  expect([0, 1, 2].map((at) => new PoolCell(memory, at, 0).held())).toEqual([2, 0, 2]);
  expect([0, 1, 2].map((at) => new PoolCell(memory, at, 0).othersWait)).toEqual([true, false, true]);
  expect([0, 1, 2].map((at) => [sumCounters(memory, at).ok, mergedHistogram(memory, at).count])).toEqual([
    [10, 2],
    [0, 0],
    [10, 2],
  ]);
});
