// The world, behind one contract: listener, sockets, child processes, workers, files, clock, randomness.
// Called by worker, gateway, upstream, server, control, cli; implemented by bun.ts, node.ts and sim.ts. Promises: plain functions and callbacks, no object per
// event that the runtime below would not make anyway; one contract suite (test/contract/runtime) for every implementation; times are milliseconds; nothing is thrown on purpose but GatewayError.
import type { Usage } from './usage.ts';
/** Header names in lower case → value. */
export type HeaderRecord = Readonly<Record<string, string>>;

// ── listener ────────────────────────────────────────────────────────────────────────────────────────────────────────

/** One request of a downstream client, as the listener received it. To be read until its reply is given, not after. */
export interface Inbound {
  readonly method: string;
  /** Path without the query, percent signs untouched; `.` and `..` segments are resolved by the runtime (WHATWG URL). */
  readonly path: string;
  /** What follows `?`, or ''. */
  readonly query: string;
  /** Value of a header by lower-case name; repeated lines joined by ', '; null when absent. */
  header(name: string): string | null;
  /** Every header, lower-case names. Costs more than header(): not for the common path. */
  eachHeader(visit: (name: string, value: string) => void): void;
  /** The whole body when it came with the head, else null: readBody() then. Asked for in the same turn as the handler, instead of readBody(). */
  readonly wholeBody: Uint8Array | null;
  /**
   * The whole body. Rejects with GW_SERVER_BODY_SIZE beyond the listener's limit and GW_SERVER_BODY_ABORTED when the client goes away or has not sent it whole
   * within the idle timeout. To be called at most once, and in the same turn as the handler (a late call may find the body gone).
   */
  readBody(): Promise<Uint8Array>;
  /** Called at most once if the client goes away before the reply is complete. Later registrations replace earlier ones. May
   * come up to 0.2 s late for a request that young: most calls are over before, and watching each one costs more. */
  onAbort(callback: () => void): void;
  /** Address of the peer, '' when not known. */
  readonly peer: string;
}

/** What a handler answers. A Uint8Array body goes out whole with its content-length; a stream is sent as it comes. */
export interface Reply {
  readonly status: number;
  readonly headers: HeaderRecord;
  readonly body: Uint8Array | ReplyStream | null;
}

/** A reply body that is produced over time. */
export interface ReplyStream {
  /** Called once, when the reply is taken up. The head leaves with the first bytes (an event stream's after a moment at most). */
  open(sink: ReplySink): void;
}

/** Where a streamed body goes. After end(), fail() or the client's leaving, writes are ignored. */
export interface ReplySink {
  /** Sends bytes, flushed at once. False when the client is slower than the bytes: wait for onDrain. The bytes are always taken. */
  write(bytes: Uint8Array): boolean;
  /** Completes the body properly. */
  end(): void;
  /** Breaks the connection so that the client can tell that the body is not complete. */
  fail(): void;
  /** Called each time a full sink has room again. */
  onDrain(callback: () => void): void;
}

/** Answers a request. A throw or rejection is a fault of ours and costs the client a bare 500. */
export type RequestHandler = (inbound: Inbound) => Reply | Promise<Reply>;

/** What a TLS listener shows and asks for. */
export interface TlsListenOptions {
  /** PEM texts. */
  readonly cert: string;
  readonly key: string;
  /** PEM of the CAs that client certificates must chain to; null = none asked for. */
  readonly clientCa: string | null;
}

/** What moves the bytes: uWebSockets, as it is compiled into Bun and as uWebSockets.js brings it to Node, or our own HTTP/1.1 on raw sockets, for listeners without TLS alone. */
export type Transport = 'uwebsockets' | 'sockets';

/** Where and how to listen. */
export interface ListenOptions {
  readonly transport: Transport;
  readonly host: string;
  /** 0 = any free port. */
  readonly port: number;
  readonly reusePort: boolean;
  readonly bodyBytesMax: number;
  /** Idle connection (no request under way) is closed after this; streams under way are exempt. */
  readonly idleTimeoutMs: number;
  readonly tls: TlsListenOptions | null;
  readonly http2: boolean;
  readonly http3: boolean;
}

/** A listener at work. */
export interface Listener {
  readonly host: string;
  readonly port: number;
  /** Stops accepting; running exchanges go on. Resolves when they are done. */
  drain(): Promise<void>;
  /** Closes everything at once. */
  stop(): void;
}

