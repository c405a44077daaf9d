// The frozen value that the control plane builds and the data path reads: servers, endpoints, limits.
// Called by control/compile.ts (makes it), gateway.ts (hands it to workers) and every data-path room (reads it).
// Promises: plain data, so that it crosses threads as a message; frozen; an exchange keeps the one it was born with.
import type { ViewSpec } from './mcp/view.ts';
import type { LogSettings } from './observe/log.ts';
import type { LogFormat } from './observe/log-format.ts';
import type { Transport } from './runtime/runtime.ts';
import type { EndpointPolicySpec, ServerSpec } from './upstream/spec.ts';

/** One path that clients reach. */
export interface EndpointSpec {
  /** `` for /mcp, else the name behind /mcp/. */
  readonly name: string;
  readonly path: string;
  /** Indexes into Snapshot.servers, in the config's order. */
  readonly members: readonly number[];
  /** True when names carry `server__` (always with several members, or when asked for). False: one server, passed through untouched. */
  readonly prefixed: boolean;
  /** What it shows of its servers, and how their names look; left out: everything, by the rule. */
  readonly view?: ViewSpec;
  /** What is done about its calls in place of what its servers say; left out: nothing else. */
  readonly policy?: EndpointPolicySpec;
}

/** What the front admits, and its bounds. */
export interface FrontSpec {
  readonly bodyBytesMax: number;
  readonly headerCountMax: number;
  readonly headerBytesMax: number;
  readonly exchangesMax: number;
  /** Of one endpoint, and of one principal, under way at once in each worker; left out or 0: any number. */
  readonly perEndpointMax?: number;
  readonly perPrincipalMax?: number;
  /** A worker whose events are late by more takes nothing new; left out or 0: it always does. */
  readonly lagMaxMs?: number;
  /** True: replies say where the time went; left out: they do not. */
  readonly serverTiming?: boolean;
  /** Lower-case host names accepted in Host, without ports; null = any (an operator said `*`). */
  readonly allowedHosts: readonly string[] | null;
  /** Origins accepted, lower case, besides those whose host is in allowedHosts when loopback; null = any. */
  readonly allowedOrigins: readonly string[] | null;
  /** Extra mcp-param-* names to allow in CORS. */
  readonly corsHeaders: readonly string[];
  readonly sessionsMax: number;
  readonly sessionIdleMs: number;
  readonly memberTimeoutMs: number;
  /** How long a server's last list stands in for it, and elements on a page of a joined list (0: all); left out: as in base/limits.ts. */
  readonly listGraceMs?: number;
  readonly pageSize?: number;
  /** Calls of one worker that may wait for their clients' answers, and for how long. */
  readonly parkedMax: number;
  readonly parkedMs: number;
  readonly drainMs: number;
}

/** What workers count for /metrics besides what they need themselves. */
export interface MetricsSpec {
  /** Figures of each server, tool and phase. */
  readonly series: boolean;
  /** Tools that each worker counts by name; a power of two. */
  readonly tools: number;
}

/** What is logged, and how. */
export interface LogSpec extends LogSettings {
  readonly format: LogFormat;
  readonly access: 'all' | 'failures' | 'off';
  /** Share of the exchanges that get a line when they went well. */
  readonly accessShare: number;
  readonly arguments: 'none' | 'names' | 'redacted';
  /** Names of arguments whose values are hidden besides those that mean a secret anyway. */
  readonly redact: readonly string[];
}

/** Where the gateway listens; PEM texts for TLS. */
export interface ListenSpec {
  readonly transport: Transport;
  readonly host: string;
  readonly port: number;
  readonly idleTimeoutMs: number;
  readonly tls: { readonly cert: string; readonly key: string; readonly clientCa: string | null } | null;
  readonly http2: boolean;
  readonly http3: boolean;
}

/** Where some state lives: a gateway node, one of its data workers, and which of that worker's lives (1 = it never died). */
export interface Home {
  readonly node: number;
  readonly worker: number;
  readonly generation: number;
}

/** A key that seals handles: 32 secret bytes under a one-byte id. */
export interface SealKey {
  readonly id: number;
  readonly bytes: Uint8Array;
}

/** The keys of a gateway; control hands them to every worker beside the snapshot, which may be shown. Never logged. */
export interface KeyRing {
  /** Seals. */
  readonly current: SealKey;
  /** Still open what they sealed when they were current. */
  readonly older: readonly SealKey[];
}

/** Where a snapshot's servers and endpoints have their cells in the shared memory: what stays the same over a reload keeps its place. */
export interface SnapshotPlaces {
  /** By server: its own pool and breaker cell, then those of its further replicas. */
  readonly servers: readonly (readonly number[])[];
  /** By endpoint: its counters and its histogram. */
  readonly endpoints: readonly number[];
}

/** Everything the data path knows of the configuration. */
export interface Snapshot {
  /** Grows with each publication. */
  readonly epoch: number;
  /** Left out: everything in its order, as upstream/spec.ts counts cells. */
  readonly places?: SnapshotPlaces;
  readonly listen: ListenSpec;
  readonly front: FrontSpec;
  /** Left out: series of servers, none of tools. */
  readonly metrics?: MetricsSpec;
  /** Left out: no exchange gets a line. */
  readonly log?: LogSpec;
  /** Left out: nothing is traced. `share` of the traces that begin here are recorded. */
  readonly tracing?: { readonly share: number };
  readonly servers: readonly ServerSpec[];
  readonly endpoints: readonly EndpointSpec[];
}
