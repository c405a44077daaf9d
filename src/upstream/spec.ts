// How one MCP server is reached: the part of a snapshot that concerns a single upstream.
// Called by control/compile.ts (makes it) and the upstreams (read it). Promises: plain data, so that it crosses threads as a message.
import { LIMITS } from '../base/limits.ts';
import type { BreakerSettings } from '../memory/breaker-cell.ts';
import type { Era } from './upstream.ts';

/** TLS of a connection to a server; PEM texts, null where the default holds. */
export interface TlsClientSpec {
  readonly serverName: string | null;
  readonly ca: string | null;
  readonly cert: string | null;
  readonly key: string | null;
  readonly verify: boolean;
}

/** An MCP server reached over HTTP. */
export interface HttpTarget {
  readonly kind: 'http';
  /** `http1` is our own client on raw sockets; `fetch` is for servers that want HTTP/2 or 3. */
  readonly client: 'http1' | 'fetch';
  /** `sse` is the transport of 2024-11-05, `auto`: that is found out; left out: Streamable HTTP. */
  readonly transport?: 'auto' | 'streamable-http' | 'sse';
  readonly secure: boolean;
  readonly host: string;
  readonly port: number;
  /** Path of a Unix socket instead of host and port (Host header still from `host`), or null. */
  readonly unixPath: string | null;
  /** Path and query of the MCP endpoint. */
  readonly path: string;
  /** The URL as configured, without credentials, for messages. */
  readonly url: string;
  /** Configured headers: name, value, … lower-case names. May hold secrets: never logged. */
  readonly headers: readonly string[];
  readonly tls: TlsClientSpec;
  /** Of all workers together; with client `fetch` of each. */
  readonly connectionsMax: number;
}

/** Who shares a process of a stdio server: `auto`: clients of the modern era; `shared`: legacy sessions as well; `session`: nobody. */
export type Sharing = 'auto' | 'shared' | 'session';

/** How the processes of a stdio server are kept. */
export interface KeepSettings {
  readonly sharing: Sharing;
  /** Processes kept started for legacy sessions to come, in each worker. */
  readonly warm: number;
  /** A shared process without calls ends after this; 0 = never. */
  readonly idleMs: number;
  /** By then a new process has answered its first request. */
  readonly startMs: number;
  /** Resident bytes of a process and its group beyond which it is replaced; 0 = any. */
  readonly memoryMaxBytes: number;
}

/** How processes are kept where nothing is said. */
export const KEEP_DEFAULTS: KeepSettings = Object.freeze({
  sharing: 'auto',
  warm: 0,
  idleMs: LIMITS.childIdleMs,
  startMs: LIMITS.childStartMs,
  memoryMaxBytes: 0,
});

/** An MCP server that is a child process. */
export interface StdioTarget {
  readonly kind: 'stdio';
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string | null;
  /** The complete environment of the child. May hold secrets: never logged. */
  readonly env: Readonly<Record<string, string>>;
  readonly keep: KeepSettings;
}

/** When a request is sent again. */
export interface RetrySettings {
  /** Times that one request is sent again; 0 = never. */
  readonly max: number;
  /** Repeats per hundred requests, and so many per second besides, of each worker. */
  readonly budgetPercent: number;
  readonly perSecondMin: number;
  /** Wait before the first repeat, which doubles with each, and its bound; ± a half. */
  readonly backoffMs: number;
  readonly backoffMaxMs: number;
}

/** When a second request is sent beside one that is slow. */
export interface HedgeSettings {
  readonly enabled: boolean;
  /** Share of the tool's replies that come earlier. */
  readonly afterPercentile: number;
  readonly minMs: number;
  /** Second requests per hundred that may have one. */
  readonly budgetPercent: number;
}

/** For which tools a key is put into `_meta`: those that the configuration declares idempotent, those that their server does too, or none. */
export type KeyPolicy = 'declared' | 'all' | 'never';

/** What is configured of the tools whose names a pattern fits; what is left out is as with any other. */
export interface ToolRule {
  /** An exact name, or one with `*` (any text) and `?` (any character). */
  readonly pattern: string;
  readonly idempotent?: boolean;
  readonly timeoutMs?: number;
  readonly firstByteMs?: number;
  /** In place of RetrySettings.max. */
  readonly retries?: number;
  /** In place of HedgeSettings.enabled. */
  readonly hedge?: boolean;
}

/** What is done about calls that fail, are slow, or are too many. */
export interface PolicySpec {
  readonly retries: RetrySettings;
  readonly hedge: HedgeSettings;
  readonly idempotencyKey: KeyPolicy;
  /** Requests under way at once, of all workers; 0 = any number. */
  readonly concurrencyMax: number;
  readonly tools: readonly ToolRule[];
}

/** What holds for the calls of one endpoint in place of what its servers say; what is left out is as there. */
export interface EndpointPolicySpec {
  /** Longest time for a call, however much progress comes. */
  readonly timeoutMs?: number;
  readonly retries?: Partial<RetrySettings>;
  readonly hedge?: Partial<HedgeSettings>;
  /** Calls under way at once at all of its servers together, of all workers; the bounds of the servers hold besides. */
  readonly concurrencyMax?: number;
  readonly isCached?: boolean;
  /** Their patterns mean the server's own name, or `server__name`. */
  readonly tools?: readonly ToolRule[];
}

