// Figures of the last second: rates, times, load. Each is the difference of two readings.
// Called by live.ts once a second while somebody looks. Promises: reads the shared memory and asks the workers once; endpoints where nothing happened cost one sum.
import type { z } from '@hono/zod-openapi';
import { LIMITS } from '../../base/limits.ts';
import { sumCounters } from '../../memory/counters.ts';
import { Histogram, mergedHistogram } from '../../memory/histogram.ts';
import { isoTime } from '../../observe/fields.ts';
import type { Snapshot } from '../../snapshot.ts';
import { isSameServer } from '../../upstream/spec.ts';
import { breakerView } from './breaker-view.ts';
import type { Governed } from './governed.ts';
import type { Overview } from './schemas.ts';
import { cellsIn, slotOf } from './server-view.ts';

/** What one reading leaves for the next. */
interface Before {
  readonly atMs: number;
  readonly cpuMs: number;
  /** Exchanges of each slot, and those of them that failed. */
  readonly exchanges: ReadonlyMap<number, number>;
  readonly failed: number;
}

/** Takes readings of one gateway. */
export class Sampler {
  readonly #governed: Governed;
  /** Times by slot, of slots where something happened lately. */
  readonly #times = new Map<number, Histogram>();
  #before: Before;
  #snapshot: Snapshot;
  #states: ReadonlyMap<string, string>;

  constructor(governed: Governed) {
    this.#governed = governed;
    this.#before = this.#read();
    this.#snapshot = governed.snapshot();
    this.#states = this.#statesNow();
  }

  #read(): Before {
    const { memory, runtime, snapshot } = this.#governed;
    const now = snapshot();
    const exchanges = new Map<number, number>();
    let failed = 0;
    now.endpoints.forEach((_, at) => {
      const slot = slotOf(now, at);
      const counts = sumCounters(memory, slot);
      exchanges.set(slot, counts.exchanges);
      failed += counts.failed;
    });
    const { cpuUserMs, cpuSystemMs } = runtime.usage();
    return { atMs: runtime.clock.now(), cpuMs: cpuUserMs + cpuSystemMs, exchanges, failed };
  }

  /** What happened since the last reading. */
  async overview(): Promise<z.output<typeof Overview>> {
    const { runtime } = this.#governed;
    const stats = await this.#governed.stats([]);
    const before = this.#before;
    const now = this.#read();
    this.#before = now;
    const seconds = Math.max(0.001, (now.atMs - before.atMs) / 1000);
    const busy = [...now.exchanges].filter(([slot, count]) => count > (before.exchanges.get(slot) ?? 0));
    const count = busy.reduce((sum, [slot, total]) => sum + total - (before.exchanges.get(slot) ?? 0), 0);
    const times = this.#timesOf(
      busy.map(([slot]) => slot),
      before,
    );
    const ms = (percent: number): number | null =>
      times.count === 0 ? null : times.percentileUs(percent) / 1000;
    return {
      at: isoTime(runtime.clock.wall()),
      exchangesPerSecond: count / seconds,
      // Less than before when an endpoint has gone.
      errorsPerSecond: Math.max(0, now.failed - before.failed) / seconds,
      p50Ms: ms(50),
      p99Ms: ms(99),
      activeExchanges: stats.activeExchanges,
      cpuPercent: Math.max(0, ((now.cpuMs - before.cpuMs) / (seconds * 1000)) * 100),
      rssBytes: runtime.usage().rssBytes,
      sessions: stats.sessions,
      workers: stats.workers.map((worker) => ({ ...worker })),
    };
  }

  /** Times of these slots since the last reading. */
  #timesOf(slots: readonly number[], before: Before): Histogram {
    const all = new Histogram();
    for (const slot of slots) {
      const now = mergedHistogram(this.#governed.memory, slot);
      const earlier = this.#times.get(slot);
      if (earlier !== undefined) all.add(now.since(earlier));
      // Without an earlier copy its times count from the next reading on, unless all of them are new.
      else if ((before.exchanges.get(slot) ?? 0) === 0) all.add(now);
      this.#times.delete(slot);
      this.#times.set(slot, now);
    }
    for (const slot of this.#times.keys()) {
      if (this.#times.size <= LIMITS.adminTimesMax) break;
      this.#times.delete(slot);
    }
    return all;
  }

  /** Servers that came, went or changed, or whose breakers did, since it was asked last. */
  changedServers(): string[] {
    const snapshot = this.#governed.snapshot();
    const states = this.#statesNow();
    const former = this.#snapshot;
    const changed = new Set<string>();
    for (const [name, state] of states) if (this.#states.get(name) !== state) changed.add(name);
    for (const name of this.#states.keys()) if (!states.has(name)) changed.add(name);
    if (snapshot.epoch !== former.epoch) {
      const before = new Map(former.servers.map((spec) => [spec.name, spec]));
      for (const spec of snapshot.servers) {
        const was = before.get(spec.name);
        if (was === undefined || !isSameServer(was, spec)) changed.add(spec.name);
      }
    }
    this.#snapshot = snapshot;
    this.#states = states;
    return [...changed];
  }

  #statesNow(): ReadonlyMap<string, string> {
    const snapshot = this.#governed.snapshot();
    const cells = cellsIn(snapshot);
    return new Map(
      snapshot.servers.map((spec, at) => {
        const states = (cells[at] ?? []).map((cell) => {
          const { state, isForced } = breakerView(this.#governed, spec, cell);
          return `${state}${isForced}`;
        });
        return [spec.name, states.join()];
      }),
    );
  }
}
