// What must be gone once everything is over: permits, slots, sessions, processes, connections, timers, frames, and books that do not add up.
// Called by world.ts. Promises: reads only; says what is left, and of whom.
import { BreakerCell } from '../../src/memory/breaker-cell.ts';
import { readJournal } from '../../src/memory/journal.ts';
import {
  BREAKER,
  breakerCellAt,
  COUNTER,
  counterCellAt,
  POOL,
  POOL_HEAD,
  poolCellAt,
  poolHeadAt,
  ringPlace,
  WORD_BYTES,
} from '../../src/memory/layout.ts';
import type { PlaneMemory } from '../../src/memory/memory.ts';
import { Ring } from '../../src/memory/ring.ts';
import type { SimRuntime } from '../../src/runtime/sim.ts';
import type { Ledger } from './ledger.ts';

const RULE = 'nothing is left behind';
/** Words of a pool cell that tell of what is held. */
const HELD = ['held', 'total', 'busy', 'idle', 'waiting', 'oldest', 'sessions'] as const;

/** Words that processes show which are kept started for sessions to come. */
const WARM: readonly string[] = ['total', 'idle'];

/** Looks at the memory that all workers share. `warm`: processes that a worker may keep started. */
export function findMemoryLeaks(memory: PlaneMemory, ledger: Ledger, when: string, warm: number): void {
  const { plan, words, doubles, buffer } = memory;
  for (let upstream = 0; upstream < plan.upstreams; upstream++) {
    for (let worker = 0; worker < plan.workers; worker++) {
      const at = poolCellAt(plan, upstream, worker) / WORD_BYTES;
      for (const name of HELD) {
        const left = words[at + POOL[name]] ?? 0;
        const fair = WARM.includes(name) ? warm : 0;
        if (left < 0 || left > fair)
          ledger.violate(RULE, `${when}: worker ${worker} has ${name} = ${left} of upstream ${upstream}`);
      }
    }
    const head = poolHeadAt(plan, upstream) / WORD_BYTES;
    const flags = (words[head + POOL_HEAD.waiting] ?? 0) | (words[head + POOL_HEAD.waitingHigh] ?? 0);
    if (flags !== 0) ledger.violate(RULE, `${when}: somebody seems to wait for upstream ${upstream}`);
    const trials = ((words[breakerCellAt(plan, upstream) / WORD_BYTES + BREAKER.state] ?? 0) >>> 2) & 63;
    if (trials > 1)
      ledger.violate('breakers let few through', `${when}: ${trials} trials of upstream ${upstream}`);
    if (breakerIsOdd(memory, upstream))
      ledger.violate('breakers are in a state', `${when}: upstream ${upstream}`);
  }
  for (let worker = 0; worker < plan.workers; worker++) {
    // What one that ends has said last nobody need hear.
    for (let other = 0; when === 'idle' && other < plan.workers; other++)
      if (other !== worker && !new Ring(buffer, ringPlace(plan, worker, other), plan.ringBytes).isEmpty)
        ledger.violate(RULE, `${when}: frames from worker ${worker} to ${other}`);
    for (let endpoint = 0; endpoint < plan.endpoints; endpoint++) {
      const at = counterCellAt(plan, worker, endpoint) / 8;
      const count = (place: number): number => doubles[at + place] ?? 0;
      const ends =
        count(COUNTER.ok) + count(COUNTER.refused) + count(COUNTER.failed) + count(COUNTER.abandoned);
      if (ends !== count(COUNTER.exchanges))
        ledger.violate(
          'books add up',
          `${when}: worker ${worker} counted ${count(COUNTER.exchanges)} exchanges and ${ends} ends`,
        );
    }
    for (const record of readJournal(memory, worker, plan.journalRecords))
      if (!(record.durationUs >= 0) || record.outcome < 0 || record.outcome > 3)
        ledger.violate(
          'books add up',
          `${when}: worker ${worker} has a record ${JSON.stringify({ ...record, body: '' })}`,
        );
  }
}

/** A state that is none: two of its bits say which of three it is. */
function breakerIsOdd(memory: PlaneMemory, upstream: number): boolean {
  const word = memory.words[breakerCellAt(memory.plan, upstream) / WORD_BYTES + BREAKER.state] ?? 0;
  if ((word & 3) === 3) return true;
  const settings = { failures: 1, sharePercent: 0, windowMs: 1, openMs: 1, trials: 1, trialMs: 1 };
  return new BreakerCell(memory, upstream, 0, settings).state === 'closed' && ((word >>> 2) & 63) !== 0;
}

/**
 * Looks at what the threads have open, while they wait for nothing but more work. `timersMax`: what each needs to be awake at all; `warm`: processes that
 * each may keep started. */
export function findOpenThings(sim: SimRuntime, ledger: Ledger, timersMax: number, warm: number): void {
  sim.threads().forEach(({ alive, timers, sockets, children }, index) => {
    if (!alive) return;
    const where = `thread ${index}, idle`;
    if (sockets !== 0) ledger.violate(RULE, `${where}: ${sockets} connections`);
    if (children > warm) ledger.violate(RULE, `${where}: ${children} processes`);
    if (timers.length > timersMax)
      ledger.violate(RULE, `${where}: ${timers.length} timers: ${[...new Set(timers)].join(' | ')}`);
  });
}

/** Looks at the whole world after the end. `placesMax`: where scripted servers listen. */
export function findRemains(sim: SimRuntime, ledger: Ledger, placesMax: number): void {
  const { sockets, places, children, events } = sim.census();
  if (sockets !== 0) ledger.violate(RULE, `at the end: ${sockets} ends of connections`);
  if (places > placesMax) ledger.violate(RULE, `at the end: ${places} addresses are listened on`);
  if (children !== 0) ledger.violate(RULE, `at the end: ${children} processes`);
  if (events !== 0) ledger.violate(RULE, `at the end: ${events} timers`);
  sim.threads().forEach(({ alive }, index) => {
    if (alive) ledger.violate(RULE, `at the end: thread ${index} lives`);
  });
}
