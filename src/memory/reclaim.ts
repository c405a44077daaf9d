// What a worker held in the shared memory when it died, given back; and the cells of what is gone, made as new.
// Called by gateway/. Promises: exactly what that worker held, whatever it was doing; its counts stay, so that sums never shrink.
import {
  BREAKER,
  breakerCellAt,
  COUNTER,
  COUNTER_WORD,
  counterCellAt,
  HISTOGRAM_SPAN,
  histogramPlace,
  POOL,
  POOL_HEAD,
  poolCellAt,
  poolHeadAt,
  WORD_BYTES,
  WORKER,
  WORKER_STATE,
  waitingBitOf,
  waitingWordOf,
  workerCellAt,
} from './layout.ts';
import type { PlaneMemory } from './memory.ts';
import { OUTCOME, outcomeCellAt } from './replica-layout.ts';
import { clearEndpointSeries, clearServerSeries } from './series-clear.ts';

/** Words of a pool cell that a dead worker holds no longer; its counts stay, so that sums never shrink. */
const HOLDINGS = [
  POOL.held,
  POOL.total,
  POOL.busy,
  POOL.idle,
  POOL.waiting,
  POOL.oldest,
  POOL.sessions,
  POOL.calls,
] as const;

/** What a worker held when it died. */
export interface Reclaimed {
  readonly permits: number;
  readonly waiting: number;
  readonly sessions: number;
}

/**
 * Gives back all that a dead worker held: permits, places in queues, its state. The main thread calls it once the thread has ended for
 * sure and before it is started again. Who waits elsewhere finds the permits within a tick of its pool.
 */
export function clearWorker(memory: PlaneMemory, worker: number): Reclaimed {
  const { plan, words } = memory;
  const reclaimed = { permits: 0, waiting: 0, sessions: 0 };
  for (let upstream = 0; upstream < plan.upstreams; upstream++) {
    const at = poolCellAt(plan, upstream, worker) / WORD_BYTES;
    reclaimed.permits += Atomics.load(words, at + POOL.held);
    reclaimed.waiting += Atomics.load(words, at + POOL.waiting);
    reclaimed.sessions += Atomics.load(words, at + POOL.sessions);
    for (const word of HOLDINGS) Atomics.store(words, at + word, 0);
    const flagsAt = poolHeadAt(plan, upstream) / WORD_BYTES + waitingWordOf(worker);
    Atomics.and(words, flagsAt, ~waitingBitOf(worker));
  }
  for (let endpoint = 0; endpoint < plan.endpoints; endpoint++)
    Atomics.store(words, counterCellAt(plan, worker, endpoint) / WORD_BYTES + COUNTER_WORD.calls, 0);
  const cellAt = workerCellAt(plan, worker) / WORD_BYTES;
  Atomics.store(words, cellAt + WORKER.state, WORKER_STATE.down);
  Atomics.store(words, cellAt + WORKER.asleep, 0);
  return reclaimed;
}

/** Makes the pool, breaker and outcome cells of a server as new, in which nobody has anything any more; counts included, since they were another server's. */
export function clearUpstream(memory: PlaneMemory, upstream: number): void {
  const { plan, words } = memory;
  const poolWords = POOL_HEAD.words + plan.workers * POOL.words;
  const poolAt = poolHeadAt(plan, upstream) / WORD_BYTES;
  const breakerAt = breakerCellAt(plan, upstream) / WORD_BYTES;
  words.fill(0, poolAt, poolAt + poolWords);
  words.fill(0, breakerAt, breakerAt + BREAKER.words);
  const outcomeAt = outcomeCellAt(plan, upstream, 0) / WORD_BYTES;
  words.fill(0, outcomeAt, outcomeAt + plan.workers * OUTCOME.words);
  clearServerSeries(memory, upstream);
}

/** Makes the counters and histograms of an endpoint as new; nobody records there any more. */
export function clearEndpoint(memory: PlaneMemory, endpoint: number): void {
  const { plan, doubles } = memory;
  for (let worker = 0; worker < plan.workers; worker++) {
    const countersAt = counterCellAt(plan, worker, endpoint) / 8;
    const histogramAt = histogramPlace(plan, worker, endpoint) / 8;
    doubles.fill(0, countersAt, countersAt + COUNTER.places);
    doubles.fill(0, histogramAt, histogramAt + HISTOGRAM_SPAN / 8);
  }
  clearEndpointSeries(memory, endpoint);
}
