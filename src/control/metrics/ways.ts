// Gathers what is on the way to the servers at this moment: connections, breakers, caches, sessions, processes, parked calls.
// Called by text.ts. Promises: reads the shared memory and what the workers tell of themselves; a server that no worker tells of has its pool and breaker alone.
import { readBreaker } from '../../memory/breaker-control.ts';
import { sumPool } from '../../memory/cells.ts';
import type { PlaneMemory } from '../../memory/memory.ts';
import type { Inspection } from '../../observe/inspection.ts';
import type { ServerSpec } from '../../upstream/spec.ts';
import type { UpstreamStats } from '../../upstream/upstream.ts';
import type { Samples } from './samples.ts';

/** A server with the cells of its places. */
export interface Way {
  readonly spec: ServerSpec;
  readonly cells: readonly number[];
}

const STATES = ['closed', 'open', 'half-open'] as const;

/** Pools and breakers of a server's places. */
export function addPlaces(
  samples: Samples,
  { spec, cells }: Way,
  { memory, wallMs }: { readonly memory: PlaneMemory; readonly wallMs: number },
): void {
  const windowMs = spec.breaker?.windowMs ?? null;
  for (const [index, cell] of cells.entries()) {
    const labels = [spec.name, String(index)];
    const pool = sumPool(memory, cell);
    samples.add('sluice_pool_connections', [...labels, 'busy'], pool.busy);
    samples.add('sluice_pool_connections', [...labels, 'idle'], pool.idle);
    samples.add('sluice_pool_waiting', labels, pool.waiting);
    samples.add('sluice_pool_connects_total', labels, pool.connects);
    samples.add('sluice_pool_reuses_total', labels, pool.reuses);
    samples.add('sluice_pool_failures_total', labels, pool.failures);
    const { state, isForced } = readBreaker(memory, cell, { windowMs, wallMs });
    for (const one of STATES) samples.add('sluice_breaker_state', [...labels, one], one === state ? 1 : 0);
    samples.add('sluice_breaker_forced', labels, isForced ? 1 : 0);
  }
}

/** What the workers count of a server. */
export function addStats(samples: Samples, server: string, { cache, sessions }: UpstreamStats): void {
  samples.add('sluice_server_sessions', [server], sessions);
  if (cache === undefined) return;
  for (const [result, count] of [
    ['hit', cache.hits],
    ['miss', cache.misses],
    ['shared', cache.shared],
    ['stale', cache.stale],
  ] as const)
    samples.add('sluice_cache_requests_total', [server, result], count);
  samples.add('sluice_cache_evictions_total', [server], cache.evictions);
  samples.add('sluice_cache_entries', [server], cache.entries);
  samples.add('sluice_cache_size_bytes', [server], cache.bytes);
}

/** Processes and parked calls. */
export function addInspection(samples: Samples, { servers, parked }: Inspection): void {
  for (const { name, children } of servers) {
    for (const sharing of ['shared', 'session'] as const) {
      const own = children.filter((child) => child.sharing === sharing);
      if (children.length > 0) samples.add('sluice_server_children', [name, sharing], own.length);
    }
    const known = children.flatMap(({ rssBytes }) => rssBytes ?? []);
    if (known.length === 0) continue;
    const bytes = known.reduce((sum, one) => sum + one, 0);
    samples.add('sluice_server_children_resident_bytes', [name], bytes);
  }
  for (const [server, calls] of Map.groupBy(parked, (call) => call.server))
    samples.add('sluice_server_parked_calls', [server], calls.length);
}
