// When a worker that died is started again: the whole schedule, against LIMITS.
// Runs gateway/restarts.ts alone.
import { describe, expect, test } from 'bun:test';
import { LIMITS } from '../../../src/base/limits.ts';
import { Restarts } from '../../../src/gateway/restarts.ts';

describe('restarts of a worker', () => {
  test('at once, then 0.1 s, doubling up to 5 s, for as long as it serves in between', () => {
    const restarts = new Restarts();
    const delays = Array.from({ length: 9 }, () => restarts.after(1));
    expect(delays).toEqual([0, 100, 200, 400, 800, 1600, 3200, 5000, 5000]);
  });

  test('a healthy life begins the schedule anew', () => {
    const restarts = new Restarts();
    for (let death = 0; death < 5; death++) restarts.after(1);
    expect(restarts.after(LIMITS.workerHealthyMs - 1)).toBe(1600);
    expect([restarts.after(LIMITS.workerHealthyMs), restarts.after(0)]).toEqual([0, 100]);
  });

  test('one that never serves is given up; one that did in between is not', () => {
    const restarts = new Restarts();
    const unready = LIMITS.workerStartsMax - 1;
    for (let round = 0; round < 3; round++) {
      for (let death = 0; death < unready; death++) expect(restarts.after(null)).not.toBeNull();
      expect(restarts.after(5)).not.toBeNull();
    }
    for (let death = 0; death < unready; death++) expect(restarts.after(null)).not.toBeNull();
    expect(restarts.after(null)).toBeNull();
  });
});
