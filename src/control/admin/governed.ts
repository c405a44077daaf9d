// The running gateway as the control plane sees it: what it is, what it counts, what may be asked of it.
// Called by cli/lifecycle.ts (composes it), control/admin/ and control/metrics/ (read it), tests (fake it). Promises: plain values and functions;
// nothing here knows HTTP, and nothing is loaded for it that the gateway had not loaded before.
import type { PlaneMemory } from '../../memory/memory.ts';
import type { Deed, Inspection } from '../../observe/inspection.ts';
import type { Log } from '../../observe/log.ts';
import type { Runtime } from '../../runtime/runtime.ts';
import type { Snapshot } from '../../snapshot.ts';
import type { UpstreamStats } from '../../upstream/upstream.ts';
import type { Settings } from '../plan.ts';
import type { Registry } from '../registry/registry.ts';
import type { ReloadOutcome } from '../reload.ts';

/** One data worker; `restarts` counts its deaths. */
export interface GovernedWorker {
  readonly index: number;
  readonly generation: number;
  readonly state: 'starting' | 'serving' | 'down' | 'ended';
  readonly restarts: number;
  readonly activeExchanges: number;
}

/** Counts of the gateway, summed over its workers, and its workers. */
export interface GovernedStats {
  readonly activeExchanges: number;
  readonly sessions: number;
  /** JavaScript heaps of the data workers. */
  readonly heapBytes: number;
  /** By server. */
  readonly upstreams: Readonly<Record<string, UpstreamStats>>;
  readonly workers: readonly GovernedWorker[];
}

/** One thing that has to be so before the gateway is ready. */
export interface ReadinessCheck {
  readonly check: string;
  readonly ok: boolean;
  readonly detail: string;
}

/** A running gateway. */
export interface Governed {
  readonly runtime: Runtime;
  readonly log: Log;
  readonly version: string;
  readonly pid: number;
  /** Of the data listener, without a path. */
  readonly url: string;
  /** Wall clock in ms. */
  readonly startedAtMs: number;
  readonly scanner: { readonly name: string; readonly kernel: string; readonly reason: string };
  /** Null: there is no file. */
  readonly configPath: string | null;
  readonly memory: PlaneMemory;
  /** What it runs by now. */
  settings(): Settings;
  /** The same with its `places`, which say where the cells of its servers and endpoints are. */
  snapshot(): Snapshot;
  /** `servers`: of these alone, sessions included; with none of them, sums over all and no server's numbers. */
  stats(servers?: readonly string[]): Promise<GovernedStats>;
  /** `servers`: what these are alone, without sessions and parked calls. */
  inspect(servers?: readonly string[]): Promise<Inspection>;
  /** Does what an operator asks; how much there was to do. */
  act(deed: Deed): Promise<number>;
  readiness(): Promise<readonly ReadinessCheck[]>;
  isDraining(): boolean;
  /** Path of the event stream (HTTP+SSE) of an endpoint. */
  ssePath(endpointPath: string): string;
  readonly registry: Registry;
  /** Reads the configuration anew; with `isTrial` it says what that would do, and nothing changes. */
  reload(isTrial: boolean): Promise<ReloadOutcome>;
  /** Ends the whole gateway as SIGTERM does. */
  drain(): void;
}
