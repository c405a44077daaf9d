// Virtual time: a queue of events, run in order of their time and then of their making.
// Called by the sim-*.ts files. Promises: the same calls give the same order; between two events every promise that can
// settle has settled; a run that does not come to rest is stopped with an error.
import { drainMicrotasks } from 'bun:jsc';
import { GatewayError } from '../base/errors.ts';
import type { Clock, TimerId } from './runtime.ts';

interface Event {
  readonly at: number;
  readonly id: TimerId;
  readonly run: () => void;
}

/** A run of more events than this is taken for an endless loop. */
const EVENTS_MAX = 1_000_000;
/** Time passes before a timer fires, however little was asked for: what is too small to be added would be asked for again and again. */
const LEAST_MS = 0.001;
/** 2026-01-01, so that wall() gives plausible dates. */
const WALL_START_MS = 1_767_225_600_000;

/** Orders events by time, and within one time by id. */
function isBefore(one: Event, other: Event): boolean {
  return one.at < other.at || (one.at === other.at && one.id < other.id);
}

/** Gives the real loop a turn: what the test itself waits for comes before and after a run, not between its events. */
function realTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/** The clock of a sim, and the handle by which a test moves it. */
export class Schedule implements Clock {
  private readonly heap: Event[] = [];
  /** Events of the heap that were not cancelled. */
  private readonly due = new Set<TimerId>();
  private time = 0;
  private last: TimerId = 0;

  now(): number {
    return this.time;
  }

  wall(): number {
    return WALL_START_MS + Math.floor(this.time);
  }

  after(ms: number, callback: () => void): TimerId {
    return this.at(this.time + (ms > 0 ? Math.max(ms, LEAST_MS) : 0), callback);
  }

  /** Calls back at that time of now(): what is due at the same time comes in the order of asking, which a difference of two times does not promise. */
  at(timeMs: number, callback: () => void): TimerId {
    const id = ++this.last;
    this.due.add(id);
    this.push({ at: Math.max(this.time, timeMs), id, run: callback });
    return id;
  }

  cancel(timer: TimerId): void {
    this.due.delete(timer);
  }

  /** Events that are still to come. */
  get pending(): number {
    return this.due.size;
  }

  soon(callback: () => void): void {
    this.after(0, callback);
  }

  /** Runs everything that is due within the next `ms`, then stands at that time. */
  async advance(ms: number): Promise<void> {
    const until = this.time + ms;
    await this.run(until);
    this.time = until;
  }

  /** Runs until nothing is left to happen. Timers count, so a periodic one makes this fail: use advance() then. */
  runUntilIdle(): Promise<void> {
    return this.run(Number.POSITIVE_INFINITY);
  }

  private async run(until: number): Promise<void> {
    await realTurn();
    for (let count = 0; count < EVENTS_MAX; count++) {
      const event = this.heap[0];
      if (event === undefined || event.at > until) return realTurn();
      this.pop();
      if (!this.due.delete(event.id)) continue;
      this.time = event.at;
      event.run();
      // Every promise that can settle does; a turn of the real loop for each event would cost ten times as much.
      drainMicrotasks();
    }
    throw new GatewayError(
      'GW_BASE_INTERNAL',
      `the simulation did not come to rest within ${EVENTS_MAX} events`,
    );
  }

  private push(event: Event): void {
    const { heap } = this;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const up = (at - 1) >> 1;
      const parent = heap[up];
      if (parent === undefined || isBefore(parent, event)) break;
      heap[at] = parent;
      at = up;
    }
    heap[at] = event;
  }

  private pop(): void {
    const { heap } = this;
    const event = heap.pop();
    if (event === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      let down = at * 2 + 1;
      const left = heap[down];
      if (left === undefined) break;
      const right = heap[down + 1];
      const child = right !== undefined && isBefore(right, left) ? right : left;
      if (child === right) down++;
      if (isBefore(event, child)) break;
      heap[at] = child;
      at = down;
    }
    heap[at] = event;
  }
}
