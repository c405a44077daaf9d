// Keeps one process running that clients share: started on demand, ended when nobody needs it, replaced when it has grown too large.
// Called by stdio-shared.ts (modern clients) and stdio-together.ts (legacy ones). Promises: new calls go to one process at a time;
// one that is replaced finishes its calls, within a bound; a child that ends fails its calls; after stop() none is started.
import { GatewayError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { Call } from './stdio-call.ts';
import { CallTable, type TableKind } from './stdio-calls.ts';
import type { ChildEnd, ChildPipe } from './stdio-child.ts';
import type { StdioCore } from './stdio-core.ts';
import { type ChildVoice, MessageReader } from './stdio-message.ts';
import { type StartFailed, Supervisor, type Waiter } from './supervise.ts';

/** One process's time of service. */
export interface Shift {
  readonly pipe: ChildPipe;
  readonly calls: CallTable;
}

/** What a keeper's owner makes of its processes. */
export interface KeeperOwner {
  readonly kind: TableKind;
  /** Hears what a process says. */
  voiceOf(shift: Shift): ChildVoice;
  /** Makes a new process fit for calls; calls `ready` unless the process ends before. */
  prepare(shift: Shift, ready: () => void): void;
  /** False when nobody would miss the process. Calls are not meant. */
  isWanted(): boolean;
  /** A process can answer nothing more; its calls fail after this. */
  onOver(shift: Shift): void;
}

/** Keeps a process. */
export class Keeper {
  readonly #core: StdioCore;
  readonly #owner: KeeperOwner;
  readonly #supervisor: Supervisor<Shift>;
  /** Processes that may still answer: the one that serves, and those that it replaces. */
  readonly #shifts = new Set<Shift>();
  /** The one that is made fit. */
  #opening: { readonly shift: Shift; readonly failed: StartFailed } | null = null;
  #isReleased = false;

  constructor(core: StdioCore, owner: KeeperOwner) {
    this.#core = core;
    this.#owner = owner;
    const { clock } = core.runtime;
    this.#supervisor = new Supervisor(clock, core.newBackoff(), core.depthMax, (opened, failed) =>
      this.#open(opened, failed),
    );
  }

  /** The process that serves, null when none does. */
  get current(): Shift | null {
    return this.#supervisor.current;
  }

  /** Calls that clients wait for. */
  get awaited(): number {
    let count = 0;
    for (const { calls } of this.#shifts) count += calls.awaited;
    return count;
  }

  /** Calls that wait for a start. */
  get waiting(): number {
    return this.#supervisor.waiting;
  }

  /** How many of its processes have calls in flight. */
  get busy(): number {
    let count = 0;
    for (const { calls } of this.#shifts) if (calls.size > 0) count++;
    return count;
  }

  /** True when no process runs and none is waited for. */
  get isDown(): boolean {
    return this.#shifts.size === 0 && this.waiting === 0;
  }

  /** Processes that may still answer. */
  *pipes(): IterableIterator<ChildPipe> {
    for (const { pipe } of this.#shifts) yield pipe;
  }

  /** Every call in flight, with the process that it is on. */
  *calls(): IterableIterator<readonly [Call, Shift]> {
    for (const shift of this.#shifts) for (const call of shift.calls.all()) yield [call, shift];
  }

  /** Hands the process to the waiter, at once or after a start, or says why not. */
  use(waiter: Waiter<Shift>): void {
    this.#supervisor.use(waiter);
  }

  /** The waiter wants nothing any more. */
  withdraw(waiter: Waiter<Shift>): void {
    this.#supervisor.withdraw(waiter);
  }

  /** The process is not needed any more: it ends as soon as it has no calls. The next use starts another. */
  release(): void {
    const shift = this.#supervisor.current;
    this.#isReleased = shift !== null || this.#opening !== null;
    if (shift !== null && shift.calls.wanted === 0) this.dismiss(shift);
  }

  /** Takes no more calls on this process and ends it once those that it has are over; it serves at present. */
  dismiss(shift: Shift, error?: GatewayError): void {
    if (this.#supervisor.current !== shift) return;
    this.#isReleased = false;
    this.#supervisor.letGo();
    this.#endListens(shift);
    if (shift.calls.size === 0) return shift.pipe.stop();
    const told = error ?? new GatewayError('GW_UPSTREAM_EXITED', 'it was replaced');
    this.#core.deadlines.set(LIMITS.childRetireMs, () => {
      if (!this.#shifts.has(shift)) return;
      shift.calls.failAll(told);
    });
  }

  /** Ends every listen: they never end by themselves. */
  endListens(): void {
    for (const shift of this.#shifts) this.#endListens(shift);
  }

  /** Fails what is in flight, stops the processes with the graces given in ms, and starts none again. */
  stop(error: GatewayError, stopGraceMs: number, killGraceMs: number): void {
    this.#supervisor.close(error);
    for (const { pipe, calls } of this.#shifts) {
      pipe.stop(stopGraceMs, killGraceMs);
      calls.failAll(error);
    }
  }

  #endListens({ calls }: Shift): void {
    for (const call of [...calls.all()]) if (call.kind === 'listen') calls.finish(call);
  }

  // ── a process ────────────────────────────────────────────────────────────────────────────────────────────────────

  #open(opened: (shift: Shift) => void, failed: StartFailed): void {
    let shift: Shift;
    try {
      shift = this.#start();
    } catch (thrown) {
      if (!(thrown instanceof GatewayError)) throw thrown;
      this.#core.cell.bumpFailures();
      failed(thrown);
      return;
    }
    this.#shifts.add(shift);
    this.#opening = { shift, failed };
    this.#owner.prepare(shift, () => {
      this.#opening = null;
      shift.calls.usedAtMs = this.#core.runtime.clock.now();
      this.#watchIdle(shift, this.#core.keep.idleMs);
      opened(shift);
    });
  }

  #start(): Shift {
    const calls = new CallTable(this.#core, this.#owner.kind, () => this.#settled(shift));
    const shift: Shift = {
      calls,
      pipe: this.#core.start({
        onLine: (line) => reader.read(line),
        onGone: (end) => this.#gone(shift, end),
        onSpent: (error) => {
          if (this.#opening?.shift === shift) shift.pipe.fail(error.detail);
          else this.dismiss(shift, error);
        },
      }),
    };
    calls.attach(shift.pipe);
    const voice = this.#owner.voiceOf(shift);
    let hasAnswered = false;
    const reader = new MessageReader(this.#core.scanner, this.#core.log, {
      onAnswer: (line, envelope) => {
        if (!hasAnswered) this.#supervisor.succeeded();
        hasAnswered = true;
        voice.onAnswer(line, envelope);
      },
      onRequest: (line, envelope) => voice.onRequest(line, envelope),
      onNotification: (line, envelope) => voice.onNotification(line, envelope),
    });
    return shift;
  }

  #gone(shift: Shift, { last, livedMs }: ChildEnd): void {
    if (!this.#shifts.delete(shift)) return;
    this.#owner.onOver(shift);
    const opening = this.#opening;
    if (opening?.shift === shift) {
      this.#opening = null;
      opening.failed(
        new GatewayError('GW_UPSTREAM_SPAWN', `the new one was not ready yet: ${last.reason}`),
        last,
      );
    } else if (this.#supervisor.current === shift) this.#supervisor.died(livedMs, last);
    shift.calls.failAll(new GatewayError('GW_UPSTREAM_EXITED', last.reason));
    this.#core.changed();
  }

  #settled(shift: Shift): void {
    if (shift.calls.wanted > 0 || !this.#shifts.has(shift)) return;
    if (this.#supervisor.current === shift) {
      if (this.#isReleased) this.dismiss(shift);
    } else if (this.#opening?.shift !== shift && shift.calls.size === 0) shift.pipe.stop();
  }

  #watchIdle(shift: Shift, afterMs: number): void {
    const { idleMs } = this.#core.keep;
    if (idleMs === 0) return;
    this.#core.deadlines.set(afterMs, () => {
      if (this.#supervisor.current !== shift) return;
      if (shift.calls.wanted > 0 || this.#owner.isWanted()) return this.#watchIdle(shift, idleMs);
      const leftMs = shift.calls.usedAtMs + idleMs - this.#core.runtime.clock.now();
      if (leftMs > 0) return this.#watchIdle(shift, leftMs);
      this.#core.log.info('ended a process that nobody used', { pid: shift.pipe.pid });
      this.dismiss(shift);
    });
  }
}