// ── sockets ─────────────────────────────────────────────────────────────────────────────────────────────────────────
/** How to agree on TLS with an upstream. */
export interface TlsConnectOptions {
  /** Name for SNI and for the certificate check. */
  readonly serverName: string;
  /** PEM of the CAs to trust; null = the system's. */
  readonly ca: string | null;
  /** Client certificate and key in PEM, or null. */
  readonly cert: string | null;
  readonly key: string | null;
  /** False accepts any certificate (an operator asked for it). */
  readonly verify: boolean;
}

/** Where an upstream listens. */
export type SocketAddress = { readonly host: string; readonly port: number } | { readonly unixPath: string };

/** A byte stream to an upstream. TCP_NODELAY is always set. */
export interface Socket {
  /** Takes bytes[start…end); returns how many were taken (fewer when the kernel is full: wait for onDrain), -1 when closed. */
  write(bytes: Uint8Array, start: number, end: number): number;
  /** Ends after what was taken is sent; nothing more is read. onClose follows, never before this returns. */
  end(): void;
  /** Ends at once. onClose follows, never before this returns. */
  destroy(): void;
  /** Stops and resumes reading: back-pressure towards the peer. */
  pause(): void;
  resume(): void;
}

/** One object per connection receives its events; the runtime keeps it and calls its methods. */
export interface SocketHandler {
  /** Connected (and TLS agreed and verified). */
  onOpen(socket: Socket): void;
  /** Bytes arrived; the array is the handler's to keep. */
  onData(bytes: Uint8Array): void;
  /** Room again after a short write. */
  onDrain(): void;
  /** The peer will send no more (half-close). onClose follows. */
  onEnd(): void;
  /** Last event, exactly once if onOpen came; `error` is the system's message or null. */
  onClose(error: string | null): void;
  /** Instead of onOpen when the connection could not be made. `tls` when the handshake or the certificate was the reason. */
  onConnectError(error: string, tls: boolean): void;
}

// ── child processes ─────────────────────────────────────────────────────────────────────────────────────────────────

/** A program to start. */
export interface SpawnOptions {
  readonly command: string;
  readonly args: readonly string[];
  /** Working directory; null = the gateway's. */
  readonly cwd: string | null;
  /** The complete environment of the child. */
  readonly env: Readonly<Record<string, string>>;
}

/** Receives a child's events. */
export interface ChildHandler {
  /** Bytes from stdout; the array is the handler's to keep. */
  onStdout(bytes: Uint8Array): void;
  onStderr(bytes: Uint8Array): void;
  /** stdin has room again after write() returned false. */
  onDrain(): void;
  /** Last event, exactly once: the process has ended and its output was delivered. What it left in its group is ended too. */
  onExit(code: number | null, signal: string | null): void;
}

/** A child in a process group of its own. However the gateway ends, SIGKILL included, the group is ended too. */
export interface Child {
  readonly pid: number;
  /** Sends bytes to stdin in one system call where the pipe allows. False when the pipe is full: the bytes are kept, wait for onDrain. */
  write(bytes: Uint8Array): boolean;
  closeStdin(): void;
  /** Signals the whole process group; no error when it is gone. */
  kill(signal: 'SIGTERM' | 'SIGKILL' | 'SIGINT'): void;
}

// ── workers ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Receives a worker thread's events. */
export interface WorkerHandler {
  onMessage(message: unknown): void;
  /** The thread ended; `error` is its uncaught error's text or null when it ended by itself or by terminate(). */
  onExit(error: string | null): void;
}

/**
 * One end of a line between two threads, to either of which it may be given: messages arrive at the other end in order, those that came before its
 * onMessage() with that. Nobody hears them when the other end is closed, or its thread gone. close() is for both ends.
 */
export interface Port {
  post(message: unknown): void;
  onMessage(callback: (message: unknown) => void): void;
  close(): void;
}

/** A worker thread, from outside. `ports` move to it: this side's objects are of no use afterwards. */
export interface WorkerHandle {
  post(message: unknown, ports?: readonly Port[]): void;
  terminate(): void;
}

/** The other end, inside a worker thread. `ports` came with the message, in the order in which they were given. */
export interface WorkerScope {
  post(message: unknown): void;
  onMessage(callback: (message: unknown, ports: readonly Port[]) => void): void;
}

// ── small doors ─────────────────────────────────────────────────────────────────────────────────────────────────────

/** Handle of a timer; 0 is never one. */
export type TimerId = number;

