// The pool cells of one upstream: what each worker holds of it, the bound on all of them together, and who is next.
// Called by upstream/ (each worker writes its own cell), gateway/ and worker.ts (sum them, clear a dead worker's). Promises: permits given
// never exceed the bound; what a dead worker held is given back exactly; nothing is allocated per operation, sums aside.
//
// Why no shared counter holds the permits: when a worker dies, nobody could tell how many of the counter were its own. Here each worker
// counts its permits in its own cell, so that clearing the cell gives back exactly those, whatever the worker was doing when it died.
// Why the bound holds all the same: a worker first adds one to its own cell and then reads all cells. Of the permits held at any moment take
// the one that was added last: its worker read the cells after all others had been added and not yet given back, so it saw them all, and it
// kept its own only because the sum was within the bound.
import { assert } from '../base/assert.ts';
import {
  HEADER,
  POOL,
  POOL_COUNT,
  POOL_HEAD,
  poolCellAt,
  poolHeadAt,
  WORD_BYTES,
  waitingBitOf,
  waitingWordOf,
} from './layout.ts';
import { createMemory, type PlaneMemory } from './memory.ts';

/** Times that a permit is tried for while one seems free: two workers that reach for the last one at once both step back. */
const TRIES = 4;

/** Numbers of one upstream, of one worker or summed over all; counts. */
export interface PoolNumbers {
  /** Connections or children alive. */
  readonly total: number;
  readonly busy: number;
  readonly idle: number;
  /** Exchanges that wait. */
  readonly waiting: number;
  readonly connects: number;
  readonly reuses: number;
  readonly failures: number;
  readonly sessions: number;
}

/** True when ticket `a` was drawn before ticket `b`; tickets wrap. */
function isOlder(a: number, b: number): boolean {
  return ((a - b) | 0) < 0;
}

/** One worker's cell of one upstream. Made once per upstream and worker; its setters cost a nanosecond or two. */
export class PoolCell {
  private readonly words: Int32Array;
  private readonly doubles: Float64Array;
  private readonly workers: number;
  private readonly worker: number;
  /** Word of the own cell, place of its doubles, word of worker 0's cell, words of the own flag and of the other half of the flags. */
  private readonly at: number;
  private readonly countAt: number;
  private readonly firstAt: number;
  private readonly ownFlagsAt: number;
  private readonly otherFlagsAt: number;
  private readonly ownBit: number;

  constructor(memory: PlaneMemory, upstream: number, worker: number) {
    const { plan, words, doubles } = memory;
    assert(worker >= 0 && worker < plan.workers, 'a pool cell belongs to a worker of the plan');
    assert(upstream >= 0 && upstream < plan.upstreams, 'a pool cell belongs to an upstream of the plan');
    this.words = words;
    this.doubles = doubles;
    this.workers = plan.workers;
    this.worker = worker;
    this.at = poolCellAt(plan, upstream, worker) / WORD_BYTES;
    this.countAt = poolCellAt(plan, upstream, worker) / 8;
    this.firstAt = poolCellAt(plan, upstream, 0) / WORD_BYTES;
    const headAt = poolHeadAt(plan, upstream) / WORD_BYTES;
    const ownWord = waitingWordOf(worker);
    this.ownFlagsAt = headAt + ownWord;
    this.otherFlagsAt = headAt + (ownWord === POOL_HEAD.waiting ? POOL_HEAD.waitingHigh : POOL_HEAD.waiting);
    this.ownBit = waitingBitOf(worker);
  }

  // ── what this worker tells: plain stores, since nobody else writes here and a word cannot tear ──────────────────────

  /** Connections alive, and those of them without an exchange; the rest is busy. */
  setLoad(total: number, idle: number): void {
    this.words[this.at + POOL.total] = total;
    this.words[this.at + POOL.idle] = idle;
    this.words[this.at + POOL.busy] = total - idle;
  }

  setWaiting(count: number): void {
    this.words[this.at + POOL.waiting] = count;
  }

  setSessions(count: number): void {
    this.words[this.at + POOL.sessions] = count;
  }

