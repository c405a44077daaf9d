// The flag between a sleeping worker and those who wake it, on one thread: each order of the steps of both.
// The orders that only threads can show are in test/property/ring-threads.test.ts.
import { describe, expect, test } from 'bun:test';
import { Bell } from '../../../src/memory/bell.ts';
import { planMemory, WORD_BYTES, WORKER, workerCellAt } from '../../../src/memory/layout.ts';

const PLAN = planMemory({ workers: 3, upstreams: 1, endpoints: 1, ringBytes: 4096, journalRecords: 1 });

function bells() {
  const memory = new SharedArrayBuffer(PLAN.bytes);
  const make = () => [0, 1, 2].map((worker) => new Bell(memory, PLAN, worker));
  return { memory, mine: make(), theirs: make() };
}

describe('bell', () => {
  test('rings once for a sleeper, however many pushes follow', () => {
    const { mine, theirs } = bells();
    expect(theirs[1]?.mustRing()).toBe(false);
    expect(mine[1]?.fallAsleep(() => true)).toBe(true);
    expect([theirs[1]?.mustRing(), theirs[1]?.mustRing(), mine[1]?.mustRing()]).toEqual([true, false, false]);
    expect(mine[1]?.fallAsleep(() => true)).toBe(true);
    expect(theirs[1]?.mustRing()).toBe(true);
  });

  test('a frame put between the drain and the sleep keeps the consumer awake', () => {
    const { mine, theirs } = bells();
    let looked = 0;
    const isEmpty = () => {
      looked++;
      return false;
    };
    expect(mine[0]?.fallAsleep(isEmpty)).toBe(false);
    expect(looked).toBe(1);
    expect(theirs[0]?.mustRing()).toBe(false);
  });

  test('the flag is up before the rings are looked into', () => {
    const { mine, theirs } = bells();
    let rung = false;
    const late = () => {
      rung = theirs[2]?.mustRing() ?? false;
      return true;
    };
    expect(mine[2]?.fallAsleep(late)).toBe(true);
    expect(rung).toBe(true);
  });

  test('who wakes by itself is not rung', () => {
    const { mine, theirs } = bells();
    mine[0]?.fallAsleep(() => true);
    mine[0]?.wake();
    expect(theirs[0]?.mustRing()).toBe(false);
  });

  test('each worker has its own, in its own line, and nothing else is touched', () => {
    const { memory, mine, theirs } = bells();
    mine[1]?.fallAsleep(() => true);
    expect(theirs.map((bell) => bell.mustRing())).toEqual([false, true, false]);
    mine[2]?.fallAsleep(() => true);
    const words = new Int32Array(memory);
    const set = [...words.keys()].filter((index) => words[index] !== 0);
    expect(set).toEqual([workerCellAt(PLAN, 2) / WORD_BYTES + WORKER.asleep]);
  });
});
