// What an upstream is: one MCP server, whatever its transport, with a Streamable-HTTP face.
// Called by proxy; implemented by http.ts, fetch.ts, stdio.ts and fake.ts. Promises: one suite (test/contract/upstream)
// runs on all of them; every call ends in exactly one onEnd or onFail, and what it held is back by then.
import type { Edit } from '../base/bytes.ts';
import type { GatewayError } from '../base/errors.ts';
import type { CallMarks } from '../observe/timing.ts';

/** Protocol era: with the initialize handshake (legacy), or with per-request metadata (modern). */
export type Era = 'legacy' | 'modern';

/** Whom a request is made for: what is kept for it between requests is bound to both. */
export interface ClientKey {
  /** Who the client is; '' for everyone where nobody is asked. */
  readonly principal: string;
  /** Path of the endpoint that it came by. */
  readonly endpoint: string;
}

/** For what the gateway asks on nobody's behalf. */
export const NO_CLIENT: ClientKey = Object.freeze({ principal: '', endpoint: '' });

/**
 * One HTTP-shaped request to an MCP server. POST carries one JSON-RPC message (valid JSON and UTF-8 throughout, already scanned); GET opens the session's
 * event stream; DELETE ends the session.
 */
export interface UpstreamRequest {
  readonly verb: 'POST' | 'GET' | 'DELETE';
  /** Path and query to ask for instead of the target's, for a server that names one of its own; over HTTP only. */
  readonly path?: string;
  readonly era: Era;
  /** The message as the client sent it, EMPTY for GET and DELETE. Never written to. */
  readonly body: Uint8Array;
  /** ENVELOPE numbers over `body`, null for GET, DELETE and batches. Valid until the call ends: the upstream may keep it. */
  readonly envelope: Int32Array | null;
  /** Replacements to apply to the body (names, URIs …), ordered, none overlapping; a transport may add its own (ids on stdio). */
  readonly edits: readonly Edit[];
  /** Headers to send besides the transport's own: name, value, name, value …; names in lower case, values already checked for CR, LF and NUL. */
  readonly headers: readonly string[];
  /** Mcp-Session-Id to present (legacy), or null. */
  readonly session: string | null;
  /** Correlation id, for logs. */
  readonly exchangeId: string;
  /** Who the client is ('' where nobody is asked) and the path it came by: nothing that a server is asked for one client may serve another. */
  readonly client: ClientKey;
  /** True when its client has no headers to mirror the body in, since it speaks to the gateway over stdio or HTTP+SSE. Absent: it has. */
  readonly isUnmirrored?: boolean;
  /** May be 0: then the server's configured time-outs hold. Otherwise an earlier bound on the first byte, in ms. */
  readonly timeoutMs: number;
  /** A longer reply is of no use: whoever collects one whole gives it up as soon as that is known. Absent: as long as any may be. */
  readonly replyBytesMax?: number;
  /** True: it is never sent again, whatever the server's own configuration says of repeats. Absent: as that says. */
  readonly isSentOnce?: boolean;
  /** True for what the gateway wants for itself and can do without: it starts no process, and keeps none from being ended as unused. Absent: a client wants it. */
  readonly isBackground?: boolean;
  /** When the client's request came in, as the clock's now() told it; absent: when it was sent here. */
  readonly startedAtMs?: number;
  /** Hears when it was sent, what it waited for, and when the reply began. Absent: nobody asks. Whoever makes a request of another one hands it on. */
  readonly marks?: CallMarks | undefined;
  /** Numbers of the replicas that this very request was sent to so far: who chooses among replicas adds to them, and avoids them. Absent: it is sent once. */
  readonly tried?: number[];
}

/** Head of a reply. */
export interface ReplyHead {
  readonly status: number;
  readonly media: 'json' | 'event-stream' | 'none' | 'other';
  /** Bytes of the body when known, else -1. */
  readonly contentLength: number;
  /** True when the whole body follows before this turn ends, as at most one onData and then onEnd. */
  readonly whole: boolean;
  /** Mcp-Session-Id of the reply, or null. */
  readonly sessionId: string | null;
  /** True when that session lives in this worker, and no other can serve it; absent: as the transport has it. */
  readonly homed?: boolean;
  /** A header of the reply by lower-case name, or null; usable only inside onHead. */
  header(name: string): string | null;
}

/** Who receives a reply, event by event. */
export interface UpstreamSink {
  /** At most once, before any data. */
  onHead(head: ReplyHead): void;
  /** Body bytes, transfer coding removed; the sink may keep the array. False asks the upstream to pause until resume(). */
  onData(bytes: Uint8Array): boolean;
  /** The reply is complete. Last event. */
  onEnd(): void;
  /** The reply failed, before or after the head. Last event. The error's row says whether anything can have been executed. */
  onFail(error: GatewayError): void;
}

/** The caller's hold on a running exchange. */
export interface UpstreamCall {
  /** Goes on after onData returned false. */
  resume(): void;
  /**
   * The client is gone, or wants no more. No event follows. HTTP: the connection is closed. stdio: a modern request is cancelled at the child
   * (notifications/cancelled), a legacy one goes on and its reply is dropped.
   */
  abort(): void;
  /** The call may last for minutes from now on, as a stream that waits does: its place among those that run is given to others. Absent: nothing is bounded. */
  outlast?(): void;
}

/** What a gauge or a test may want to know; all counts. */
export interface UpstreamStats {
  /** Connections or children alive. */
  readonly total: number;
  readonly busy: number;
  readonly idle: number;
  /** Exchanges that wait for a connection. */
  readonly waiting: number;
  readonly connects: number;
  readonly reuses: number;
  readonly failures: number;
  /** Legacy sessions held on behalf of clients (stdio). */
  readonly sessions: number;
  /** Of the answers that are kept; absent: none are. */
  readonly cache?: CacheStats;
}

/** What a cache of answers did; counts. */
export interface CacheStats {
  /** Requests answered from it, and those that were not though they could have been. */
  readonly hits: number;
  readonly misses: number;
  /** Requests that waited for the answer to another's. */
  readonly shared: number;
  /** Requests answered with what no longer held, since the server was down. */
  readonly stale: number;
  /** Answers that made room for others. */
  readonly evictions: number;
  readonly entries: number;
  readonly bytes: number;
}

/** One MCP server. */
export interface Upstream {
  readonly name: string;
  readonly transport: 'http' | 'fetch' | 'stdio' | 'fake';
  /** Starts one exchange. Never throws: failures come to the sink, never before send() has returned. */
  send(request: UpstreamRequest, sink: UpstreamSink): UpstreamCall;
  stats(): UpstreamStats;
  /**
   * True when all messages of a legacy session come over one pipe and ids alone tell its calls apart (stdio, HTTP+SSE); absent: false. Not certain before
   * the server has answered an initialize.
   */
  isPiped?(): boolean;
  /** Called every few seconds: what has been idle for too long ends. */
  sweep?(): void;
  /** Another worker says that it is this one's turn to connect, or that it waits for a connection that is idle here. */
  nudged?(): void;
  /** No modern request will follow soon, so that a process that is kept for them is of no use: it ends once it has no calls. A later one starts it again. */
  releaseShared?(): void;
  /** Lets running calls finish, takes no new ones, then closes; resolves when nothing is left, children included. `withinMs` bounds it. */
  close(withinMs: number): Promise<void>;
}
