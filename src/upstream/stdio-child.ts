// One child process as a pipe of lines: gathers the lines of a tick into one write, reads lines, logs stderr, stops it.
// Called by stdio-shared.ts and stdio-session.ts. Promises: what waits for a child that does not read is bounded;
// onGone comes exactly once, as soon as the child can answer nothing more; onExit once, when the process has ended,
// and by then its whole group has been killed.
import { assert } from '../base/assert.ts';
import { type Edit, splicedLength, spliceInto } from '../base/bytes.ts';
import { LIMITS } from '../base/limits.ts';
import type { Log } from '../observe/log.ts';
import type { Child, Clock, Runtime } from '../runtime/runtime.ts';
import { LineReader } from './lines.ts';
import type { StdioTarget } from './spec.ts';
import { StderrLog } from './stdio-stderr.ts';

/** Where a child lives: what is needed to start one. */
export interface ChildParts {
  readonly runtime: Runtime;
  readonly target: StdioTarget;
  readonly log: Log;
}

/** Who listens to a child. */
export interface ChildEvents {
  /** One line of its stdout, not yet known to be JSON. */
  onLine(line: Uint8Array): void;
  /** It can answer nothing more: it ended, or broke the framing and was killed. `lived` in ms; `asked` when we stopped it. */
  onGone(reason: string, lived: number, asked: boolean): void;
  /** The process has ended. */
  onExit(): void;
}

interface Queued {
  readonly body: Uint8Array;
  readonly edits: readonly Edit[];
}

const LF = 10;
/** What one queued line costs besides its bytes, so that many tiny lines are bounded too. */
const LINE_COST_BYTES = 128;

/** A running child. Construct with startChild. */
export class ChildPipe {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #events: ChildEvents;
  readonly #reader: LineReader;
  readonly #stderr: StderrLog;
  readonly #startedAt: number;
  #child: Child | null = null;
  #queue: Queued[] = [];
  #queuedBytes = 0;
  /** Bytes that the runtime keeps for a full pipe. */
  #heldBytes = 0;
  #full = false;
  #flushing = false;
  #gone = false;
  #exited = false;
  #stopping = false;

  constructor(parts: ChildParts, events: ChildEvents) {
    this.#clock = parts.runtime.clock;
    this.#log = parts.log;
    this.#events = events;
    this.#startedAt = this.#clock.now();
    this.#stderr = new StderrLog(this.#clock, parts.log);
    this.#reader = new LineReader(LIMITS.messageBytesMax, {
      onLine: (line) => events.onLine(line),
      onTooLong: () => this.#broken(`it printed a line longer than ${LIMITS.messageBytesMax} bytes`),
    });
    const { command, args, cwd, env } = parts.target;
    this.#child = parts.runtime.spawn(
      { command, args, cwd, env },
      {
        onStdout: (bytes) => this.#reader.push(bytes),
        onStderr: (bytes) => this.#stderr.push(bytes),
        onDrain: () => this.#drained(),
        onExit: (code, signal) => this.#onExit(code, signal),
      },
    );
  }

  /** Process id, which is also the id of its group; 0 before it has one. */
  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** True when `bytes` more may wait for it. */
  hasRoom(bytes: number): boolean {
    const waiting = this.#queuedBytes + this.#heldBytes + this.#queue.length * LINE_COST_BYTES;
    return waiting + bytes < LIMITS.childQueueBytesMax;
  }

  /** Sends a message that is one line once the ordered edits are applied. The body must not change until then. */
  write(body: Uint8Array, edits: readonly Edit[]): void {
    if (this.#gone) return;
    this.#queue.push({ body, edits });
    this.#queuedBytes += splicedLength(body.length, edits) + 1;
    if (this.#flushing || this.#full) return;
    this.#flushing = true;
    this.#clock.soon(() => {
      this.#flushing = false;
      this.#flush();
    });
  }

  /** Ends it politely: stdin closed, then SIGTERM, then SIGKILL to its group, each after the grace given in ms. */
  stop(stopGraceMs: number = LIMITS.childStopGraceMs, killGraceMs: number = LIMITS.childKillGraceMs): void {
    if (this.#exited || this.#stopping) return;
    this.#stopping = true;
    this.#flush();
    this.#child?.closeStdin();
    this.#clock.after(stopGraceMs, () => {
      if (this.#exited) return;
      this.#child?.kill('SIGTERM');
      this.#clock.after(killGraceMs, () => this.kill());
    });
  }

  /** Ends its group at once. */
  kill(): void {
    if (!this.#exited) this.#child?.kill('SIGKILL');
  }

  #flush(): void {
    const child = this.#child;
    if (this.#gone || this.#full || child === null || this.#queue.length === 0) return;
    const bytes = new Uint8Array(this.#queuedBytes);
    let at = 0;
    for (const { body, edits } of this.#queue) {
      at = spliceInto(bytes, at, body, edits);
      bytes[at++] = LF;
    }
    assert(at === bytes.length, 'the queue knows its own bytes');
    this.#queue = [];
    this.#queuedBytes = 0;
    if (child.write(bytes)) return;
    this.#full = true;
    this.#heldBytes = bytes.length;
  }

  #drained(): void {
    this.#full = false;
    this.#heldBytes = 0;
    if (this.#stopping) return;
    this.#flush();
  }

  #broken(reason: string): void {
    this.kill();
    this.#tellGone(reason);
  }

  #onExit(code: number | null, signal: string | null): void {
    this.#exited = true;
    // What an ended leader left behind in its group would hold nothing but resources.
    this.#child?.kill('SIGKILL');
    this.#reader.finish();
    this.#stderr.finish();
    this.#tellGone(signal === null ? `it exited with code ${code}` : `it was ended by ${signal}`);
    this.#events.onExit();
  }

  #tellGone(reason: string): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#queue = [];
    this.#queuedBytes = 0;
    this.#reader.close();
    const lived = this.#clock.now() - this.#startedAt;
    if (!this.#stopping) this.#log.warn('the MCP server process ended', { pid: this.pid, reason });
    this.#events.onGone(reason, lived, this.#stopping);
  }
}
