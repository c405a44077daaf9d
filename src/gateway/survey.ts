// What all data workers say when they are asked, put together: counts, what there is, what was done, and whether all is ready.
// Called by fleet.ts. Promises: a worker that serves nothing, or dies while it is asked, is left out; sums are of about one moment.
import { GatewayError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { PlaneMemory } from '../memory/memory.ts';
import type { Deed, Inspection, ServerInspection } from '../observe/inspection.ts';
import type { Runtime } from '../runtime/runtime.ts';
import { type ReadinessCheck, serverChecks, snapshotCheck } from '../server/readiness.ts';
import type { Snapshot } from '../snapshot.ts';
import type { Order, Report } from '../thread.ts';
import type { DataPlaneStats } from '../worker.ts';
import { sumStats } from './shape.ts';
import { unexpected } from './thread-link.ts';

/** What a worker is doing: loading, serving, waiting for its next life, or at its end. */
export type WorkerState = 'starting' | 'serving' | 'down' | 'ended';

/** One data worker, for status pages and tests. */
export interface WorkerStatus {
  readonly index: number;
  readonly generation: number;
  readonly state: WorkerState;
  /** How often it died; each death is followed by a new start. */
  readonly restarts: number;
  readonly activeExchanges: number;
}

/** Counts of a gateway: sums over its workers, and each of them. */
export interface GatewayStats extends DataPlaneStats {
  readonly workers: readonly WorkerStatus[];
}

/** A worker as it can be asked. */
export interface Surveyed {
  readonly index: number;
  readonly generation: number;
  readonly state: WorkerState;
  readonly deaths: number;
  readonly link: { ask(order: Order): Promise<Report> };
}

/** What is surveyed. */
export interface SurveyParts {
  readonly workers: readonly Surveyed[];
  readonly runtime: Pick<Runtime, 'groupMemory'>;
  readonly memory: PlaneMemory;
  snapshot(): Snapshot;
  phase(): 'starting' | 'up' | 'draining' | 'over';
}

type Told<Kind extends Report['kind']> = Extract<Report, { readonly kind: Kind }>;

/** Asks all workers; all but readiness() reject with GW_RUNTIME_WORKER once the fleet has ended. */
export class Survey {
  readonly #parts: SurveyParts;

  constructor(parts: SurveyParts) {
    this.#parts = parts;
  }

  /** Counts of all workers and of each; those of servers may be wanted of these alone. */
  async stats(servers?: readonly string[]): Promise<GatewayStats> {
    const told = await this.#ask({ kind: 'stats', ...(servers !== undefined && { servers }) }, 'stats');
    const planes = told.map((report) => report?.stats ?? null);
    const workers = this.#parts.workers.map(({ index, generation, state, deaths }, at) => {
      const activeExchanges = planes[at]?.activeExchanges ?? 0;
      return { index, generation, state, restarts: deaths, activeExchanges };
    });
    return { ...sumStats(planes.filter((plane) => plane !== null)), workers };
  }

  /** What there is in all workers; `servers`: what these are alone, without sessions and parked calls. */
  async inspect(servers?: readonly string[]): Promise<Inspection> {
    const told = await this.#ask(
      { kind: 'inspect', ...(servers !== undefined && { servers }) },
      'inspection',
    );
    const parts = told.flatMap((report) => report?.inspection ?? []);
    const pids = parts.flatMap(({ servers }) =>
      servers.flatMap(({ children }) => children.map(({ pid }) => pid)),
    );
    const held = pids.length === 0 ? new Map<number, number>() : await this.#parts.runtime.groupMemory(pids);
    return joinInspections(parts, held);
  }

  /** Has every worker do a deed; how much there was to do in all of them. */
  async act(deed: Deed): Promise<number> {
    const told = await this.#ask({ kind: 'act', deed }, 'done');
    return told.reduce((sum, report) => sum + (report?.count ?? 0), 0);
  }

  /** Everything without which the gateway is not ready, as /readyz has it: fit to be told to anybody. */
  readiness(): readonly ReadinessCheck[] {
    const { workers, memory } = this.#parts;
    const phase = this.#parts.phase();
    const snapshot = this.#parts.snapshot();
    const serving = workers.filter(({ state }) => state === 'serving').length;
    const isUp = phase === 'up';
    const isDraining = phase === 'draining';
    return [
      { check: 'listener', ok: isUp, detail: isUp ? '' : `the gateway is ${phase}` },
      snapshotCheck(snapshot),
      { check: 'workers', ok: serving > 0, detail: `${serving} of ${workers.length} serve` },
      ...serverChecks(memory, snapshot),
      { check: 'draining', ok: !isDraining, detail: isDraining ? 'what runs may finish' : '' },
    ];
  }

  /** By worker; null for one that serves nothing. */
  #ask<Kind extends Report['kind']>(order: Order, kind: Kind): Promise<(Told<Kind> | null)[]> {
    if (this.#parts.phase() === 'over')
      return Promise.reject(new GatewayError('GW_RUNTIME_WORKER', 'it was stopped'));
    return Promise.all(this.#parts.workers.map((one) => askOne(one, order, kind)));
  }
}

async function askOne<Kind extends Report['kind']>(
  { state, link }: Surveyed,
  order: Order,
  kind: Kind,
): Promise<Told<Kind> | null> {
  if (state !== 'serving') return null;
  const report = await link.ask(order).catch(() => null);
  // It has died since.
  if (report === null) return null;
  // The compiler does not see that the kind says which report it is.
  if (report.kind === kind) return report as Told<Kind>;
  throw unexpected(report);
}

/** Several workers' inspections as one; `held` has the resident bytes of process groups. Pure. */
export function joinInspections(parts: readonly Inspection[], held: ReadonlyMap<number, number>): Inspection {
  const byName = new Map<string, ServerInspection>();
  for (const server of parts.flatMap(({ servers }) => servers)) {
    const known = byName.get(server.name);
    byName.set(server.name, known === undefined ? server : joinServers(known, server));
  }
  const servers = [...byName.values()].map((server) => ({
    ...server,
    children: server.children.map((child) => ({ ...child, rssBytes: held.get(child.pid) ?? null })),
  }));
  return {
    sessions: parts.flatMap(({ sessions }) => sessions),
    parked: parts.flatMap(({ parked }) => parked),
    servers,
  };
}

function joinServers(one: ServerInspection, other: ServerInspection): ServerInspection {
  const faults = [...one.faults, ...other.faults].sort((a, b) => b.atMs - a.atMs);
  const eras = [one.era, other.era];
  return {
    name: one.name,
    era: eras.includes('modern') ? 'modern' : eras.includes('legacy') ? 'legacy' : 'unknown',
    sessions: one.sessions + other.sessions,
    children: [...one.children, ...other.children],
    faults: faults.slice(0, LIMITS.faultsKeptMax),
  };
}
