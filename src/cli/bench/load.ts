// The load itself: closed (each client calls again as soon as it is answered) or open (calls are due at fixed times, whoever is free makes them).
// Called by bench.ts. Promises: bounded by time and by count; only calls that begin after the warm-up and end before the time is over are
// counted; in the open model latency runs from the moment a call was due, so that a stall of the server is not hidden by our own waiting.
import { Histogram } from '../../memory/histogram.ts';
import type { Caller } from './caller.ts';
import { requestOf } from './caller.ts';
import { byteLength, FIRST_ID } from './message.ts';

/** How to load. */
export interface LoadPlan {
  readonly warmUpMs: number;
  readonly durationMs: number;
  /** Calls after the warm-up; the load ends when they are made, or when the time is over. */
  readonly countMax: number;
  /** Calls per second that are due (open model), or null (closed model). */
  readonly ratePerSecond: number | null;
  readonly timeoutMs: number;
  /** Told when the counting begins and when it ends. */
  readonly onPhase: (phase: 'counting' | 'counted') => void;
  /** What follows a call before the next one, outside the measurement: ends the session that an initialize has opened. */
  readonly afterEach: ((caller: Caller, next: (caller: Caller) => void) => void) | null;
}

/** What came of it. */
export interface Tally {
  readonly latency: Histogram;
  /** How late we were ourselves in sending calls that were due while a client was free (open model). */
  readonly lateness: Histogram;
  /** Calls that were not answered well, by what was wrong. */
  readonly errors: Map<string, number>;
  /** Time that the calls were counted in. */
  readonly seconds: number;
  /** Calls that were under way when the time was over. */
  readonly unanswered: number;
  /** Calls that were due and not even sent (open model). */
  readonly unsent: number;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  /** CPU time of this process as a share of one core. */
  readonly ownCpuShare: number;
}

const SWEEP_MS = 100;
/** An event stream that stays open after its answer holds its client up for so long. */
const LINGER_MS = 500;
/** After a failure a client waits, lest a server that is gone be hammered. */
const PAUSE_MS = 10;

/** One load on some clients. */
export class Load {
  readonly #plan: LoadPlan;
  readonly #callers: readonly Caller[];
  readonly #now: () => number;
  readonly #latency = new Histogram();
  readonly #lateness = new Histogram();
  readonly #errors = new Map<string, number>();
  readonly #free: Caller[] = [];
  readonly #onDone = (caller: Caller): void => this.#done(caller);
  readonly #onFree = (caller: Caller): void => this.#next(caller);
  #nextId = FIRST_ID;
  #countFromMs = Number.POSITIVE_INFINITY;
  #endMs = Number.POSITIVE_INFINITY;
  #firstDueMs = 0;
  #due = 0;
  #counted = 0;
  #bytesSent = 0;
  #bytesReceived = 0;
  #over = false;
  #cpuBefore = process.cpuUsage();
  #finish: (tally: Tally) => void = () => undefined;
  #sweeper: ReturnType<typeof setInterval> | undefined;

  constructor(plan: LoadPlan, callers: readonly Caller[], now: () => number) {
    this.#plan = plan;
    this.#callers = callers;
    this.#now = now;
  }

