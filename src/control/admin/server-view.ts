// One server as the API shows it: its entry, and what the gateway knows of it by now.
// Called by servers.ts, breakers.ts. Promises: asks the workers once for any number of servers; the shared memory is only read.
import type { z } from '@hono/zod-openapi';
import { sumPool } from '../../memory/cells.ts';
import { cellOffsetMs, type PlaneMemory } from '../../memory/memory.ts';
import { ReplicaCell } from '../../memory/replica-cell.ts';
import { serverSeries } from '../../memory/series-read.ts';
import { isoTime } from '../../observe/fields.ts';
import type { Inspection, ServerInspection } from '../../observe/inspection.ts';
import type { Snapshot } from '../../snapshot.ts';
import { cellsInOrder, type HttpTarget, placesByName, type ServerSpec } from '../../upstream/spec.ts';
import type { ServerEntry } from '../registry/registry.ts';
import { breakerView } from './breaker-view.ts';
import type { Governed, GovernedStats } from './governed.ts';
import { isoTimeOrNull } from './operation.ts';
import type { Counts, Replica, Server } from './schemas.ts';

/** A fault as young as this says that a server is failing, unless something went well meanwhile. */
const FAULT_FRESH_MS = 60_000;

/** Everything that views are made of, of one moment. */
export interface Moment {
  readonly governed: Governed;
  readonly stats: GovernedStats;
  readonly snapshot: Snapshot;
  /** Numbers of servers in the snapshot, by name. */
  readonly serverAt: ReadonlyMap<string, number>;
  readonly inspected: ReadonlyMap<string, ServerInspection>;
}

/** Looks at these servers of the gateway: there may be thousands of others. */
export async function lookAt(governed: Governed, names: readonly string[]): Promise<Moment> {
  const [stats, inspection] = await Promise.all([governed.stats(names), governed.inspect(names)]);
  return momentOf(governed, stats, inspection);
}

/**
 * What can be seen without asking the data workers, which cost time for every server there is: what the shared memory has. For answers to changes: thousands of
 * registrations in a row must not look at thousands of servers each.
 */
export function glanceAt(governed: Governed): Moment {
  const nothing = { activeExchanges: 0, sessions: 0, heapBytes: 0, upstreams: {}, workers: [] };
  return momentOf(governed, nothing, { servers: [] });
}

function momentOf(
  governed: Governed,
  stats: GovernedStats,
  { servers }: Pick<Inspection, 'servers'>,
): Moment {
  const snapshot = governed.snapshot();
  return {
    ...{ governed, stats, snapshot },
    serverAt: placesByName(snapshot.servers),
    inspected: new Map(servers.map((server) => [server.name, server])),
  };
}

/** Cells of each server of a snapshot: its own, then those of its further replicas. */
export function cellsIn(snapshot: Snapshot): readonly (readonly number[])[] {
  return snapshot.places?.servers ?? cellsInOrder(snapshot.servers);
}

/** Slot of an endpoint in the shared memory. */
export function slotOf(snapshot: Snapshot, at: number): number {
  return snapshot.places?.endpoints[at] ?? at;
}

/** The view of an entry. */
export function serverView(moment: Moment, entry: ServerEntry): z.output<typeof Server> {
  const { governed, snapshot, stats } = moment;
  const { name } = entry;
  const path = `/mcp/${name}`;
  // The file's entry is the one that runs; a shadowed one of the registry has only its settings.
  const at = entry.isShadowed ? undefined : moment.serverAt.get(name);
  const spec = at === undefined ? undefined : snapshot.servers[at];
  const cells = at === undefined ? [] : (cellsIn(snapshot)[at] ?? []);
  const inspected = spec === undefined ? undefined : moment.inspected.get(name);
  const upstream = spec === undefined ? undefined : stats.upstreams[name];
  const replicas = spec === undefined ? [] : replicasOf(moment, spec, cells);
  const faults = (inspected?.faults ?? []).map(({ atMs, code, detail }) => ({
    at: isoTime(atMs),
    code,
    detail,
  }));
  return {
    name,
    origin: entry.origin,
    version: entry.version,
    isEnabled: entry.isEnabled,
    isShadowed: entry.isShadowed,
    problem: entry.problem,
    changedAt: isoTimeOrNull(entry.changedAtMs),
    settings: { ...entry.settings },
    transport: transportOf(spec, entry.settings),
    era: inspected?.era ?? 'unknown',
    state: spec === undefined ? 'disabled' : stateOf(moment, { replicas, inspected }),
    endpoint: path,
    replicas,
    children: (inspected?.children ?? []).map((child) => ({ ...child })),
    sessions: inspected?.sessions ?? 0,
    cache: upstream?.cache === undefined ? null : { ...upstream.cache },
    faults,
    counts: countsOf(governed.memory, cells),
  };
}

