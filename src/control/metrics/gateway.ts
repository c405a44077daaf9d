// Gathers what the gateway is and takes: workers, rings, memory, processor.
// Called by text.ts. Promises: reads what is there, and asks no worker that has not answered already.
import { RING, ringPlace, WORD_BYTES } from '../../memory/layout.ts';
import type { PlaneMemory } from '../../memory/memory.ts';
import type { Governed, GovernedStats } from '../admin/governed.ts';
import type { Samples } from './samples.ts';

/** What of a running gateway is shown. */
export type Measured = Pick<
  Governed,
  | 'memory'
  | 'runtime'
  | 'version'
  | 'scanner'
  | 'startedAtMs'
  | 'snapshot'
  | 'stats'
  | 'inspect'
  | 'readiness'
  | 'isDraining'
>;

const OPEN_FILES = /^Max open files\s+(\d+)/m;

/** Counts that the workers keep of themselves. */
export function addWorkers(samples: Samples, stats: GovernedStats): void {
  samples.add('sluice_exchanges_active', [], stats.activeExchanges);
  samples.add('sluice_sessions', [], stats.sessions);
  samples.add('sluice_workers_heap_bytes', [], stats.heapBytes);
  for (const { index, state, restarts, activeExchanges } of stats.workers) {
    const worker = [String(index)];
    samples.add('sluice_worker_up', worker, state === 'serving' ? 1 : 0);
    samples.add('sluice_worker_restarts_total', worker, restarts);
    samples.add('sluice_worker_exchanges_active', worker, activeExchanges);
  }
}

/** The rings by which workers reach each other, and the memory that they lie in. */
export function addMemory(samples: Samples, memory: PlaneMemory): void {
  const { workers, bytes } = memory.plan;
  samples.add('sluice_memory_shared_bytes', [], bytes);
  for (let to = 0; to < workers && workers > 1; to++) {
    const fills = Array.from({ length: workers }, (_, from) => (from === to ? 0 : fillOf(memory, from, to)));
    samples.add('sluice_ring_fill_ratio', [String(to)], Math.max(...fills));
  }
}

function fillOf({ words, plan }: PlaneMemory, from: number, to: number): number {
  const at = ringPlace(plan, from, to) / WORD_BYTES;
  const head = Atomics.load(words, at + RING.head);
  // Both wrap; the consumer may have gone on since.
  const bytes = (Atomics.load(words, at + RING.tail) - head) >>> 0;
  return Math.min(1, bytes / plan.ringBytes);
}

/** The process and what runs in it. */
export async function addProcess(samples: Samples, governed: Measured): Promise<void> {
  const { runtime, version, scanner, startedAtMs } = governed;
  const { rssBytes, cpuUserMs, cpuSystemMs, openFiles } = runtime.usage();
  samples.add('process_cpu_seconds_total', [], (cpuUserMs + cpuSystemMs) / 1000);
  samples.add('process_resident_memory_bytes', [], rssBytes);
  samples.add('process_start_time_seconds', [], startedAtMs / 1000);
  if (openFiles !== null) samples.add('process_open_fds', [], openFiles);
  const limits = await runtime.files.readText('/proc/self/limits').catch(() => '');
  const most = OPEN_FILES.exec(limits)?.[1];
  if (most !== undefined) samples.add('process_max_fds', [], Number(most));
  samples.add('sluice_snapshot_epoch', [], governed.snapshot().epoch);
  const isDraining = governed.isDraining();
  const checks = await governed.readiness();
  samples.add('sluice_ready', [], !isDraining && checks.every(({ ok }) => ok) ? 1 : 0);
  samples.add('sluice_draining', [], isDraining ? 1 : 0);
  samples.add('sluice_build_info', [version, runtime.name, scanner.name, scanner.kernel], 1);
}
