// What all parts of one stdio upstream share: the world, the server's settings, its running processes, its tallies.
// Called by stdio.ts (makes it), stdio-shared.ts, stdio-session.ts. Promises: every process started through it is
// counted until it has ended, so that close() can wait for the last one.
import { LIMITS } from '../base/limits.ts';
import type { PoolCell } from '../memory/cells.ts';
import type { Log } from '../observe/log.ts';
import type { Runtime } from '../runtime/runtime.ts';
import type { Scanner } from '../scan/contract.ts';
import type { ServerSpec, StdioTarget } from './spec.ts';
import { type ChildEvents, ChildPipe } from './stdio-child.ts';
import { Deadlines } from './stdio-deadline.ts';
import { IdSequence } from './stdio-ids.ts';

/** What a stdio upstream is made of. */
export interface CoreParts {
  readonly runtime: Runtime;
  readonly scanner: Scanner;
  readonly spec: ServerSpec;
  readonly target: StdioTarget;
  readonly log: Log;
  /** What this worker tells the others of its processes. */
  readonly cell: PoolCell;
  /** Something ended: a call, a process. close() listens. */
  readonly changed: () => void;
}

/** The shared parts; one per upstream. */
export class StdioCore {
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
  readonly #target: StdioTarget;

  constructor(parts: CoreParts) {
    this.runtime = parts.runtime;
    this.scanner = parts.scanner;
    this.spec = parts.spec;
    this.#target = parts.target;
    this.log = parts.log;
    this.cell = parts.cell;
    this.changed = parts.changed;
    this.deadlines = new Deadlines(parts.runtime.clock);
    this.ids = new IdSequence(parts.runtime.random);
    this.depthMax = Math.max(1, Math.min(parts.spec.queueDepthMax, LIMITS.childQueueDepthMax));
  }

  /** Starts a process. Throws GW_UPSTREAM_SPAWN. */
  start(events: Omit<ChildEvents, 'onExit'>): ChildPipe {
    const parts = { runtime: this.runtime, target: this.#target, log: this.log };
    const pipe: ChildPipe = new ChildPipe(parts, {
      onLine: (line) => events.onLine(line),
      onGone: (reason, lived, asked) => {
        if (!asked) this.cell.bumpFailures();
        events.onGone(reason, lived, asked);
      },
      onExit: () => {
        this.pipes.delete(pipe);
        this.changed();
      },
    });
    this.pipes.add(pipe);
    this.cell.bumpConnects();
    return pipe;
  }
}
