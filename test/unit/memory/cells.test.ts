// Pool cells: numbers, permits within the bound, tickets, giving way, shares, and what a dead worker leaves behind.
// Runs src/memory/cells.ts on one thread, where each step can be seen; test/property/cells-threads.test.ts runs it on several.
import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { PoolCell, sumPool } from '../../../src/memory/cells.ts';
import { HEADER, WORKER, WORKER_STATE, workerCellAt } from '../../../src/memory/layout.ts';
import { createMemory, type PlaneMemory } from '../../../src/memory/memory.ts';
import { clearWorker } from '../../../src/memory/reclaim.ts';

function make(workers: number): { readonly memory: PlaneMemory; readonly cells: readonly PoolCell[] } {
  const memory = createMemory({ workers, upstreams: 2, endpoints: 1, ringBytes: 4096, journalRecords: 1 }, 0);
  return { memory, cells: Array.from({ length: workers }, (_, worker) => new PoolCell(memory, 1, worker)) };
}

function cellAt(cells: readonly PoolCell[], worker: number): PoolCell {
  const cell = cells[worker];
  if (cell === undefined) throw new Error(`no cell ${worker}`);
  return cell;
}

describe('numbers', () => {
  test('each worker tells its own, readers sum them', () => {
    const { memory, cells } = make(3);
    cells.forEach((cell, worker) => {
      cell.setLoad(10 + worker, worker);
      cell.setWaiting(5);
      cell.setSessions(2);
      cell.bumpConnects();
      for (let n = 0; n <= worker; n++) cell.bumpReuses();
    });
    cellAt(cells, 2).bumpFailures();
    expect(cellAt(cells, 1).numbers()).toEqual({
      total: 11,
      busy: 10,
      idle: 1,
      waiting: 5,
      connects: 1,
      reuses: 2,
      failures: 0,
      sessions: 2,
    });
    expect(sumPool(memory, 1)).toEqual({
      total: 33,
      busy: 30,
      idle: 3,
      waiting: 15,
      connects: 3,
      reuses: 6,
      failures: 1,
      sessions: 6,
    });
    expect(sumPool(memory, 0).total).toBe(0);
  });
});

describe('permits', () => {
  test('all workers together get as many as the bound, and every one back is one more', () => {
    const { cells } = make(2);
    const [a, b] = [cellAt(cells, 0), cellAt(cells, 1)];
    expect([a.acquire(3), b.acquire(3), a.acquire(3), b.acquire(3), a.acquire(3)]).toEqual([
      true,
      true,
      true,
      false,
      false,
    ]);
    expect(a.held()).toBe(3);
    expect(a.release()).toBe(-1);
    expect(b.acquire(3)).toBe(true);
    expect([a.release(), b.release(), b.release()]).toEqual([-1, -1, -1]);
    expect(a.held()).toBe(0);
    expect(() => a.release()).toThrow('was held');
  });

  test('any order of taking and giving stays within the bound and balances', () => {
    const steps = fc.array(fc.tuple(fc.nat(3), fc.boolean()), { maxLength: 200 });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 6 }), steps, (bound, walk) => {
        const { cells } = make(4);
        const held = [0, 0, 0, 0];
        for (const [worker, take] of walk) {
          const sum = held.reduce((total, one) => total + one, 0);
          const own = held[worker] ?? 0;
          if (take) {
            const got = cellAt(cells, worker).acquire(bound);
            expect(got).toBe(sum < bound);
            held[worker] = own + (got ? 1 : 0);
          } else if (own > 0) {
            cellAt(cells, worker).release();
            held[worker] = own - 1;
          }
        }
        expect(cellAt(cells, 0).held()).toBe(held.reduce((total, one) => total + one, 0));
      }),
      { numRuns: 100 },
    );
  });
});

