// What all sessions of one HTTP+SSE server share: the world, the server's settings, its open connections.
// Called by sse.ts (makes it) and stdio-session.ts. Promises: every connection opened through it is counted until it is gone, so that close() can wait
// for the last one.
import { assert } from '../base/assert.ts';
import { LIMITS } from '../base/limits.ts';
import { type PoolCell, soloCell } from '../memory/cells.ts';
import type { Log } from '../observe/log.ts';
import type { Runtime } from '../runtime/runtime.ts';
import type { Scanner } from '../scan/contract.ts';
import type { MessagePipe, PipeEvents, SessionCore } from './message-pipe.ts';
import type { HttpTarget, ServerSpec } from './spec.ts';
import { SsePipe } from './sse-pipe.ts';
import { Deadlines } from './stdio-deadline.ts';
import { IdSequence } from './stdio-ids.ts';
import { Backoff } from './supervise.ts';
import type { Upstream } from './upstream.ts';

/** What an HTTP+SSE upstream is made of. */
export interface SseCoreParts {
  readonly runtime: Runtime;
  readonly scanner: Scanner;
  readonly spec: ServerSpec;
  readonly log: Log;
  /** Carries the GET and the POSTs. */
  readonly http: Upstream;
  /** Counts what breaks. */
  readonly cell: PoolCell;
  /** Something ended: a call, a connection. close() listens. */
  readonly changed: () => void;
  /** Longest wait for an endpoint, in ms, as of now. */
  openMs(): number;
  /** A connection named its endpoint. */
  onEndpoint(): void;
}

/** The shared parts; one per upstream. */
export class SseCore implements SessionCore {
  readonly runtime: Runtime;
  readonly scanner: Scanner;
  readonly spec: ServerSpec;
  readonly log: Log;
  /** The pool below counts connections and their reuse; what sessions count besides is nobody's. */
  readonly cell: PoolCell = soloCell();
  readonly changed: () => void;
  readonly deadlines: Deadlines;
  readonly ids: IdSequence;
  readonly depthMax: number;
  readonly healsUnasked = true;
  readonly letGoCode = 'GW_UPSTREAM_CLOSED';
  /** Connections that are not gone yet. */
  readonly pipes = new Set<MessagePipe>();
  readonly #parts: SseCoreParts;
  readonly #target: HttpTarget;

  constructor(parts: SseCoreParts) {
    const { target } = parts.spec;
    assert(target.kind === 'http', 'an HTTP+SSE upstream has an HTTP target');
    this.runtime = parts.runtime;
    this.scanner = parts.scanner;
    this.spec = parts.spec;
    this.log = parts.log;
    this.changed = parts.changed;
    this.deadlines = new Deadlines(parts.runtime.clock);
    this.ids = new IdSequence(parts.runtime.random);
    this.depthMax = Math.max(1, Math.min(parts.spec.queueDepthMax, LIMITS.childQueueDepthMax));
    this.#parts = parts;
    this.#target = target;
  }

  /** A back-off that a call can wait for: to ask a network once more costs little, and a server that is back should be found soon. */
  newBackoff(): Backoff {
    return new Backoff(this.runtime.clock, this.runtime.random, null, LIMITS.sseBackoffLastMs);
  }

  /** Opens a connection. Never throws: failures come as its end. */
  open(events: PipeEvents, headers: readonly string[]): MessagePipe {
    const { http, cell, openMs, onEndpoint } = this.#parts;
    const { scanner, deadlines, log } = this;
    const { clock } = this.runtime;
    const parts = { http, target: this.#target, scanner, clock, deadlines, log, headers, openMs: openMs() };
    const pipe: SsePipe = new SsePipe(parts, {
      onLine: (line) => events.onLine(line),
      onEndpoint,
      onBroken: () => cell.bumpFailures(),
      onGone: (gone) => {
        this.pipes.delete(pipe);
        events.onGone(gone);
        this.changed();
      },
    });
    this.pipes.add(pipe);
    return pipe;
  }
}
