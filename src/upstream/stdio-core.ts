// What all parts of one stdio upstream share: the world, the server's settings, its running processes, its tallies.
// Called by stdio.ts (makes it), stdio-shared.ts, stdio-session.ts. Promises: every process started through it is
// counted until it has ended, so that close() can wait for the last one.
import { GatewayError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { PoolCell } from '../memory/cells.ts';
import type { Ledger } from '../observe/ledger.ts';
import type { Log } from '../observe/log.ts';
import type { Runtime } from '../runtime/runtime.ts';
import type { Scanner } from '../scan/contract.ts';
import type { MessagePipe, PipeEvents, SessionCore } from './message-pipe.ts';
import type { KeepSettings, ServerSpec, StdioTarget } from './spec.ts';
import { type ChildEvents, ChildPipe } from './stdio-child.ts';
import { Deadlines } from './stdio-deadline.ts';
import { IdSequence } from './stdio-ids.ts';
import { MemoryWatch } from './stdio-memory.ts';
import { WarmPool } from './stdio-warm.ts';
import { Backoff } from './supervise.ts';

/** What a stdio upstream is made of. */
export interface CoreParts {
  readonly runtime: Runtime;
  readonly scanner: Scanner;
  readonly spec: ServerSpec;
  readonly target: StdioTarget;
  readonly log: Log;
  /** What this worker tells the others of its processes. */
  readonly cell: PoolCell;
  /** Hears why processes end unasked; left out: nobody looks. */
  readonly ledger?: Ledger | undefined;
  /** Something ended: a call, a process. close() listens. */
  readonly changed: () => void;
  /** How many processes may be kept for sessions to come. */
  warmRoom(): number;
}

/** The shared parts; one per upstream. */
export class StdioCore implements SessionCore {
  readonly runtime: Runtime;
  readonly scanner: Scanner;
  readonly spec: ServerSpec;
  readonly log: Log;
  readonly cell: PoolCell;
  readonly changed: () => void;
  readonly deadlines: Deadlines;
  readonly ids: IdSequence;
  /** Calls that one child may have in flight, and that may wait for its start. */
  readonly depthMax: number;
  /** Processes that have not ended yet. */
  readonly pipes = new Set<ChildPipe>();
  readonly healsUnasked = false;
  readonly letGoCode = 'GW_UPSTREAM_EXITED';
  readonly keep: KeepSettings;
  /** Processes for sessions to come. */
  readonly warm: WarmPool;
  readonly #target: StdioTarget;
  readonly #ledger: Ledger | undefined;
  readonly #memory: MemoryWatch;

  constructor(parts: CoreParts) {
    this.runtime = parts.runtime;
    this.scanner = parts.scanner;
    this.spec = parts.spec;
    this.#target = parts.target;
    this.#ledger = parts.ledger;
    this.log = parts.log;
    this.cell = parts.cell;
    this.changed = parts.changed;
    this.deadlines = new Deadlines(parts.runtime.clock);
    this.ids = new IdSequence(parts.runtime.random);
    this.depthMax = Math.max(1, Math.min(parts.spec.queueDepthMax, LIMITS.childQueueDepthMax));
    this.keep = parts.target.keep;
    const { clock } = parts.runtime;
    this.#memory = new MemoryWatch(parts.runtime, this.keep.memoryMaxBytes, LIMITS.childMemoryCheckMs);
    this.warm = new WarmPool({
      clock,
      backoff: this.newBackoff(),
      // Sessions that share a process have no use for others.
      count: this.keep.sharing === 'shared' ? 0 : this.keep.warm,
      room: () => parts.warmRoom(),
      start: (events) => this.start(events),
    });
  }

  /** A back-off that tells the log of crash loops. */
  newBackoff(): Backoff {
    return new Backoff(this.runtime.clock, this.runtime.random, this.log);
  }

  /** A process for a session, its own: a warm one when there is one. Throws GW_UPSTREAM_SPAWN. */
  open(events: PipeEvents): MessagePipe {
    const own: ChildEvents = {
      onLine: (line) => events.onLine(line),
      onGone: ({ last, livedMs }) =>
        events.onGone({
          error: new GatewayError('GW_UPSTREAM_EXITED', last.reason),
          unready: new GatewayError('GW_UPSTREAM_SPAWN', `the new one was not ready yet: ${last.reason}`),
          livedMs,
          last,
        }),
      onSpent: (error) => events.onSpent?.(error),
    };
    const pipe = this.warm.take(own) ?? this.start(own);
    // The first thing that a session asks is initialize.
    pipe.awaitAnswer(this.keep.startMs);
    return pipe;
  }

  /** Starts a process. Throws GW_UPSTREAM_SPAWN. */
  start(events: ChildEvents): ChildPipe {
    const parts = { runtime: this.runtime, target: this.#target, log: this.log };
    const pipe: ChildPipe = new ChildPipe(parts, events, {
      onGone: ({ asked, last: { reason, shown } }) => {
        if (asked) return;
        this.cell.bumpFailures();
        const words = shown === '' ? '' : `; its last words: ${JSON.stringify(shown)}`;
        this.#ledger?.fault('GW_UPSTREAM_EXITED', reason + words);
      },
      onExit: () => {
        this.pipes.delete(pipe);
        this.changed();
      },
    });
    this.pipes.add(pipe);
    this.cell.bumpConnects();
    this.#memory.add(pipe, (bytes) => this.#overMemory(pipe, bytes));
    return pipe;
  }

  #overMemory(pipe: ChildPipe, bytes: number): void {
    const { memoryMaxBytes } = this.keep;
    this.log.warn('a process of the MCP server holds too much memory, and is replaced', {
      pid: pipe.pid,
      bytes,
      memoryMaxBytes,
    });
    this.cell.bumpFailures();
    const detail = `it was replaced, since it held ${bytes} bytes of memory, more than memoryMaxBytes (${memoryMaxBytes})`;
    this.#ledger?.fault('GW_UPSTREAM_EXITED', detail);
    pipe.spent(new GatewayError('GW_UPSTREAM_EXITED', detail));
  }
}
