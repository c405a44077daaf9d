// What a legacy session speaks through: a child process, or an event stream with the POSTs that belong to it.
// Implemented by stdio-child.ts (with stdio-core.ts) and sse-pipe.ts (with sse-core.ts); called by stdio-session.ts and its parts. Promises:
// messages are told line by line in the order of their arrival; onGone comes exactly once, and nothing after it.
import type { Edit } from '../base/bytes.ts';
import { GatewayError } from '../base/errors.ts';
import type { PoolCell } from '../memory/cells.ts';
import type { Log } from '../observe/log.ts';
import type { Runtime } from '../runtime/runtime.ts';
import type { Scanner } from '../scan/contract.ts';
import type { ServerSpec } from './spec.ts';
import type { Deadlines } from './stdio-deadline.ts';
import type { IdSequence } from './stdio-ids.ts';
import type { Backoff, LastWords } from './supervise.ts';

/** What a message is besides its bytes. Only of use where each message is sent by itself (HTTP). */
export interface Posting {
  /** Headers of the request that brought it: name, value, name, value …; left out: those that the pipe was opened with. */
  readonly headers: readonly string[] | undefined;
  /** What was written before goes first, and what is written later waits until this has been taken. */
  readonly ordered: boolean;
  /** The server did not take it. `unsent`: because the session is lost to it, so nothing of the message can have been executed; onGone follows. */
  refused(error: GatewayError, unsent: boolean): void;
}

/** Carries the messages of one session to its server. */
export interface MessagePipe {
  /** True when `bytes` more may wait for it. */
  hasRoom(bytes: number): boolean;
  /** Sends a message that is one line once the ordered edits are applied. The body must not change until then. */
  write(body: Uint8Array, edits: readonly Edit[], posting?: Posting): void;
  /** Ends it politely, and then by force; each after the grace given in ms. */
  stop(stopGraceMs?: number, killGraceMs?: number): void;
  /** A request was answered: the server has come to work. */
  answered?(): void;
}

/** How a pipe ended. */
export interface Gone {
  /** For the calls that the server had. */
  readonly error: GatewayError;
  /** For whoever waited until the pipe could be used. */
  readonly unready: GatewayError;
  /** How long it lived, in ms. */
  readonly livedMs: number;
  /** What it left behind, where there is such a thing. */
  readonly last?: LastWords;
}

/** The server answered on the level of HTTP, before any program of it saw the message: its status goes on to the client, with what it says about how to go on. */
export class HttpRefusal extends GatewayError {
  readonly status: number;
  /** Reply headers: lower-case name, value, name, value … */
  readonly headers: readonly string[];

  constructor(status: number, headers: readonly string[]) {
    super('GW_UPSTREAM_STREAM', `it answered ${status}`);
    this.status = status;
    this.headers = headers;
  }
}

/** Who listens to a pipe. */
export interface PipeEvents {
  /** One message of the server, not yet known to be JSON, without a line feed in it. A view: keep it freely, do not write to it. */
  onLine(line: Uint8Array): void;
  /** It can answer nothing more. */
  onGone(gone: Gone): void;
  /** It should be replaced as soon as it has no calls; `error` is for those that do not end by themselves. At most once. */
  onSpent?(error: GatewayError): void;
}

/** What the sessions of one upstream share. */
export interface SessionCore {
  readonly runtime: Runtime;
  readonly scanner: Scanner;
  readonly spec: ServerSpec;
  readonly log: Log;
  readonly cell: PoolCell;
  /** Something ended: a call, a pipe. close() listens. */
  readonly changed: () => void;
  readonly deadlines: Deadlines;
  readonly ids: IdSequence;
  /** Calls that one pipe may have in flight, and that may wait for it. */
  readonly depthMax: number;
  /** A pipe that breaks is replaced at once while a client listens, subscribed or not, and not only when it is needed for a call: networks cut what lasts. */
  readonly healsUnasked: boolean;
  /** What befalls a call whose pipe is let go of. */
  readonly letGoCode: 'GW_UPSTREAM_EXITED' | 'GW_UPSTREAM_CLOSED';
  /** How long an open session waits before it opens another pipe. */
  newBackoff(): Backoff;
  /** Opens a pipe, which may be written to at once; `headers` are those of the request that wants it. Throws GW_UPSTREAM_SPAWN. */
  open(events: PipeEvents, headers: readonly string[]): MessagePipe;
}
