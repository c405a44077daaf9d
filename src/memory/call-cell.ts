// The calls under way at one server, or of one endpoint, of all workers, and the bound on them.
// Called by policy/concurrency.ts. Promises: never more than the bound; what a dead worker held is given back with the rest of its cells; nothing is
// allocated. The same way of counting as that of the permits in cells.ts, which says why it holds.
import { assert } from '../base/assert.ts';
import { COUNTER_WORD, counterCellAt, POOL, poolCellAt, WORD_BYTES } from './layout.ts';
import type { PlaneMemory } from './memory.ts';

/** Times that a place is tried for while one seems free: two workers that reach for the last one at once both step back. */
const TRIES = 4;

/** One worker's hold on the calls of one server, or of one endpoint. */
export class CallCell {
  private readonly words: Int32Array;
  private readonly workers: number;
  private readonly at: number;
  private readonly firstAt: number;
  /** Words from one worker's place to the next one's. */
  private readonly step: number;

  /** `index`: the server's cell, or the endpoint's slot. */
  constructor(memory: PlaneMemory, index: number, worker: number, whose: 'server' | 'endpoint' = 'server') {
    const { plan } = memory;
    const wordOf = (of: number): number =>
      whose === 'server'
        ? poolCellAt(plan, index, of) / WORD_BYTES + POOL.calls
        : counterCellAt(plan, of, index) / WORD_BYTES + COUNTER_WORD.calls;
    this.words = memory.words;
    this.workers = plan.workers;
    this.at = wordOf(worker);
    this.firstAt = wordOf(0);
    this.step = wordOf(1) - this.firstAt;
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
      sum += Atomics.load(this.words, this.firstAt + worker * this.step);
    return sum;
  }
}