  bumpConnects(): void {
    this.bump(POOL_COUNT.connects);
  }

  bumpReuses(): void {
    this.bump(POOL_COUNT.reuses);
  }

  bumpFailures(): void {
    this.bump(POOL_COUNT.failures);
  }

  private bump(place: number): void {
    const index = this.countAt + place;
    this.doubles[index] = (this.doubles[index] ?? 0) + 1;
  }

  /** This worker's own numbers, as they were told last. */
  numbers(): PoolNumbers {
    return readCell(this.words, this.doubles, this.at);
  }

  // ── permits ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Takes a permit unless all workers together hold `bound`. Whoever is next in the queue must be asked first: see isNext(). */
  acquire(bound: number): boolean {
    for (let tries = 0; tries < TRIES; tries++) {
      Atomics.add(this.words, this.at + POOL.held, 1);
      if (this.held() <= bound) return true;
      Atomics.sub(this.words, this.at + POOL.held, 1);
      if (this.held() >= bound) return false;
    }
    return false;
  }

  /** Gives a permit back. Returns the worker that should hear of it because it holds the oldest ticket, or -1. */
  release(): number {
    const before = Atomics.sub(this.words, this.at + POOL.held, 1);
    assert(before > 0, 'a permit that is given back was held');
    return this.othersWait ? this.nextWorker(this.oldest) : -1;
  }

  /** Permits that all workers hold, those included that are being tried for. */
  held(): number {
    const { words, workers, firstAt } = this;
    let sum = 0;
    for (let worker = 0; worker < workers; worker++)
      sum += Atomics.load(words, firstAt + worker * POOL.words + POOL.held);
    return sum;
  }

  // ── the queue across workers ────────────────────────────────────────────────────────────────────────────────────────

  /** Draws a ticket for an exchange that has to wait; never 0, unique until 2^32 have been drawn. */
  drawTicket(): number {
    const ticket = Atomics.add(this.words, HEADER.nextTicket, 1);
    return ticket === 0 ? Atomics.add(this.words, HEADER.nextTicket, 1) : ticket;
  }

  /** Tells the ticket that has waited longest here, 0 when none does. */
  setOldest(ticket: number): void {
    const had = this.oldest;
    if (had === ticket) return;
    Atomics.store(this.words, this.at + POOL.oldest, ticket);
    if (had === 0) Atomics.or(this.words, this.ownFlagsAt, this.ownBit);
    else if (ticket === 0) Atomics.and(this.words, this.ownFlagsAt, ~this.ownBit);
  }

  get oldest(): number {
    return this.words[this.at + POOL.oldest] ?? 0;
  }

  /** True when exchanges of other workers wait. A plain look at one shared line: it may be a moment old, a later tick sees the rest. */
  get othersWait(): boolean {
    const own = this.words[this.ownFlagsAt] ?? 0;
    return (own & ~this.ownBit) !== 0 || (this.words[this.otherFlagsAt] ?? 0) !== 0;
  }

  /** May the holder of this ticket (0: a newcomer, which has none) take a permit, or must it give way to an older one elsewhere? */
  isNext(ticket: number): boolean {
    return !this.othersWait || this.nextWorker(ticket) < 0;
  }

  /** The other worker with the oldest ticket, if that is older than `ticket` (0: whichever it is), else -1. */
  nextWorker(ticket: number): number {
    let found = -1;
    let oldest = ticket;
    for (let worker = 0; worker < this.workers; worker++) {
      const other = worker === this.worker ? 0 : this.wordOf(worker, POOL.oldest);
      if (other === 0 || (oldest !== 0 && !isOlder(other, oldest))) continue;
      oldest = other;
      found = worker;
    }
    return found;
  }

  /** Exchanges that wait elsewhere while no permit is free: an idle connection here should be closed for each. */
  wanted(bound: number): number {
    if (!this.othersWait || this.held() < bound) return 0;
    let count = 0;
    for (let worker = 0; worker < this.workers; worker++)
      if (worker !== this.worker && this.wordOf(worker, POOL.oldest) !== 0)
        count += this.wordOf(worker, POOL.waiting);
    return count;
  }

