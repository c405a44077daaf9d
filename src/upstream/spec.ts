// How one MCP server is reached: the part of a snapshot that concerns a single upstream.
// Called by control/compile.ts (makes it) and the upstreams (read it). Promises: plain data, so that it crosses threads as a message.
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

/** An MCP server that is a child process. */
export interface StdioTarget {
  readonly kind: 'stdio';
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string | null;
  /** The complete environment of the child. May hold secrets: never logged. */
  readonly env: Readonly<Record<string, string>>;
}

/** One MCP server: its name, how it is reached, and its bounds. */
export interface ServerSpec {
  readonly name: string;
  readonly target: HttpTarget | StdioTarget;
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
