// What a running data plane tells of itself when somebody looks: sessions, parked calls, servers; and what may be asked of it besides serving.
// Called by worker/ (makes it), gateway/ (joins what the workers say), control/ (shows it). Promises: plain data, so that it crosses threads as a message; nothing
// in it serves as a credential: ids are names that the inspector gives, errors carry no values of requests.
import type { ErrorCode } from '../base/errors.ts';

/**
 * Who holds a legacy session: an endpoint that joins servers, the bridge for one server (for legacy clients, or at the server for modern ones), the transport
 * to a process, or an HTTP+SSE connection (a client's, or one to a server). A session that passes through to a server behind HTTP is that server's alone.
 */
export type SessionKind = 'joined' | 'bridged' | 'stdio' | 'sse';

/** One legacy session that lives in this gateway. */
export interface SessionView {
  /** Names it here for as long as it lives, opens nothing. */
  readonly id: string;
  readonly kind: SessionKind;
  readonly worker: number;
  /** Path that its client came by; '' where it is not known. */
  readonly endpoint: string;
  readonly servers: readonly string[];
  /** Wall clock in ms; null where it is not known. */
  readonly startedAtMs: number | null;
  readonly lastUsedAtMs: number | null;
  /** Exchanges under way in it. */
  readonly running: number;
}

/** One call that waits for its client's answers. */
export interface ParkedView {
  /** As SessionView.id. */
  readonly id: string;
  readonly worker: number;
  readonly server: string;
  readonly endpoint: string;
  readonly method: string;
  /** What its server asked: elicitation/create, sampling/createMessage, roots/list. */
  readonly questions: readonly string[];
  /** Wall clock in ms. */
  readonly parkedAtMs: number;
  readonly expiresAtMs: number;
}

/** One child process. */
export interface ChildView {
  readonly worker: number;
  readonly pid: number;
  readonly sharing: 'shared' | 'session';
  /** Resident bytes of its process group; null where they cannot be told. */
  readonly rssBytes: number | null;
}

/** What failed: a row of the error table, or a status with which the server itself said that it cannot. */
export type FaultCode = ErrorCode | `HTTP_${number}`;

/** A failure of a server that somebody should see. */
export interface ServerFault {
  /** Wall clock in ms; of the last time. */
  readonly atMs: number;
  readonly code: FaultCode;
  readonly detail: string;
  /** How often it was the same. */
  readonly times: number;
}

/** What one worker, or all of them, know of a server besides what the shared memory holds. */
export interface ServerInspection {
  readonly name: string;
  readonly era: 'legacy' | 'modern' | 'unknown';
  readonly sessions: number;
  readonly children: readonly ChildView[];
  /** The last few, newest first. */
  readonly faults: readonly ServerFault[];
}

/** What a data plane tells of itself. */
export interface Inspection {
  readonly sessions: readonly SessionView[];
  readonly parked: readonly ParkedView[];
  readonly servers: readonly ServerInspection[];
}

/** What an operator may ask of the data plane besides a reload; each says how much it found to do. */
export type Deed =
  | { readonly kind: 'purge-cache' /** null: of all. */; readonly server: string | null }
  | { readonly kind: 'end-session'; readonly id: string }
  | { readonly kind: 'end-parked'; readonly id: string }
  /** Ends its connections and processes as a reload that changes it would: what runs may finish, what comes meets a fresh one. */
  | { readonly kind: 'restart-server'; readonly server: string };
