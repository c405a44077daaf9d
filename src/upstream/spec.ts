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

/** One MCP server: its name, how it is reached, and its bounds. */
export interface ServerSpec {
  readonly name: string;
  readonly target: HttpTarget | StdioTarget;
  /** Where the same server is reached as well; left out: nowhere. */
  readonly replicas?: readonly HttpTarget[];
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
}

/** Pool and breaker cells that servers take: the first ones are the servers' own in their order, those of further replicas follow. */
export function cellsOf(servers: readonly ServerSpec[]): number {
  return servers.reduce((sum, { replicas }) => sum + 1 + (replicas?.length ?? 0), 0);
}
