// The cell of each worker that says which life it is in, and the end of a life in the rings.
// Called by src/gateway/ (the main thread alone writes). Promises: what a worker that died has left in rings is gone before its next life begins.
import { type MemoryPlan, ringPlace, WORD_BYTES, WORKER, WORKER_STATE, workerCellAt } from './layout.ts';
import type { PlaneMemory } from './memory.ts';
import { Ring } from './ring.ts';

/** A worker's life as the memory tells it. */
export interface WorkerLife {
  /** How often it was started; 0 = never. */
  readonly generation: number;
  readonly state: keyof typeof WORKER_STATE;
}

function cellOf(plan: MemoryPlan, worker: number): number {
  return workerCellAt(plan, worker) / WORD_BYTES;
}

/** Tells all threads which life a worker is in. */
export function setLife(memory: PlaneMemory, worker: number, life: WorkerLife): void {
  const at = cellOf(memory.plan, worker);
  Atomics.store(memory.words, at + WORKER.generation, life.generation);
  Atomics.store(memory.words, at + WORKER.state, WORKER_STATE[life.state]);
}

/** Which life a worker is in, from any thread. */
export function lifeOf(memory: PlaneMemory, worker: number): WorkerLife {
  const at = cellOf(memory.plan, worker);
  const state = Atomics.load(memory.words, at + WORKER.state);
  return {
    generation: Atomics.load(memory.words, at + WORKER.generation),
    state: state === WORKER_STATE.serving ? 'serving' : state === WORKER_STATE.starting ? 'starting' : 'down',
  };
}

/** Empties every ring from and to a worker that has died; the others have let go of them. */
export function clearRings(memory: PlaneMemory, worker: number): void {
  const { plan, buffer } = memory;
  for (let other = 0; other < plan.workers; other++) {
    if (other === worker) continue;
    new Ring(buffer, ringPlace(plan, worker, other), plan.ringBytes).reset();
    new Ring(buffer, ringPlace(plan, other, worker), plan.ringBytes).reset();
  }
}
