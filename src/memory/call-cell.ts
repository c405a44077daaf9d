// The calls under way at one server, of all workers, and the bound on them.
// Called by policy/concurrency.ts. Promises: never more than the bound; what a dead worker held is given back with the rest of its cells; nothing is
// allocated. The same way of counting as that of the permits in cells.ts, which says why it holds.
import { assert } from '../base/assert.ts';
import { POOL, poolCellAt, WORD_BYTES } from './layout.ts';
import type { PlaneMemory } from './memory.ts';

/** Times that a place is tried for while one seems free: two workers that reach for the last one at once both step back. */
const TRIES = 4;

/** One worker's hold on the calls of one server. */
export class CallCell {
  private readonly words: Int32Array;
  private readonly workers: number;
  private readonly at: number;
  private readonly firstAt: number;

  constructor(memory: PlaneMemory, upstream: number, worker: number) {
    this.words = memory.words;
    this.workers = memory.plan.workers;
    this.at = poolCellAt(memory.plan, upstream, worker) / WORD_BYTES + POOL.calls;
    this.firstAt = poolCellAt(memory.plan, upstream, 0) / WORD_BYTES + POOL.calls;
  }

  /** Takes a place unless all workers together have `bound`. */
  acquire(bound: number): boolean {
    for (let tries = 0; tries < TRIES; tries++) {
      Atomics.add(this.words, this.at, 1);
      if (this.held() <= bound) return true;
      Atomics.sub(this.words, this.at, 1);
      if (this.held() >= bound) return false;
    }
    return false;
  }

  /** Gives a place back. */
  release(): void {
    const before = Atomics.sub(this.words, this.at, 1);
    assert(before > 0, 'a place that is given back was taken');
  }

  /** Places that all workers have, those included that are being tried for. */
  held(): number {
    let sum = 0;
    for (let worker = 0; worker < this.workers; worker++)
      sum += Atomics.load(this.words, this.firstAt + worker * POOL.words);
    return sum;
  }
}