  /** Runs to the end. Call once. */
  run(): Promise<Tally> {
    const startMs = this.#now();
    this.#countFromMs = startMs + this.#plan.warmUpMs;
    this.#endMs = this.#countFromMs + this.#plan.durationMs;
    this.#firstDueMs = startMs;
    this.#sweeper = setInterval(() => this.#sweep(), SWEEP_MS);
    setTimeout(() => {
      this.#cpuBefore = process.cpuUsage();
      if (!this.#over) this.#plan.onPhase('counting');
    }, this.#plan.warmUpMs).unref();
    return new Promise((resolve) => {
      this.#finish = resolve;
      this.#free.push(...this.#callers);
      if (this.#plan.ratePerSecond === null)
        for (const caller of this.#free.splice(0)) this.#call(caller, this.#now());
      else this.#beat();
    });
  }

  /** Ends the load now; what was counted so far is the result. */
  stop(): void {
    if (this.#over) return;
    this.#over = true;
    clearInterval(this.#sweeper);
    this.#plan.onPhase('counted');
    const endMs = Math.min(this.#now(), this.#endMs);
    const seconds = Math.max(0, endMs - this.#countFromMs) / 1000;
    const cpu = process.cpuUsage(this.#cpuBefore);
    this.#finish({
      latency: this.#latency,
      lateness: this.#lateness,
      errors: this.#errors,
      seconds,
      unanswered: this.#callers.filter((caller) => caller.busy && caller.answeredMs === 0).length,
      unsent: this.#unsent(endMs),
      bytesSent: this.#bytesSent,
      bytesReceived: this.#bytesReceived,
      ownCpuShare: seconds > 0 ? (cpu.user + cpu.system) / 1e6 / seconds : 0,
    });
  }

  #unsent(endMs: number): number {
    const rate = this.#plan.ratePerSecond;
    return rate === null
      ? 0
      : Math.max(0, Math.floor(((endMs - this.#firstDueMs) * rate) / 1000) - this.#due);
  }

  #call(caller: Caller, intendedMs: number): void {
    const request = requestOf(caller);
    caller.send(request, this.#nextId++, intendedMs, this.#onDone);
  }

  #done(caller: Caller): void {
    if (this.#over) return;
    const { fault } = caller.reader;
    const atMs = fault === null ? caller.answeredMs : this.#now();
    if (caller.intendedMs >= this.#countFromMs && atMs <= this.#endMs) this.#count(caller, atMs);
    if (this.#counted >= this.#plan.countMax || atMs > this.#endMs) {
      this.stop();
      return;
    }
    if (fault !== null) setTimeout(this.#onFree, PAUSE_MS, caller);
    else if (this.#plan.afterEach !== null) this.#plan.afterEach(caller, this.#onFree);
    else this.#next(caller);
  }

  #count(caller: Caller, atMs: number): void {
    this.#counted++;
    const { fault, bytes } = caller.reader;
    this.#bytesSent += byteLength(requestOf(caller));
    this.#bytesReceived += bytes;
    if (fault === null) this.#latency.record((atMs - caller.intendedMs) * 1000);
    else this.#errors.set(fault, (this.#errors.get(fault) ?? 0) + 1);
  }

  #next(caller: Caller): void {
    if (this.#over) return;
    if (this.#plan.ratePerSecond === null) this.#call(caller, this.#now());
    else {
      this.#free.push(caller);
      this.#serveDue(false);
    }
  }

  // ── the open model ──────────────────────────────────────────────────────────────────────────────────────────────

  /** Turns the event loop without sleeping: timers of a millisecond would be late by more than what is measured. */
  #beat(): void {
    if (this.#over) return;
    this.#serveDue(true);
    setImmediate(() => this.#beat());
  }

  #serveDue(onTime: boolean): void {
    const rate = this.#plan.ratePerSecond ?? 0;
    const nowMs = this.#now();
    while (this.#free.length > 0) {
      const dueMs = this.#firstDueMs + (this.#due * 1000) / rate;
      if (dueMs > nowMs || dueMs > this.#endMs) return;
      const caller = this.#free.pop();
      if (caller === undefined) return;
      this.#due++;
      // Found by the beat while a client was free: the lateness is ours. Found when a client became free: it is the server's.
      if (onTime && dueMs >= this.#countFromMs) this.#lateness.record((nowMs - dueMs) * 1000);
      this.#call(caller, dueMs);
    }
  }

  #sweep(): void {
    const nowMs = this.#now();
    for (const caller of this.#callers) {
      if (!caller.busy) continue;
      if (caller.answeredMs > 0 && nowMs - caller.answeredMs > LINGER_MS) caller.release();
      else if (nowMs - caller.sentMs > this.#plan.timeoutMs) caller.abort('no answer in time');
    }
    if (nowMs >= this.#endMs) this.stop();
  }
}
