// The calls of one worker that wait for a connection to an upstream, and their turn among those of all workers.
// Called by pool.ts. Promises: first come, first served within the worker; between workers a free permit goes to the call that has waited
// longest, and a worker that is stuck holds nobody up for more than a few ticks.
//
// Connections that are in use are not handed over by ticket, for each call would then pay for a new one. A worker whose own calls wait lets go
// of as many as others lack of an equal share, decided once a tick; a worker without waiting calls gives its idle ones up at once.
import type { PoolCell } from '../memory/cells.ts';
import type { Clock } from '../runtime/runtime.ts';
import { firstByteBoundMs } from './deadline.ts';
import { CallQueue, type HttpCall } from './http-call.ts';
import type { ServerSpec } from './spec.ts';

/** Ticks that a waiting call leaves a free permit to an older call of a worker that does not take it: that worker may be stuck. */
const COURTESY_TICKS = 2;

/** What turns are made of. */
export interface TurnsParts {
  readonly cell: PoolCell;
  /** Connections of all workers. */
  readonly bound: number;
  readonly clock: Pick<Clock, 'now'>;
  /** Tells another worker to look at its pool. */
  readonly nudge: (worker: number) => void;
  /** A permit is all that is missing for a connection: a worker that could not use one does not stand in the way of others. */
  readonly canOpen: () => boolean;
}

/** One worker's queue, and its side of the bargain with the others. */
export class PoolTurns {
  readonly calls = new CallQueue();
  /** Connections to let go of in favour of other workers though calls of this one wait. */
  owed = 0;
  private readonly cell: PoolCell;
  private readonly bound: number;
  private readonly clock: Pick<Clock, 'now'>;
  private readonly nudge: (worker: number) => void;
  private readonly canOpen: () => boolean;
  /** Ticks for which calls have waited though a permit was free. */
  private courtesy = 0;

  constructor(parts: TurnsParts) {
    this.cell = parts.cell;
    this.bound = parts.bound;
    this.clock = parts.clock;
    this.nudge = parts.nudge;
    this.canOpen = parts.canOpen;
  }

  /** Takes a permit for the call with this ticket (0: it has none yet), if it is its turn and one is free. */
  take(ticket: number): boolean {
    return this.canOpen() && this.cell.isNext(ticket) && this.cell.acquire(this.bound);
  }

  /** Takes a permit for a connection that is open already. */
  takeAgain(): boolean {
    return this.cell.acquire(this.bound);
  }

  /** Gives a permit back: to a call here if it is its turn (`serve`), else the worker whose turn it is hears of it. */
  giveBack(serve: () => void): void {
    const next = this.cell.release();
    serve();
    if (next >= 0) this.nudge(next);
  }

  /** Idle connections that others would have the places of. */
  get wanted(): number {
    return this.cell.wanted(this.bound);
  }

  // ── the queue ───────────────────────────────────────────────────────────────────────────────────────────────────────

  join(call: HttpCall): void {
    call.ticket = this.cell.drawTicket();
    call.queuedAtMs = this.clock.now();
    this.calls.push(call);
    this.tell();
    const worker = this.calls.length === 1 ? this.cell.idleElsewhere() : -1;
    if (worker >= 0) this.nudge(worker);
  }

  /** Back into the queue, before all others. */
  joinFirst(call: HttpCall): void {
    call.ticket = this.calls.length > 0 ? this.calls.ticket : this.cell.drawTicket();
    call.queuedAtMs = this.clock.now();
    this.calls.unshift(call);
    this.tell();
  }

  leave(call: HttpCall): void {
    this.calls.remove(call);
    this.noteWait(call);
    this.tell();
  }

  next(): HttpCall | null {
    const call = this.calls.shift();
    if (call !== null) this.noteWait(call);
    this.tell();
    return call;
  }

  private noteWait(call: HttpCall): void {
    call.request.marks?.queued(this.clock.now() - call.queuedAtMs);
  }

  private tell(): void {
    this.cell.setWaiting(this.calls.length);
    this.cell.setOldest(this.canOpen() ? this.calls.ticket : 0);
  }

  /** Takes calls out that have waited for longer than a reply may take; `expire` is told each, with its bound in ms. */
  sweep(spec: ServerSpec, nowMs: number, expire: (call: HttpCall, boundMs: number) => void): void {
    this.calls.each((call) => {
      if (call.startedMs === 0) call.startedMs = nowMs;
      const boundMs = firstByteBoundMs(spec, call.request);
      if (nowMs - call.startedMs <= boundMs) return;
      this.leave(call);
      expire(call, boundMs);
    });
  }

  /** What a tick decides anew, after the waiting calls have been served. True when a permit was taken out of turn, for the first of them. */
  tick(): boolean {
    const { calls, cell, bound } = this;
    const isWaiting = calls.length > 0;
    this.owed = isWaiting ? cell.owed(bound) : 0;
    if (isWaiting) this.tell();
    this.courtesy = isWaiting && this.canOpen() && cell.held() < bound ? this.courtesy + 1 : 0;
    return this.courtesy > COURTESY_TICKS && cell.acquire(bound);
  }
}