/** Time. */
export interface Clock {
  /** Monotonic milliseconds, fractions included. */
  now(): number;
  /** Milliseconds since the epoch. */
  wall(): number;
  /** Calls back once after at least `ms`. Does not keep the process alive by itself. */
  after(ms: number, callback: () => void): TimerId;
  cancel(timer: TimerId): void;
  /** Calls back once the events of this turn of the loop have been handled: the place to flush what a tick gathered. */
  soon(callback: () => void): void;
}

/** Randomness. */
export interface Random {
  /** Cryptographically strong bytes (seeded in sim). */
  bytes(count: number): Uint8Array;
  /** Uniform in [0, 1), not for secrets: jitter and choices. */
  fraction(): number;
}

/** Authenticated encryption: AES-256-GCM with 32-byte keys and 12-byte nonces, synchronous. Loaded at its first use. */
export interface Aead {
  /** Ciphertext of the plaintext's length, and 16 bytes of tag behind it. A nonce must never serve twice under one key. `bound` is authenticated, not carried. */
  seal(key: Uint8Array, nonce: Uint8Array, plain: Uint8Array, bound: Uint8Array): Uint8Array;
  /** The plaintext; null when a byte of anything differs from what was sealed. */
  open(key: Uint8Array, nonce: Uint8Array, sealed: Uint8Array, bound: Uint8Array): Uint8Array | null;
}

/** The few things done with files. */
export interface Files {
  /** Text of a file; rejects with the system's error (its `code` as usual). */
  readText(path: string): Promise<string>;
  writeText(path: string, text: string): Promise<void>;
  /** Makes a folder and those above it, for this user alone (mode 0700); one that is there stays as it is. */
  makePrivateFolder(path: string): Promise<void>;
  /** Makes a file for this user alone (mode 0600), on the disk when it resolves; rejects with EEXIST when there is one. */
  createPrivate(path: string, text: string): Promise<void>;
  /** Gives a file another name in one step, over whatever has that name. */
  rename(from: string, to: string): Promise<void>;
  /** Deletes a file; one that is gone is no error. */
  remove(path: string): Promise<void>;
  exists(path: string): Promise<boolean>;
  /** Calls back once a file has changed, was replaced, came or went, and holds still; returns what ends that. Keeps no process alive. */
  watch(path: string, onChange: () => void): () => void;
}

/** The gateway's own three streams, for `sluice stdio` and the logs. */
export interface Standard {
  /** Delivers stdin as it comes; onEnd when it closes. */
  readStdin(onBytes: (bytes: Uint8Array) => void, onEnd: () => void): void;
  /** Synchronous, so that nothing is lost when the process exits right after; waits while the reader is slow. */
  writeStdout(bytes: Uint8Array): void;
  writeStderr(bytes: Uint8Array): void;
  readonly stderrIsTerminal: boolean;
  /** True once a write has found that nobody reads stdout any more. */
  readonly stdoutIsGone: boolean;
}

/** The world. */
export interface Runtime {
  readonly name: 'bun' | 'node' | 'sim';
  readonly clock: Clock;
  readonly random: Random;
  readonly aead: Aead;
  readonly files: Files;
  readonly standard: Standard;
  /** Throws GW_RUNTIME_LISTEN when the address cannot be had. */
  listen(options: ListenOptions, handler: RequestHandler): Listener;
  connect(address: SocketAddress, tls: TlsConnectOptions | null, handler: SocketHandler): void;
  /** Throws GW_UPSTREAM_SPAWN when the program cannot be started. */
  spawn(options: SpawnOptions, handler: ChildHandler): Child;
  /** Resident bytes of process groups by their ids, what processes share counted in each; without those that are gone. Empty but on Linux. */
  groupMemory(groups: readonly number[]): Promise<ReadonlyMap<number, number>>;
  /** Starts a thread from a module's file URL. */
  startWorker(moduleUrl: string, handler: WorkerHandler): WorkerHandle;
  /** The two ends of a fresh line between threads. */
  channel(): readonly [Port, Port];
  /** Threads that can truly run at once: processors this process may use, less where a container is given a share of them; 1 at least. */
  readonly parallelism: number;
  /** Bytes of this thread's JavaScript heap, garbage that was not collected yet included. */
  heapBytes(): number;
  usage(): Usage;
  /** The scope when this code runs in a worker thread, else null. */
  readonly scope: WorkerScope | null;
}
