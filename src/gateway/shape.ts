// How large the memory of a gateway's workers is, and what their counts come to together.
// Called by fleet.ts. Promises: pure; all rings together stay within LIMITS.ringsBytesMax, however many workers there are.
import { LIMITS } from '../base/limits.ts';
import { addNumbers } from '../memory/cells.ts';
import { COUNTER, HISTOGRAM_SPAN, type MemoryShape } from '../memory/layout.ts';
import type { Snapshot } from '../snapshot.ts';
import { cellsOf } from '../upstream/spec.ts';
import type { CacheStats, UpstreamStats } from '../upstream/upstream.ts';
import type { DataPlaneStats } from '../worker.ts';

/** Room for so many, and for as many more: what a reload adds needs cells of its own, and what it changes does while both are there. */
function roomFor(count: number, besides: number): number {
  return Math.max(LIMITS.reloadCellsMin, 2 * count, count + besides);
}

/** Endpoints for whose counters and histograms there are addresses enough. */
function endpointsWithin(bytes: number, workers: number): number {
  return Math.floor(bytes / (workers * (HISTOGRAM_SPAN + COUNTER.places * 8)));
}

/** The shape of the memory that `workers` workers share over a snapshot and those that follow it, which may have `serversMore` servers more. */
export function memoryShape(snapshot: Snapshot, workers: number, serversMore = 0): MemoryShape {
  const more = Math.min(serversMore, endpointsWithin(LIMITS.registryRoomBytesMax, workers));
  const rings = workers * (workers - 1);
  let ringBytes: number = LIMITS.ringBytesMax;
  while (rings * ringBytes > LIMITS.ringsBytesMax) ringBytes /= 2;
  return {
    workers,
    upstreams: roomFor(cellsOf(snapshot.servers), more),
    endpoints: roomFor(snapshot.endpoints.length, more),
    ringBytes,
    journalRecords: LIMITS.journalRecords,
    tools: snapshot.metrics?.tools ?? 0,
  };
}

/** The counts of several planes together. */
export function sumStats(planes: readonly DataPlaneStats[]): DataPlaneStats {
  const upstreams: Record<string, UpstreamStats> = {};
  let activeExchanges = 0;
  let sessions = 0;
  let heapBytes = 0;
  for (const plane of planes) {
    activeExchanges += plane.activeExchanges;
    sessions += plane.sessions;
    heapBytes += plane.heapBytes;
    for (const [name, stats] of Object.entries(plane.upstreams)) {
      const sum = upstreams[name];
      upstreams[name] = sum === undefined ? stats : sumUpstreams(sum, stats);
    }
  }
  return { activeExchanges, sessions, heapBytes, upstreams };
}

function sumUpstreams(a: UpstreamStats, b: UpstreamStats): UpstreamStats {
  const numbers = addNumbers(a, b);
  const cache =
    a.cache === undefined || b.cache === undefined ? (a.cache ?? b.cache) : sumCaches(a.cache, b.cache);
  return cache === undefined ? numbers : { ...numbers, cache };
}

function sumCaches(a: CacheStats, b: CacheStats): CacheStats {
  return {
    hits: a.hits + b.hits,
    misses: a.misses + b.misses,
    shared: a.shared + b.shared,
    stale: a.stale + b.stale,
    evictions: a.evictions + b.evictions,
    entries: a.entries + b.entries,
    bytes: a.bytes + b.bytes,
  };
}
