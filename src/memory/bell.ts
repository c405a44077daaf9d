// When a worker sleeps, and who has to wake it: the flag between a worker and all who push into its rings.
// Called by the link between workers. Promises: a frame is never left in a ring with its consumer asleep and nobody about to ring; while the
// consumer is awake a push costs one load of a line that nobody writes.
import { type MemoryPlan, WORD_BYTES, WORKER, workerCellAt } from './layout.ts';

/**
 * The bell of one worker; each thread makes its own. Why no wake-up is lost: the consumer sets the flag and then looks into its rings, the producer
 * puts a frame and then looks at the flag. Atomics are in one order for all threads, so whichever did the first step last sees the other's: either
 * the consumer sees the frame and stays awake, or the producer sees the flag and rings. Of several producers that see it, the exchange picks one.
 * A bell that rings although the consumer has woken by itself only makes it look once more.
 */
export class Bell {
  readonly #cell: Int32Array;

  constructor(memory: SharedArrayBuffer, plan: MemoryPlan, worker: number) {
    this.#cell = new Int32Array(memory, workerCellAt(plan, worker) + WORKER.asleep * WORD_BYTES, 1);
  }

  /** Consumer, when it has drained its rings: true when it may wait for the bell; false when `isEmpty` finds something, then it drains again. */
  fallAsleep(isEmpty: () => boolean): boolean {
    Atomics.store(this.#cell, 0, 1);
    if (isEmpty()) return true;
    Atomics.store(this.#cell, 0, 0);
    return false;
  }

  /** Consumer, when it drains without having been rung: producers need not ring until it falls asleep again. */
  wake(): void {
    Atomics.store(this.#cell, 0, 0);
  }

  /** Producer, after a push: true when it has to ring. It is true for one producer each time the consumer falls asleep. */
  mustRing(): boolean {
    return Atomics.load(this.#cell, 0) === 1 && Atomics.exchange(this.#cell, 0, 0) === 1;
  }
}
