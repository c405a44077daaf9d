// The connections of one HTTP upstream in one worker: slots, reused last-in first-out so that surplus ones age out, and a bounded queue.
// Called by http.ts. Promises: all workers together have at most `connectionsMax` connections, lasting event streams apart; a call gets a
// connection in the order of asking or fails with GW_UPSTREAM_BUSY; one coarse tick, armed only while something is open or waiting, serves
// every deadline.
import { assert } from '../base/assert.ts';
import { GatewayError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { PoolCell } from '../memory/cells.ts';
import type { Clock, TimerId } from '../runtime/runtime.ts';
import { tickMsFor } from './deadline.ts';
import { type CallHolder, type HttpCall, isUpstreamFailure } from './http-call.ts';
import { type ConnectionOwner, HttpConnection, type Wire } from './http-connection.ts';
import { PoolTurns } from './pool-turns.ts';
import type { ServerSpec } from './spec.ts';
import type { UpstreamStats } from './upstream.ts';

/** Event streams that last do not count against `connectionsMax`, or idle clients would keep calls out; this is their own bound. */
const LONG_LIVED_MAX = LIMITS.sessionsMax;

/** What a pool is made of. */
export interface PoolOptions {
  readonly wire: Wire;
  readonly clock: Clock;
  /** Of all workers together. */
  readonly connectionsMax: number;
  /** What this worker tells the others of its connections, and where it takes permits. */
  readonly cell: PoolCell;
  /** Tells another worker to look at its pool of this upstream: its call is next, or its idle connection is wanted. */
  nudge(worker: number): void;
  /** Starts a connection whose events go to the slot. */
  connect(connection: HttpConnection): void;
}

/** Connections and the calls that wait for one. */
export class HttpPool implements ConnectionOwner, CallHolder {
  private readonly wire: Wire;
  private readonly spec: ServerSpec;
  private readonly clock: Clock;
  private readonly connectionsMax: number;
  private readonly cell: PoolCell;
  /** Who waits here, and whose turn it is among all workers. */
  private readonly turns: PoolTurns;
  /** Slots ever made: in use, free, or closed but for the runtime's last event: an attempt to connect that took too long cannot be called back. */
  private readonly slots: HttpConnection[] = [];
  private readonly free: HttpConnection[] = [];
  /** Open and unused, the most recently used last. */
  private readonly idle: HttpConnection[] = [];
  private readonly connectTo: (connection: HttpConnection) => void;
  private readonly tickMs: number;
  private readonly onTick = (): void => this.tick();
  private timer: TimerId = 0;
  /** Connections that are made, being made, or in use; and those of them that carry streams that last. */
  private open = 0;
  private longLived = 0;
  /** The connection that is just coming back from such a stream has no permit. */
  private isUnpermitted = false;
  private closing = false;
  private whenClosed: (() => void)[] = [];

  constructor(options: PoolOptions) {
    const { wire, clock, connectionsMax } = options;
    assert(connectionsMax > 0, 'a pool has room for a connection');
    this.wire = wire;
    this.spec = wire.spec;
    this.clock = clock;
    this.connectionsMax = connectionsMax;
    this.cell = options.cell;
    this.turns = new PoolTurns({
      cell: options.cell,
      bound: connectionsMax,
      clock,
      nudge: (worker) => options.nudge(worker),
      canOpen: () => this.hasSlot(),
    });
    this.connectTo = options.connect;
    this.tickMs = tickMsFor(wire.spec);
  }

  /** Gives a call a connection, or a place in the queue. Failures come after this turn. */
  start(call: HttpCall): void {
    const connection = this.idle.pop();
    if (connection !== undefined) {
      this.cell.bumpReuses();
      this.cell.setLoad(this.open, this.idle.length);
      connection.begin(call);
    } else if (this.closing) this.refuse(call, 'GW_UPSTREAM_CLOSING', '');
    else if (this.waiting === 0 && this.turns.take(0)) this.openFor(call);
    else if (this.waiting >= this.spec.queueDepthMax) {
      this.refuse(
        call,
        'GW_UPSTREAM_BUSY',
        `"${this.spec.name}" has ${this.connectionsMax} connections, and ${this.waiting} calls wait`,
      );
    } else {
      call.holder = this;
      this.turns.join(call);
      this.arm();
    }
  }

  /** Another worker says that it is this one's turn, or that it would have an idle connection's place. */
  nudged(): void {
    this.serveWaiting();
    this.giveWay();
  }

  stats(): UpstreamStats {
    const busy = this.slots.filter((slot) => slot.state !== 'lost' && slot.call !== null).length;
    return {
      ...this.cell.numbers(),
      total: this.open,
      busy,
      idle: this.idle.length,
      waiting: this.waiting,
    };
  }

  /** Running and waiting calls finish; what is not done within `withinMs` is broken off. Resolves when no connection is left. */
  close(withinMs: number): Promise<void> {
    this.closing = true;
    while (this.idle.length > 0) this.idle[this.idle.length - 1]?.lose();
    for (const slot of this.slots) if (slot.state === 'connecting' && slot.call === null) slot.lose();
    return new Promise((resolve) => {
      const timer = this.clock.after(withinMs, () => this.breakOff());
      this.whenClosed.push(() => {
        this.clock.cancel(timer);
        resolve();
      });
      this.settle();
    });
  }

  // ── what connections tell ─────────────────────────────────────────────────────────────────────────────────────────

  connectionFree(connection: HttpConnection): void {
    // While it carried a stream its place was given away.
    if (this.isUnpermitted) {
      if (!this.turns.takeAgain()) return connection.lose();
      this.isUnpermitted = false;
    }
    if (this.turns.owed > 0) {
      this.turns.owed--;
      return connection.lose();
    }
    const call = this.waiting > 0 ? this.turns.next() : null;
    if (call !== null) {
      if (connection.served > 0) this.cell.bumpReuses();
      connection.begin(call);
    } else if (this.closing || this.turns.wanted > 0) connection.lose();
    else {
      this.idle.push(connection);
      this.cell.setLoad(this.open, this.idle.length);
    }
  }

  connectionLost(connection: HttpConnection): void {
    this.open--;
    const at = this.idle.lastIndexOf(connection);
    if (at >= 0) this.idle.splice(at, 1);
    this.cell.setLoad(this.open, this.idle.length);
    if (this.isUnpermitted) this.isUnpermitted = false;
    else this.turns.giveBack(this.serveWaiting);
    this.settle();
  }

  connectionQuiet(connection: HttpConnection): void {
    this.free.push(connection);
    this.serveWaiting();
  }

  callAgain(call: HttpCall): void {
    // It is the next of this worker, and its old connection's place will be free in a moment.
    call.holder = this;
    this.turns.joinFirst(call);
    this.arm();
  }

  callFailed(call: HttpCall, error: GatewayError): void {
    if (!call.done && isUpstreamFailure(error)) this.cell.bumpFailures();
    call.fail(error);
  }

  connectionLongLived(): boolean {
    if (this.longLived >= LONG_LIVED_MAX) return false;
    this.longLived++;
    this.turns.giveBack(this.serveWaiting);
    return true;
  }

  connectionShortLived(): void {
    this.longLived--;
    // What follows at once is connectionFree() or connectionLost() of the same connection.
    this.isUnpermitted = true;
  }

  connected(): void {
    this.cell.bumpConnects();
  }

  misbehaved(): void {
    this.cell.bumpFailures();
  }

  // ── the queue as a holder of calls ────────────────────────────────────────────────────────────────────────────────

  resumeCall(_call: HttpCall): void {
    // Nothing was delivered yet, so nothing is paused.
  }

  abandonCall(call: HttpCall): void {
    this.turns.leave(call);
    this.settle();
  }

  // ── inside ────────────────────────────────────────────────────────────────────────────────────────────────────────

  private hasSlot(): boolean {
    const lostMax = Math.max(this.connectionsMax, LIMITS.connectsLostMin);
    return this.free.length > 0 || this.slots.length < this.connectionsMax + lostMax + this.longLived;
  }

  private openFor(call: HttpCall): void {
    let slot = this.free.pop();
    if (slot === undefined) {
      slot = new HttpConnection(this.wire, this);
      this.slots.push(slot);
    }
    this.open++;
    this.cell.setLoad(this.open, this.idle.length);
    slot.prepare(call);
    this.arm();
    this.connectTo(slot);
  }

  private get waiting(): number {
    return this.turns.calls.length;
  }

  private readonly serveWaiting = (): void => {
    while (this.waiting > 0 && this.turns.take(this.turns.calls.ticket)) this.openForNext();
  };

  private openForNext(): void {
    const call = this.turns.next();
    if (call !== null) this.openFor(call);
  }

  /** Closes idle connections that other workers wait for, the one that was used longest ago first. */
  private giveWay(): void {
    for (let wanted = this.turns.wanted; wanted > 0 && this.idle.length > 0; wanted--) this.idle[0]?.lose();
  }

  private refuse(call: HttpCall, code: 'GW_UPSTREAM_CLOSING' | 'GW_UPSTREAM_BUSY', detail: string): void {
    this.clock.soon(() => this.callFailed(call, new GatewayError(code, detail)));
  }

  private arm(): void {
    if (this.timer === 0) this.timer = this.clock.after(this.tickMs, this.onTick);
  }

  private tick(): void {
    this.timer = 0;
    const nowMs = this.clock.now();
    for (let i = 0; i < this.slots.length; i++) this.slots[i]?.sweep(nowMs);
    this.turns.sweep(this.spec, nowMs, this.expire);
    // Whatever no nudge told.
    this.serveWaiting();
    this.giveWay();
    if (this.turns.tick()) this.openForNext();
    if (this.open > 0 || this.waiting > 0) this.arm();
  }

  private readonly expire = (call: HttpCall, boundMs: number): void => {
    const detail = `no connection to "${this.spec.name}" became free within ${boundMs} ms`;
    this.callFailed(call, new GatewayError('GW_UPSTREAM_BUSY', detail));
    this.settle();
  };

  /** The time for closing is over. Calls of which something was sent may have been executed; the others have not. */
  private breakOff(): void {
    this.turns.calls.each((call) => {
      this.turns.leave(call);
      this.callFailed(call, new GatewayError('GW_UPSTREAM_CLOSING'));
    });
    for (const slot of this.slots) if (slot.state !== 'lost') slot.breakOff();
    // Calls may have waited for places that other workers have: then there was no connection to end.
    this.settle();
  }

  private settle(): void {
    if (!this.closing || this.open > 0 || this.waiting > 0) return;
    if (this.timer !== 0) this.clock.cancel(this.timer);
    this.timer = 0;
    const callbacks = this.whenClosed;
    this.whenClosed = [];
    for (const callback of callbacks) callback();
  }
}
