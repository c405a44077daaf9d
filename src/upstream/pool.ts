// The connections of one HTTP upstream: a bounded set of slots, reused last-in first-out so that surplus ones age out, and a bounded queue.
// Called by http.ts. Promises: at most `connectionsMax` connections at once, lasting event streams apart; a call gets a connection in the order of asking or fails with
// GW_UPSTREAM_BUSY; one coarse tick, armed only while something is open or waiting, serves every deadline.

import { assert } from '../base/assert.ts';
import { GatewayError } from '../base/errors.ts';
import { LIMITS } from '../base/limits.ts';
import type { Clock, TimerId } from '../runtime/runtime.ts';
import { firstByteBoundMs } from './deadline.ts';
import { type CallHolder, CallQueue, type HttpCall, isUpstreamFailure } from './http-call.ts';
import { type ConnectionOwner, HttpConnection, type Wire } from './http-connection.ts';
import type { ServerSpec } from './spec.ts';
import type { UpstreamStats } from './upstream.ts';

/** Longest tick: deadlines are late by at most two. */
const TICK_MS_MAX = 50;
const TICK_MS_MIN = 5;

/** Event streams that last do not count against `connectionsMax`, or idle clients would keep calls out; this is their own bound. */
const LONG_LIVED_MAX = LIMITS.sessionsMax;

/** What a pool is made of. */
export interface PoolOptions {
  readonly wire: Wire;
  readonly clock: Clock;
  readonly connectionsMax: number;
  /** Starts a connection whose events go to the slot. */
  connect(connection: HttpConnection): void;
}

/** Connections and the calls that wait for one. */
export class HttpPool implements ConnectionOwner, CallHolder {
  private readonly wire: Wire;
  private readonly spec: ServerSpec;
  private readonly clock: Clock;
  private readonly connectionsMax: number;
  /**
   * Slots ever made: those in use, those free, and those whose socket is closed but for the runtime's last event. The latter may be as
   * many again, since an attempt to connect that took too long cannot be called back.
   */
  private readonly slots: HttpConnection[] = [];
  private readonly free: HttpConnection[] = [];
  /** Open and unused, the most recently used last. */
  private readonly idle: HttpConnection[] = [];
  private readonly waiting = new CallQueue();
  private readonly connectTo: (connection: HttpConnection) => void;
  private readonly tickMs: number;
  private readonly onTick = (): void => this.tick();
  private timer: TimerId = 0;
  /** Connections that are made, being made, or in use; and those of them that carry streams that last. */
  private open = 0;
  private longLived = 0;
  private connects = 0;
  private reuses = 0;
  private failures = 0;
  private closing = false;
  private whenClosed: (() => void)[] = [];

  constructor(options: PoolOptions) {
    const { wire, clock, connectionsMax } = options;
    assert(connectionsMax > 0, 'a pool has room for a connection');
    this.wire = wire;
    this.spec = wire.spec;
    this.clock = clock;
    this.connectionsMax = connectionsMax;
    this.connectTo = options.connect;
    const { connectTimeoutMs, firstByteTimeoutMs, replyIdleTimeoutMs, totalTimeoutMs } = wire.spec;
    const shortestMs = Math.min(connectTimeoutMs, firstByteTimeoutMs, replyIdleTimeoutMs, totalTimeoutMs);
    this.tickMs = Math.max(TICK_MS_MIN, Math.min(TICK_MS_MAX, Math.floor(shortestMs / 4)));
  }

  /** Gives a call a connection, or a place in the queue. Failures come after this turn. */
  start(call: HttpCall): void {
    const connection = this.idle.pop();
    if (connection !== undefined) {
      this.reuses++;
      connection.begin(call);
    } else if (this.closing) this.refuse(call, 'GW_UPSTREAM_CLOSING', '');
    else if (this.hasRoom()) this.openFor(call);
    else if (this.waiting.length >= this.spec.queueDepthMax) {
      this.refuse(
        call,
        'GW_UPSTREAM_BUSY',
        `"${this.spec.name}" has ${this.connectionsMax} connections, and ${this.waiting.length} calls wait`,
      );
    } else {
      call.holder = this;
      this.waiting.push(call);
      this.arm();
    }
  }

