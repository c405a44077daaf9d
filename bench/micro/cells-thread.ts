// One thread of the bench of cells: does one thing many times, at the same time as the other threads.
// Called as a Worker by cells.ts. Promises: warms up before the gate opens, and times only what comes behind it; ours and its rivals are classes of
// the same shape called in the same loop, so that only what they do to memory differs (a bare loop over an array is twice as fast, whatever its layout).
import { BreakerCell } from '../../src/memory/breaker-cell.ts';
import { PoolCell } from '../../src/memory/cells.ts';
import { CounterStripe } from '../../src/memory/counters.ts';
import { COUNTER } from '../../src/memory/layout.ts';
import { attachMemory, type SharedMemory } from '../../src/memory/memory.ts';

/** What a thread does over and over. Ours first in each group, then what one would do instead. */
export type CellsWay =
  | 'breaker'
  | 'breaker, counts shared by all threads'
  | 'counter'
  | 'counter, packed in one line'
  | 'counter, one for all threads'
  | 'permit'
  | 'permit, one count for all threads';

/** What a thread is told. */
export interface CellsBenchOrder {
  readonly way: CellsWay;
  readonly shared: SharedMemory;
  /** Rival cells, and the gate in its first words. */
  readonly rival: SharedArrayBuffer;
  readonly worker: number;
  readonly threads: number;
  readonly operations: number;
}

/** What it answers. */
export interface CellsBenchReport {
  /** Time from the gate to the end, and for how much of it this thread had a core. */
  readonly ns: number;
  readonly cpuNs: number;
  /** Operations that did what they should. */
  readonly done: number;
}

/** Words of the rival memory: each on a line of its own, as ours are. */
export const RIVAL = Object.freeze({
  ready: 0,
  open: 16,
  state: 32,
  count: 48,
  held: 64,
  packed: 80,
  words: 96,
});
/** Settings that never open the breaker. */
export const BREAKER = Object.freeze({
  failures: 255,
  sharePercent: 100,
  windowMs: 10_000,
  openMs: 50,
  trials: 1,
  trialMs: 10_000,
});
/** So many that no permit is refused: the cost of taking one is what is timed. */
export const BOUND = 1_000;
const WARM_UP = 20_000;

/** Does the work `operations` times; returns how often it did what it should. */
type Work = (operations: number) => number;

/** A breaker whose successes all threads count in one word. */
class SharedCountBreaker {
  private readonly words: Int32Array;

  constructor(words: Int32Array) {
    this.words = words;
  }

  passing(): number {
    const word = Atomics.load(this.words, RIVAL.state);
    return (word & 3) === 0 ? word : -1;
  }

  succeeded(token: number): void {
    if ((token & 3) !== 0 || this.words[RIVAL.state] !== token) return;
    Atomics.add(this.words, RIVAL.count, 1);
  }
}

/** Counters of the shape of CounterStripe, over whatever memory they are given. */
class PackedCounter {
  private readonly counts: Float64Array;

  constructor(counts: Float64Array) {
    this.counts = counts;
  }

  bump(endpoint: number, place: number, by = 1): void {
    const index = endpoint * COUNTER.places + place;
    this.counts[index] = (this.counts[index] ?? 0) + by;
  }
}

/** One count for all threads. */
class AtomicCounter {
  private readonly words: Int32Array;

  constructor(words: Int32Array) {
    this.words = words;
  }

  bump(endpoint: number, place: number, by = 1): void {
    Atomics.add(this.words, RIVAL.count + endpoint * COUNTER.places + place, by);
  }
}

/** Permits in one count for all threads: cheaper, but nobody can tell what a dead thread held. */
class SharedPermits {
  private readonly words: Int32Array;

  constructor(words: Int32Array) {
    this.words = words;
  }

  acquire(bound: number): boolean {
    if (Atomics.add(this.words, RIVAL.held, 1) < bound) return true;
    Atomics.sub(this.words, RIVAL.held, 1);
    return false;
  }

  release(): void {
    Atomics.sub(this.words, RIVAL.held, 1);
  }
}

function breakerWork(cell: Pick<BreakerCell, 'passing' | 'succeeded'>): Work {
  return (operations) => {
    for (let n = 0; n < operations; n++) cell.succeeded(cell.passing());
    return operations;
  };
}

function counterWork(counter: { bump(endpoint: number, place: 0): void }): Work {
  return (operations) => {
    for (let n = 0; n < operations; n++) counter.bump(0, COUNTER.exchanges);
    return operations;
  };
}

function permitWork(cell: { acquire(bound: number): boolean; release(): unknown }): Work {
  return (operations) => {
    let done = 0;
    for (let n = 0; n < operations; n++) {
      if (!cell.acquire(BOUND)) continue;
      cell.release();
      done++;
    }
    return done;
  };
}

function workOf({ way, shared, rival, worker }: CellsBenchOrder): Work {
  const memory = attachMemory(shared);
  const words = new Int32Array(rival);
  const packedAt = (RIVAL.packed + 2 * worker) * 4;
  const works: Readonly<Record<CellsWay, () => Work>> = {
    breaker: () => breakerWork(new BreakerCell(memory, 0, worker, BREAKER)),
    'breaker, counts shared by all threads': () => breakerWork(new SharedCountBreaker(words)),
    counter: () => counterWork(new CounterStripe(memory, worker)),
    'counter, packed in one line': () => counterWork(new PackedCounter(new Float64Array(rival, packedAt, 1))),
    'counter, one for all threads': () => counterWork(new AtomicCounter(words)),
    permit: () => permitWork(new PoolCell(memory, 0, worker)),
    'permit, one count for all threads': () => permitWork(new SharedPermits(words)),
  };
  return works[way]();
}

/** Runs one order to its end; waits at the gate until all threads are warm. */
function run(order: CellsBenchOrder): CellsBenchReport {
  const work = workOf(order);
  const words = new Int32Array(order.rival);
  for (let round = 0; round < 5; round++) work(Math.min(WARM_UP, order.operations));
  Atomics.add(words, RIVAL.ready, 1);
  if (Atomics.load(words, RIVAL.ready) === order.threads) {
    Atomics.store(words, RIVAL.open, 1);
    Atomics.notify(words, RIVAL.open);
  } else Atomics.wait(words, RIVAL.open, 0);
  const before = process.threadCpuUsage();
  const from = Bun.nanoseconds();
  const done = work(order.operations);
  const ns = Bun.nanoseconds() - from;
  const { user, system } = process.threadCpuUsage(before);
  return { ns, cpuNs: (user + system) * 1_000, done };
}

declare const self: Worker;

if (!Bun.isMainThread) {
  self.onmessage = ({ data }: MessageEvent<CellsBenchOrder>) => self.postMessage(run(data));
}