/** What is kept of a server's answers. */
export interface CacheSettings {
  /** True: only where an endpoint asks for it. Left out: everywhere but where one asks for nothing. */
  readonly isOptIn?: boolean;
  /** Of each worker. */
  readonly bytesMax: number;
  /** For how long an answer holds, and for whom, where the server does not say. */
  readonly defaultTtlMs: number;
  readonly defaultScope: 'public' | 'private';
  /** For how long an answer stands in for a server that is down, once it has ceased to hold. */
  readonly staleOnErrorMs: number;
  /** Tools whose results are kept, and for how long. */
  readonly tools: readonly { readonly name: string; readonly ttlMs: number }[];
}

/** Which replica a request goes to. */
export interface BalanceSettings {
  readonly policy: 'least-busy' | 'round-robin' | 'hash';
  /** With `hash`: what requests have in common that are to go to the same one: `session`, `principal` or `argument:<name>`. */
  readonly hashOn: string;
  /** Time over which the share of a replica that is back grows to its weight; 0 = at once. */
  readonly slowStartMs: number;
}

/** When a replica is left out because it does worse than its siblings. */
export interface OutlierSettings {
  /** Time between two judgements, of which each counts half as much as the next. */
  readonly windowMs: number;
  /** Requests without which a replica is not judged. */
  readonly requestsMin: number;
  /** Percentage points by which its share of failures is above theirs. */
  readonly failurePoints: number;
  /** Its median is longer than theirs by this factor, and by so many ms besides. */
  readonly latencyFactor: number;
  readonly latencyMinMs: number;
  /** Time that it is left out, which doubles each time up to the bound. */
  readonly ejectMs: number;
  readonly ejectMaxMs: number;
}

/** When replicas are asked whether they are up. */
export interface HealthSettings {
  readonly intervalMs: number;
  /** The same while one is down, or seems to be. */
  readonly downIntervalMs: number;
  readonly timeoutMs: number;
  /** Answers in a row that are missing before it is down, and that are there before it is up. */
  readonly unhealthyAfter: number;
  readonly healthyAfter: number;
}

/** What several places of one server take besides. */
export interface ReplicationSpec {
  /** By replica; 0 = nothing new. */
  readonly weights: readonly number[];
  readonly balance: BalanceSettings;
  /** Null: none is left out for doing worse. */
  readonly outliers: OutlierSettings | null;
  /** Null: none is asked. */
  readonly health: HealthSettings | null;
}

/** Where copies of some requests go, whose replies nobody gets. */
export interface MirrorSettings {
  readonly target: HttpTarget;
  /** Share of the requests that may be copied. */
  readonly percent: number;
  /** Calls of any tool, not only of those that may be called twice. */
  readonly all: boolean;
  /** Client headers that go along, lower case. */
  readonly forwardHeaders: readonly string[];
}

/** One MCP server: its name, how it is reached, and its bounds. */
export interface ServerSpec {
  readonly name: string;
  readonly target: HttpTarget | StdioTarget;
  /** Where the same server is reached as well; left out: nowhere. */
  readonly replicas?: readonly HttpTarget[];
  /** Left out: each request goes to the less busy of two, none is asked or left out. */
  readonly replication?: ReplicationSpec;
  /** Left out: nothing is copied. */
  readonly mirror?: MirrorSettings;
  /** Which era it speaks; `auto`: that is found out. */
  readonly era: 'auto' | Era;
  /** Client headers passed on besides the protocol's own, lower case. */
  readonly forwardHeaders: readonly string[];
  readonly connectTimeoutMs: number;
  readonly firstByteTimeoutMs: number;
  readonly replyIdleTimeoutMs: number;
  readonly totalTimeoutMs: number;
  readonly queueDepthMax: number;
  /** When the server is left alone for a moment; null = never. */
  readonly breaker: BreakerSettings | null;
  /** Left out or null: nothing is kept. */
  readonly cache?: CacheSettings | null;
  /** Left out: every request is sent once, and waits as the time-outs say. */
  readonly policy?: PolicySpec;
  /** The gateway is ready only with it; left out: without it as well. */
  readonly required?: true;
  /** How often an operator had it begun anew: one more makes it another server. Left out: never. */
  readonly renewals?: number;
}

/** Pool and breaker cells that servers take. */
export function cellsOf(servers: readonly ServerSpec[]): number {
  return servers.reduce((sum, { replicas }) => sum + 1 + (replicas?.length ?? 0), 0);
}

/** Where nobody says which cells are whose: the first ones are the servers' own in their order, those of further replicas follow. */
export function cellsInOrder(servers: readonly ServerSpec[]): readonly (readonly number[])[] {
  let further = servers.length;
  return servers.map(({ replicas = [] }, own) => [own, ...replicas.map(() => further++)]);
}

const placesOf = new WeakMap<readonly ServerSpec[], ReadonlyMap<string, number>>();

/** Where in a list the server of each name is; looked up once for each list. */
export function placesByName(servers: readonly ServerSpec[]): ReadonlyMap<string, number> {
  let places = placesOf.get(servers);
  if (places === undefined) {
    places = new Map(servers.map(({ name }, at) => [name, at]));
    placesOf.set(servers, places);
  }
  return places;
}

/** True when two specs say the same, so that what was made of the one serves for the other. Both are as control/compile.ts makes them. */
export function isSameServer(one: ServerSpec, other: ServerSpec): boolean {
  return one === other || JSON.stringify(one) === JSON.stringify(other);
}