describe('who is next', () => {
  test('a newcomer gives way to anyone who waits elsewhere, a ticket only to an older one', () => {
    const { cells } = make(3);
    const [a, b, c] = [cellAt(cells, 0), cellAt(cells, 1), cellAt(cells, 2)];
    const [first, second] = [b.drawTicket(), a.drawTicket()];
    expect(second).toBe(first + 1);
    expect([a.isNext(0), a.othersWait]).toEqual([true, false]);
    b.setOldest(first);
    expect([a.othersWait, b.othersWait]).toEqual([true, false]);
    expect([a.isNext(0), a.isNext(second), b.isNext(0), b.isNext(first)]).toEqual([false, false, true, true]);
    a.setOldest(second);
    expect([a.nextWorker(second), b.nextWorker(first), c.nextWorker(0)]).toEqual([1, -1, 1]);
    b.setOldest(0);
    expect([a.isNext(second), c.isNext(0), c.nextWorker(0)]).toEqual([true, false, 0]);
    a.setOldest(0);
    expect([a.othersWait, b.othersWait, c.othersWait]).toEqual([false, false, false]);
  });

  test('whoever gives a permit back hears who should have it', () => {
    const { cells } = make(3);
    const [a, b, c] = [cellAt(cells, 0), cellAt(cells, 1), cellAt(cells, 2)];
    for (let n = 0; n < 3; n++) expect(a.acquire(3)).toBe(true);
    const [mine, theirs] = [a.drawTicket(), c.drawTicket()];
    c.setOldest(theirs);
    expect(a.release()).toBe(2);
    a.setOldest(mine);
    // Its own exchange has waited longer than the other worker's.
    expect(a.release()).toBe(-1);
    b.setOldest(0);
    a.setOldest(0);
    expect(a.release()).toBe(2);
  });

  test('tickets wrap, and 0 is none of them', () => {
    const { memory, cells } = make(2);
    const [a, b] = [cellAt(cells, 0), cellAt(cells, 1)];
    memory.words[HEADER.nextTicket] = 0x7fff_ffff;
    const [before, after] = [a.drawTicket(), b.drawTicket()];
    expect([before, after]).toEqual([0x7fff_ffff, -0x8000_0000]);
    a.setOldest(before);
    b.setOldest(after);
    expect([a.isNext(before), b.isNext(after)]).toEqual([true, false]);
    memory.words[HEADER.nextTicket] = -1;
    expect([a.drawTicket(), a.drawTicket(), a.drawTicket()]).toEqual([-1, 1, 2]);
  });

  test('workers beyond the 32nd have flags of their own', () => {
    const { cells } = make(64);
    const [low, high, highest] = [cellAt(cells, 8), cellAt(cells, 40), cellAt(cells, 63)];
    high.setOldest(high.drawTicket());
    expect([low.othersWait, high.othersWait, highest.othersWait]).toEqual([true, false, true]);
    low.setOldest(low.drawTicket());
    expect([low.nextWorker(low.oldest), high.othersWait, highest.nextWorker(0)]).toEqual([40, true, 40]);
    high.setOldest(0);
    expect([low.othersWait, high.othersWait]).toEqual([false, true]);
  });
});

describe('what is owed to others', () => {
  test('idle connections are wanted when others wait and no permit is free', () => {
    const { cells } = make(2);
    const [a, b] = [cellAt(cells, 0), cellAt(cells, 1)];
    for (let n = 0; n < 4; n++) a.acquire(4);
    a.setLoad(4, 2);
    expect([a.wanted(4), b.idleElsewhere(), a.idleElsewhere()]).toEqual([0, 0, -1]);
    b.setWaiting(3);
    b.setOldest(b.drawTicket());
    expect([a.wanted(4), a.wanted(5), b.wanted(4)]).toEqual([3, 0, 0]);
  });

  test('a worker above its share owes those below, one that waits longer than it', () => {
    const { cells } = make(3);
    const [a, b, c] = [cellAt(cells, 0), cellAt(cells, 1), cellAt(cells, 2)];
    for (let n = 0; n < 8; n++) a.acquire(9);
    b.acquire(9);
    b.setOldest(b.drawTicket());
    a.setOldest(a.drawTicket());
    // Two share nine: four each, and b has one.
    expect([a.owed(9), b.owed(9)]).toEqual([3, 0]);
    c.setOldest(c.drawTicket());
    expect(a.owed(9)).toBe(2);
    // Who waits longest owes nobody.
    b.setOldest(0);
    a.setOldest(c.oldest - 1);
    expect(a.owed(9)).toBe(0);
  });

  test('fewer permits than workers: they take turns', () => {
    const { cells } = make(2);
    const [a, b] = [cellAt(cells, 0), cellAt(cells, 1)];
    a.acquire(1);
    b.setOldest(b.drawTicket());
    a.setOldest(a.drawTicket());
    expect([a.owed(1), b.owed(1)]).toEqual([1, 0]);
    a.release();
    b.acquire(1);
    b.setOldest(b.drawTicket());
    expect([a.owed(1), b.owed(1)]).toEqual([0, 1]);
  });
});

describe('a worker that died', () => {
  test('gives back exactly what it held; its counts stay', () => {
    const { memory, cells } = make(2);
    const [a, b] = [cellAt(cells, 0), cellAt(cells, 1)];
    const other = new PoolCell(memory, 0, 1);
    for (let n = 0; n < 3; n++) b.acquire(5);
    a.acquire(5);
    other.acquire(9);
    b.setLoad(3, 1);
    b.setWaiting(4);
    b.setSessions(6);
    b.bumpConnects();
    b.setOldest(b.drawTicket());
    memory.words[workerCellAt(memory.plan, 1) / 4 + WORKER.state] = WORKER_STATE.serving;
    expect(a.isNext(0)).toBe(false);
    expect(clearWorker(memory, 1)).toEqual({ permits: 4, waiting: 4, sessions: 6 });
    expect([a.held(), a.isNext(0), a.othersWait]).toEqual([1, true, false]);
    expect(sumPool(memory, 1)).toMatchObject({
      total: 0,
      busy: 0,
      idle: 0,
      waiting: 0,
      connects: 1,
      sessions: 0,
    });
    expect(memory.words[workerCellAt(memory.plan, 1) / 4 + WORKER.state]).toBe(WORKER_STATE.down);
    expect(clearWorker(memory, 1)).toEqual({ permits: 0, waiting: 0, sessions: 0 });
  });
});
