// How large the memory of a gateway's workers is, and what their counts come to together.
// Called by fleet.ts. Promises: pure; all rings together stay within LIMITS.ringsBytesMax, however many workers there are.
import { LIMITS } from '../base/limits.ts';
import { addNumbers } from '../memory/cells.ts';
import type { MemoryShape } from '../memory/layout.ts';
import type { Snapshot } from '../snapshot.ts';
import { cellsOf } from '../upstream/spec.ts';
import type { UpstreamStats } from '../upstream/upstream.ts';
import type { DataPlaneStats } from '../worker.ts';

/** The shape of the memory that `workers` workers share over a snapshot. */
export function memoryShape(snapshot: Snapshot, workers: number): MemoryShape {
  const rings = workers * (workers - 1);
  let ringBytes: number = LIMITS.ringBytesMax;
  while (rings * ringBytes > LIMITS.ringsBytesMax) ringBytes /= 2;
  return {
    workers,
    upstreams: cellsOf(snapshot.servers),
    endpoints: snapshot.endpoints.length,
    ringBytes,
    journalRecords: LIMITS.journalRecords,
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
      upstreams[name] = sum === undefined ? stats : addNumbers(sum, stats);
    }
  }
  return { activeExchanges, sessions, heapBytes, upstreams };
}