  /**
   * Permits that this worker, whose own exchanges wait as well, should let go of in favour of the one whose turn it is: as many as that
   * one lacks of an equal share. A worker that holds none is owed one even when the shares are smaller than that: then they take turns.
   */
  owed(bound: number): number {
    const next = this.othersWait ? this.nextWorker(this.oldest) : -1;
    if (next < 0 || this.held() < bound) return 0;
    let sharers = 0;
    for (let worker = 0; worker < this.workers; worker++)
      if (this.wordOf(worker, POOL.held) > 0 || this.wordOf(worker, POOL.oldest) !== 0) sharers++;
    const share = Math.floor(bound / sharers);
    const spare = this.wordOf(this.worker, POOL.held) - share;
    const lacks = Math.max(share, 1) - this.wordOf(next, POOL.held);
    if (spare <= 0 || lacks <= 0) return 0;
    let payers = 0;
    for (let worker = 0; worker < this.workers; worker++)
      if (this.wordOf(worker, POOL.held) > share) payers++;
    return Math.min(spare, Math.ceil(lacks / Math.max(1, payers)));
  }

  /** Exchanges that all workers have under way or waiting: what this upstream is compared by with another. */
  load(): number {
    let sum = 0;
    for (let worker = 0; worker < this.workers; worker++)
      sum += this.wordOf(worker, POOL.busy) + this.wordOf(worker, POOL.waiting);
    return sum;
  }

  /** Another worker that has an idle connection, or -1. */
  idleElsewhere(): number {
    for (let worker = 0; worker < this.workers; worker++)
      if (worker !== this.worker && this.wordOf(worker, POOL.idle) > 0) return worker;
    return -1;
  }

  private wordOf(worker: number, word: number): number {
    return Atomics.load(this.words, this.firstAt + worker * POOL.words + word);
  }
}

/** A cell in memory of its own, for an upstream that no other worker has. */
export function soloCell(): PoolCell {
  const shape = { workers: 1, upstreams: 1, endpoints: 0, ringBytes: 4096, journalRecords: 1 };
  return new PoolCell(createMemory(shape, 0), 0, 0);
}

function readCell(words: Int32Array, doubles: Float64Array, at: number): PoolNumbers {
  const word = (place: number): number => words[at + place] ?? 0;
  const count = (place: number): number => doubles[at / 2 + place] ?? 0;
  return {
    total: word(POOL.total),
    busy: word(POOL.busy),
    idle: word(POOL.idle),
    waiting: word(POOL.waiting),
    connects: count(POOL_COUNT.connects),
    reuses: count(POOL_COUNT.reuses),
    failures: count(POOL_COUNT.failures),
    sessions: word(POOL.sessions),
  };
}

/** Numbers of nothing. */
const NO_NUMBERS: PoolNumbers = Object.freeze({
  ...{ total: 0, busy: 0, idle: 0, waiting: 0 },
  ...{ connects: 0, reuses: 0, failures: 0, sessions: 0 },
});

/** The numbers of two together. */
export function addNumbers(a: PoolNumbers, b: PoolNumbers): PoolNumbers {
  return {
    total: a.total + b.total,
    busy: a.busy + b.busy,
    idle: a.idle + b.idle,
    waiting: a.waiting + b.waiting,
    connects: a.connects + b.connects,
    reuses: a.reuses + b.reuses,
    failures: a.failures + b.failures,
    sessions: a.sessions + b.sessions,
  };
}

/** The numbers of one upstream, summed over all workers: each is exact, their sum is of about one moment. */
export function sumPool(memory: PlaneMemory, upstream: number): PoolNumbers {
  const { plan, words, doubles } = memory;
  let sum = NO_NUMBERS;
  for (let worker = 0; worker < plan.workers; worker++)
    sum = addNumbers(sum, readCell(words, doubles, poolCellAt(plan, upstream, worker) / WORD_BYTES));
  return sum;
}