/** Exchanges that went to a server, whatever endpoint they came by. */
function countsOf(memory: PlaneMemory, [cell]: readonly number[]): z.output<typeof Counts> {
  const by = [0, 0, 0, 0];
  if (cell !== undefined)
    for (const { outcome, count } of serverSeries(memory, cell).exchanges)
      by[outcome] = (by[outcome] ?? 0) + count;
  const [ok = 0, refused = 0, failed = 0, abandoned = 0] = by;
  return { exchanges: ok + refused + failed + abandoned, ok, refused, failed, abandoned };
}

function transportOf(
  spec: ServerSpec | undefined,
  settings: Readonly<Record<string, unknown>>,
): z.output<typeof Server>['transport'] {
  if (spec === undefined) return 'command' in settings ? 'stdio' : 'http';
  if (spec.target.kind === 'stdio') return 'stdio';
  const { transport = 'streamable-http' } = spec.target;
  return transport === 'streamable-http' ? 'http' : transport;
}

function stateOf(
  { governed }: Moment,
  seen: {
    readonly replicas: readonly z.output<typeof Replica>[];
    readonly inspected: ServerInspection | undefined;
  },
): 'serving' | 'failing' | 'waiting' {
  const { replicas, inspected } = seen;
  if (replicas.every(({ breaker, isEjected }) => breaker.state === 'open' || isEjected)) return 'failing';
  const [fault] = inspected?.faults ?? [];
  const isFresh = fault !== undefined && governed.runtime.clock.wall() - fault.atMs < FAULT_FRESH_MS;
  const isAlive = replicas.some(({ pool }) => pool.total > 0);
  if (isFresh && !isAlive) return 'failing';
  const wasUsed = replicas.some(({ pool }) => pool.connects + pool.failures > 0);
  const isKnown = inspected !== undefined && (inspected.era !== 'unknown' || inspected.children.length > 0);
  return wasUsed || isKnown || isAlive ? 'serving' : 'waiting';
}

/** Where a target is, without credentials. */
export function addressOf(target: ServerSpec['target'] | HttpTarget): string {
  return target.kind === 'http' ? target.url : target.command;
}

/** The places of a server by their numbers. */
export function targetsOf(spec: ServerSpec): readonly (ServerSpec['target'] | HttpTarget)[] {
  return [spec.target, ...(spec.replicas ?? [])];
}

function replicasOf(moment: Moment, spec: ServerSpec, cells: readonly number[]): z.output<typeof Replica>[] {
  const { memory, runtime } = moment.governed;
  const { clock } = runtime;
  const nowMs = clock.now() + cellOffsetMs(memory, clock.wall(), clock.now());
  return targetsOf(spec).map((target, index) => {
    const cell = cells[index] ?? 0;
    const { sessions: _, ...pool } = sumPool(memory, cell);
    const standing = new ReplicaCell(memory, cell, 0);
    return {
      index,
      address: addressOf(target),
      weight: spec.replication?.weights[index] ?? 1,
      breaker: breakerView(moment.governed, spec, cell),
      pool,
      isEjected: spec.replicas !== undefined && (standing.isDown || nowMs < standing.ejectedUntilMs),
    };
  });
}
