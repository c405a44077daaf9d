// One child process as a pipe of lines: gathers the lines of a tick into one write, reads lines, logs stderr, stops it.
// Made by stdio-core.ts; called by stdio-keeper.ts and stdio-session.ts. Promises: what waits for a child that does not read
// is bounded; one that does not answer its first request in time is killed; onGone comes exactly once, as soon as the
// child can answer nothing more; onExit once, when the process has ended, and by then its whole group has been killed.
import { assert } from '../base/assert.ts';
import { type Edit, splicedLength, spliceInto } from '../base/bytes.ts';
import type { GatewayError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { Log } from '../observe/log.ts';
import type { Child, Clock, Runtime, TimerId } from '../runtime/runtime.ts';
import { LineReader } from './lines.ts';
import type { MessagePipe } from './message-pipe.ts';
import type { StdioTarget } from './spec.ts';
import { StderrLog, showable } from './stdio-stderr.ts';
import type { LastWords } from './supervise.ts';

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
  /** It can answer nothing more: it ended, or did what it was killed for. */
  onGone(end: ChildEnd): void;
  /** It holds more memory than it may: it should be replaced. At most once. */
  onSpent(error: GatewayError): void;
}

/** Who started a child, and counts. */
export interface ChildOwner {
  /** Told before the events' onGone(). */
  onGone(end: ChildEnd): void;
  /** The process has ended, and its group. */
  onExit(): void;
}

/** How a child ended. */
export interface ChildEnd {
  readonly last: LastWords;
  /** In ms; 0 for one that never came to work. */
  readonly livedMs: number;
  /** True when we stopped it. */
  readonly asked: boolean;
}

interface Queued {
  readonly body: Uint8Array;
  readonly edits: readonly Edit[];
}

const LF = 10;
/** What one queued line costs besides its bytes, so that many tiny lines are bounded too. */
const LINE_COST_BYTES = 128;

/** A running child. Construct with startChild. */
export class ChildPipe implements MessagePipe {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #env: StdioTarget['env'];
  readonly #reader: LineReader;
  readonly #stderr: StderrLog;
  readonly #owner: ChildOwner;
  #events: ChildEvents;
  #startedAt: number;
  /** Until it has answered its first request. */
  #startTimer: TimerId = 0;
  #hasAnswered = false;
  /** Until the next, harder step of its stop. */
  #stopTimer: TimerId = 0;
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

  constructor(parts: ChildParts, events: ChildEvents, owner: ChildOwner) {
    this.#owner = owner;
    this.#clock = parts.runtime.clock;
    this.#log = parts.log;
    this.#events = events;
    this.#startedAt = this.#clock.now();
    this.#stderr = new StderrLog(this.#clock, parts.log);
    this.#reader = new LineReader(LIMITS.messageBytesMax, {
      onLine: (line) => this.#events.onLine(line),
      onTooLong: () => this.fail(`it printed a line longer than ${LIMITS.messageBytesMax} bytes`),
    });
    const { command, args, cwd, env } = parts.target;
    this.#env = env;
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

  /** True while it can answer. */
  get alive(): boolean {
    return !this.#gone && !this.#stopping;
  }

  /** Gives a child that nobody used yet to somebody; its life counts from here. */
  adopt(events: ChildEvents): void {
    this.#events = events;
    this.#startedAt = this.#clock.now();
  }

  /** True once it has answered a request. */
  get hasAnswered(): boolean {
    return this.#hasAnswered;
  }

  /** It was asked something that every server answers at once: it is killed unless it has answered within `startMs`. */
  awaitAnswer(startMs: number): void {
    if (this.#hasAnswered || this.#startTimer !== 0) return;
    this.#startTimer = this.#clock.after(startMs, () =>
      this.fail(`it did not answer its first request within ${startMs} ms: raise startMs if it needs longer`),
    );
  }

  /** It answered a request. */
  answered(): void {
    if (this.#hasAnswered) return;
    this.#hasAnswered = true;
    this.#clock.cancel(this.#startTimer);
  }

  /** It was found to hold more memory than it may; `error` is for what is still under way when it has to end. */
  spent(error: GatewayError): void {
    if (this.alive) this.#events.onSpent(error);
  }

  /** Kills it, since it is of no use: as one that never came to work when it has answered nothing. */
  fail(reason: string): void {
    this.kill();
    this.#tellGone(reason);
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
    this.#stopTimer = this.#clock.after(stopGraceMs, () => {
      this.#child?.kill('SIGTERM');
      this.#stopTimer = this.#clock.after(killGraceMs, () => this.kill());
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

  #onExit(code: number | null, signal: string | null): void {
    this.#exited = true;
    this.#clock.cancel(this.#stopTimer);
    // What an ended leader left behind in its group would hold nothing but resources.
    this.#child?.kill('SIGKILL');
    this.#reader.finish();
    this.#stderr.finish();
    this.#tellGone(signal === null ? `it exited with code ${code}` : `it was ended by ${signal}`);
    this.#owner.onExit();
  }

  #tellGone(reason: string): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#queue = [];
    this.#queuedBytes = 0;
    this.#reader.close();
    const isTooLate = this.#startTimer !== 0 && !this.#hasAnswered;
    this.#clock.cancel(this.#startTimer);
    const livedMs = isTooLate ? 0 : this.#clock.now() - this.#startedAt;
    if (!this.#stopping) this.#log.warn('the MCP server process ended', { pid: this.pid, reason });
    const lines = this.#stderr.last;
    const shown = showable(lines.at(-1) ?? '', this.#env);
    const end = { last: { reason, lines, shown }, livedMs, asked: this.#stopping };
    this.#owner.onGone(end);
    this.#events.onGone(end);
  }
}
