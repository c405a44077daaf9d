// Counts of exchanges and bytes: each worker adds in a stripe of its own, readers sum the stripes.
// Called by server/ (bumps), gateway/ (sums). Promises: a bump is a load, an addition and a store in memory that no other worker writes;
// nothing is lost, since each stripe has one writer.
//
// A stripe holds doubles rather than words: they count exactly to 2^53 and never wrap. A plain store is enough: on the 64-bit engines that
// this runs on, an aligned double is stored by one instruction, so a reader sees the old value or the new one and never half of each.
// (The ECMAScript memory model allows doubles to tear; no 64-bit engine does it.)
import { assert } from '../base/assert.ts';
import { COUNTER, counterCellAt } from './layout.ts';
import type { PlaneMemory } from './memory.ts';

/** A count by its name. */
export type CounterName = Exclude<keyof typeof COUNTER, 'places'>;
/** Place of one count within an endpoint's counters: a value of COUNTER. */
export type CounterPlace = (typeof COUNTER)[CounterName];

/** The counts of one endpoint, or of all. */
export type CounterSums = Readonly<Record<CounterName, number>>;

// Object.keys() forgets the literal names; `places` is the only key that is no count.
const NAMES = Object.keys(COUNTER).filter((name) => name !== 'places') as CounterName[];

/** The stripe of one worker. Only that worker may bump it. */
export class CounterStripe {
  private readonly counts: Float64Array;

  constructor(memory: PlaneMemory, worker: number) {
    const { plan, buffer } = memory;
    assert(worker >= 0 && worker < plan.workers, 'a stripe belongs to a worker of the plan');
    this.counts = new Float64Array(buffer, counterCellAt(plan, worker, 0), plan.endpoints * COUNTER.places);
  }

  /** Adds to one count of an endpoint. */
  bump(endpoint: number, place: CounterPlace, by = 1): void {
    const index = endpoint * COUNTER.places + place;
    this.counts[index] = (this.counts[index] ?? 0) + by;
  }
}

/** The counts of one endpoint, summed over all workers. */
export function sumCounters(memory: PlaneMemory, endpoint: number): CounterSums {
  const { plan, doubles } = memory;
  const sum = (name: CounterName): number => {
    let total = 0;
    for (let worker = 0; worker < plan.workers; worker++)
      total += doubles[counterCellAt(plan, worker, endpoint) / 8 + COUNTER[name]] ?? 0;
    return total;
  };
  // fromEntries() forgets the names, and NAMES holds each of them once
  return Object.fromEntries(NAMES.map((name) => [name, sum(name)])) as CounterSums;
}