  stats(): UpstreamStats {
    const busy = this.slots.filter((slot) => slot.state !== 'lost' && slot.call !== null).length;
    return {
      total: this.open,
      busy,
      idle: this.idle.length,
      waiting: this.waiting.length,
      connects: this.connects,
      reuses: this.reuses,
      failures: this.failures,
      sessions: 0,
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
    if (this.open - this.longLived > this.connectionsMax) {
      connection.lose();
      return;
    }
    const call = this.waiting.shift();
    if (call !== null) {
      if (connection.served > 0) this.reuses++;
      connection.begin(call);
    } else if (this.closing) connection.lose();
    else this.idle.push(connection);
  }

  connectionLost(connection: HttpConnection): void {
    this.open--;
    const at = this.idle.lastIndexOf(connection);
    if (at >= 0) this.idle.splice(at, 1);
    this.serveWaiting();
    this.settle();
  }

  connectionQuiet(connection: HttpConnection): void {
    this.free.push(connection);
    this.serveWaiting();
  }

  callAgain(call: HttpCall): void {
    // Its old connection is gone, but a call that waited may have had the place: then this one is next.
    if (this.hasRoom()) this.openFor(call);
    else {
      call.holder = this;
      this.waiting.unshift(call);
      this.arm();
    }
  }

  callFailed(call: HttpCall, error: GatewayError): void {
    if (!call.done && isUpstreamFailure(error)) this.failures++;
    call.fail(error);
  }

  connectionLongLived(): boolean {
    if (this.longLived >= LONG_LIVED_MAX) return false;
    this.longLived++;
    this.serveWaiting();
    return true;
  }

  connectionShortLived(): void {
    this.longLived--;
  }

  connected(): void {
    this.connects++;
  }

  misbehaved(): void {
    this.failures++;
  }

  // ── the queue as a holder of calls ────────────────────────────────────────────────────────────────────────────────

  resumeCall(_call: HttpCall): void {
    // Nothing was delivered yet, so nothing is paused.
  }

  abandonCall(call: HttpCall): void {
    this.waiting.remove(call);
    this.settle();
  }

  // ── inside ────────────────────────────────────────────────────────────────────────────────────────────────────────

  private hasRoom(): boolean {
    if (this.open - this.longLived >= this.connectionsMax) return false;
    return this.free.length > 0 || this.slots.length < 2 * this.connectionsMax + this.longLived;
  }

  private openFor(call: HttpCall): void {
    let slot = this.free.pop();
    if (slot === undefined) {
      slot = new HttpConnection(this.wire, this);
      this.slots.push(slot);
    }
    this.open++;
    slot.prepare(call);
    this.arm();
    this.connectTo(slot);
  }

  private serveWaiting(): void {
    while (this.waiting.length > 0 && this.hasRoom()) {
      const call = this.waiting.shift();
      if (call !== null) this.openFor(call);
    }
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
    this.waiting.each((call) => this.sweepWaiting(call, nowMs));
    if (this.open > 0 || this.waiting.length > 0) this.arm();
  }

  private sweepWaiting(call: HttpCall, nowMs: number): void {
    if (call.startedMs === 0) call.startedMs = nowMs;
    const boundMs = firstByteBoundMs(this.spec, call.request);
    if (nowMs - call.startedMs <= boundMs) return;
    this.waiting.remove(call);
    this.callFailed(
      call,
      new GatewayError(
        'GW_UPSTREAM_BUSY',
        `no connection to "${this.spec.name}" became free within ${boundMs} ms`,
      ),
    );
    this.settle();
  }

  /** The time for closing is over. Calls of which something was sent may have been executed; the others have not. */
  private breakOff(): void {
    this.waiting.each((call) => {
      this.waiting.remove(call);
      this.callFailed(call, new GatewayError('GW_UPSTREAM_CLOSING'));
    });
    for (const slot of this.slots) if (slot.state !== 'lost') slot.breakOff();
  }

  private settle(): void {
    if (!this.closing || this.open > 0 || this.waiting.length > 0) return;
    if (this.timer !== 0) this.clock.cancel(this.timer);
    this.timer = 0;
    const callbacks = this.whenClosed;
    this.whenClosed = [];
    for (const callback of callbacks) callback();
  }
}
