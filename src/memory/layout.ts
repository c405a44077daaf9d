// Where everything lies in the memory that threads share: every offset of every region, as commented sums.
// Called by the other files of memory/ and by gateway.ts (makes the memory). Promises: no other file knows an offset; what
// different threads write never shares a 64-byte line; the same shape gives the same plan on every thread.
import { assert } from '../base/assert.ts';
import { JOURNAL } from './journal-layout.ts';
import { OUTCOME } from './replica-layout.ts';
import { seriesBytes } from './series-layout.ts';

/** Bytes of a cache line: the unit in which cores fight over memory (x86-64 and most ARM64). */
export const LINE_BYTES = 64;
/** Bytes of one Int32 word. */
export const WORD_BYTES = 4;

/** How many of everything there are; plain data, handed to every thread with the memory. */
export interface MemoryShape {
  /** Data workers, 1 … WORKERS_MAX. */
  readonly workers: number;
  /** Servers of the snapshot. */
  readonly upstreams: number;
  /** Endpoints of the snapshot. */
  readonly endpoints: number;
  /** Data bytes of one ring: a power of two, 4 KiB at least. */
  readonly ringBytes: number;
  /** Records of one worker's journal: a power of two. */
  readonly journalRecords: number;
  /** Tools that one worker counts by name: a power of two, or 0, which it is when left out. */
  readonly tools?: number;
}

/** Data workers of one gateway at most: the rings grow with the square. */
export const WORKERS_MAX = 64;

// ── header: two lines, written once and rarely ──────────────────────────────────────────────────────────────────────

/** Words of the header. */
export const HEADER = Object.freeze({
  /** 'SLU1' in ASCII: this is our memory, laid out by this version. */
  magic: 0,
  /** Milliseconds since the epoch, divided by 1000, when it was made: times in cells count from here. */
  madeAtS: 1,
  /** Line 1, hot: next ticket of the fair queues, wraps. */
  nextTicket: 16,
  /** 2 lines × 16 words. */
  words: 32,
});

/** HEADER.magic's value. */
export const MAGIC = 0x534c_5531;

// ── worker cells: two lines a worker ────────────────────────────────────────────────────────────────────────────────

/** Words of one worker's cell. */
export const WORKER = Object.freeze({
  /** Line 0, written by the main thread: how often it was started (1 = never restarted), and its WORKER_STATE. */
  generation: 0,
  state: 1,
  /** Line 1, written by the worker and by those who wake it: 1 while it sleeps, so that a push into one of its rings must ring the bell. */
  asleep: 16,
  words: 32,
});

/** States of a worker. */
export const WORKER_STATE = Object.freeze({ down: 0, starting: 1, serving: 2 });

// ── rings: one per ordered pair of workers ──────────────────────────────────────────────────────────────────────────

/** Words of a ring's head part; its data follows. */
export const RING = Object.freeze({
  /** Line 0, consumer's: bytes taken so far, wraps. */
  head: 0,
  /** Line 1, producer's: bytes put so far, wraps. */
  tail: 16,
  /** Line 2, both: 1 when the producer found it full and wants to hear when there is room. */
  starved: 32,
  /** 3 lines × 16 words. */
  words: 48,
});

// ── pool cells: per upstream one line of flags, then one line a worker ──────────────────────────────────────────────

/** Words of the line before an upstream's pool cells; each worker changes its own bit alone, so that a dead one's can be cleared. */
export const POOL_HEAD = Object.freeze({
  /** A bit for each worker 0 … 31 in which exchanges wait for a permit, and for each worker 32 … 63. */
  waiting: 0,
  waitingHigh: 1,
  /** Of a required server, by the one worker that asks it: 1 once it has answered, and what went wrong last (its place among ERROR_CODES and 1; 0: nothing). */
  hasAnswered: 2,
  lastFault: 3,
  words: 16,
});

/** Words of a pool cell; written by its worker alone (cleared by the main thread when that worker has died). 8 words and 4 doubles: a line. */
export const POOL = Object.freeze({
  /** Connections that count against the gateway-wide bound: the permits of this worker. */
  held: 0,
  /** Connections or children alive, and how many of them carry an exchange or none. */
  total: 1,
  busy: 2,
  idle: 3,
  /** Exchanges that wait. */
  waiting: 4,
  /** Ticket of the exchange that has waited longest for a permit, 0 when none does. */
  oldest: 5,
  sessions: 6,
  /** Calls that count against the server's bound on concurrency: memory/call-cell.ts. */
  calls: 7,
  words: 16,
});

/** Float64 places of a pool cell, counted from its start: the second half of its line. Only ever grow, restarts of the worker included. */
export const POOL_COUNT = Object.freeze({
  connects: 4,
  reuses: 5,
  failures: 6,
  /** Exchanges that the breaker saw succeed: kept here, one writer a line, because every call counts one. */
  successes: 7,
});

// ── breaker cells: one line per upstream ────────────────────────────────────────────────────────────────────────────

/** Words of a breaker cell; changed by compare-and-swap. */
export const BREAKER = Object.freeze({
  /** State (2 bits), trials let through (6 bits), time of the change (24 bits of ms since the memory was made, wraps after 4.6 hours). */
  state: 0,
  /** Failures of the present window (8 bits) and the time of its first one (24 bits, as above); 0 = none yet. */
  window: 1,
  words: 16,
});

/** Float64 places of a breaker cell, counted from its start. */
export const BREAKER_COUNT = Object.freeze({
  /** Successes of all workers from which those of the present window are counted. */
  base: 1,
  /** Successes of all workers when the present window began, and when that was (ms since the memory was made). */
  mark: 2,
  markedAtMs: 3,
  /** When it was last opened, tried, forced or reset (ms since the memory was made). */
  changedAtMs: 7,
});

// ── counters: a stripe a worker, two lines an endpoint ──────────────────────────────────────────────────────────────

/** Float64 places of one endpoint's counters in one worker's stripe; a whole number in a double is exact to 2^53. */
export const COUNTER = Object.freeze({
  exchanges: 0,
  ok: 1,
  refused: 2,
  failed: 3,
  abandoned: 4,
  requestBytes: 5,
  replyBytes: 6,
  /** Handed to another worker, and taken from one. */
  handedOver: 7,
  takenOver: 8,
  places: 16,
});

/** Words of the same lines: place 15 of the doubles, which no count may take, is two words. */
export const COUNTER_WORD = Object.freeze({
  /** Calls that count against the endpoint's own bound on concurrency: memory/call-cell.ts. 2 × 15 = 30. */
  calls: 30,
});

// ── histograms: one per endpoint and worker ─────────────────────────────────────────────────────────────────────────

/** Shape of a histogram: log-linear like HDR histograms, values in µs. */
export const HISTOGRAM = Object.freeze({
  /** 2^5 = 32 buckets an octave: a bucket is at most 1/32 of its value wide, so its middle is off by 1.6 % at most. */
  subBits: 5,
  /** Values from 2^-1 µs on; smaller ones count as that. */
  minExponent: -1,
  /** Octaves from there: up to 2^32 µs, which is 71 minutes; larger ones count as that. */
  octaves: 33,
  /** 33 × 32. */
  buckets: 1056,
  /** Head, one line of doubles. */
  headBytes: 64,
});

/** Float64 places of a histogram's head. */
export const HISTOGRAM_HEAD = Object.freeze({ count: 0, sum: 1, max: 2, min: 3 });

// ── the plan ────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Byte offsets of every region of one memory. */
export interface MemoryPlan extends MemoryShape {
  readonly workerAt: number;
  readonly ringAt: number;
  readonly poolAt: number;
  readonly breakerAt: number;
  readonly outcomeAt: number;
  readonly counterAt: number;
  readonly histogramAt: number;
  readonly journalAt: number;
  readonly seriesAt: number;
  /** Bytes of the whole memory. */
  readonly bytes: number;
}

/** Bytes of one ring with its head part. */
function ringSpan(shape: MemoryShape): number {
  return RING.words * WORD_BYTES + shape.ringBytes;
}

/** Bytes of one histogram with its head: 64 + 1056 × 8 = 8 512, 133 lines. Doubles, because 32 bits wrap within days at a few thousand a second. */
export const HISTOGRAM_SPAN = HISTOGRAM.headBytes + HISTOGRAM.buckets * 8;

function isPowerOfTwo(value: number): boolean {
  return value > 0 && (value & (value - 1)) === 0;
}

/** Lays the regions out one after the other; each starts on a line because each part before it is a whole number of lines. */
export function planMemory(shape: MemoryShape): MemoryPlan {
  const { workers, upstreams, endpoints, ringBytes, journalRecords } = shape;
  assert(workers >= 1 && workers <= WORKERS_MAX, `1 to ${WORKERS_MAX} workers share a memory`);
  assert(isPowerOfTwo(ringBytes) && ringBytes >= 4096, 'a ring has a power of two of bytes, 4096 at least');
  assert(isPowerOfTwo(journalRecords), 'a journal has a power of two of records');
  const workerAt = HEADER.words * WORD_BYTES;
  const ringAt = workerAt + workers * WORKER.words * WORD_BYTES;
  const poolAt = ringAt + workers * (workers - 1) * ringSpan(shape);
  const breakerAt = poolAt + upstreams * (POOL_HEAD.words + workers * POOL.words) * WORD_BYTES;
  const outcomeAt = breakerAt + upstreams * BREAKER.words * WORD_BYTES;
  const counterAt = outcomeAt + upstreams * workers * OUTCOME.words * WORD_BYTES;
  const histogramAt = counterAt + workers * endpoints * COUNTER.places * 8;
  const journalAt = histogramAt + workers * endpoints * HISTOGRAM_SPAN;
  const seriesAt = journalAt + workers * (JOURNAL.headBytes + journalRecords * JOURNAL.recordBytes);
  const bytes = seriesAt + workers * seriesBytes(shape);
  assert(seriesAt % LINE_BYTES === 0, 'every region starts on a line of its own');
  const regions = {
    workerAt,
    ringAt,
    poolAt,
    breakerAt,
    outcomeAt,
    counterAt,
    histogramAt,
    journalAt,
    seriesAt,
  };
  return { ...shape, ...regions, bytes };
}

/** Byte offset of a worker's cell. */
export function workerCellAt(plan: MemoryPlan, worker: number): number {
  return plan.workerAt + worker * WORKER.words * WORD_BYTES;
}

/** Byte offset of the ring that `from` fills and `to` empties. Nobody has one to itself. */
export function ringPlace(plan: MemoryPlan, from: number, to: number): number {
  assert(from !== to, 'a worker needs no ring to itself');
  const index = from * (plan.workers - 1) + (to > from ? to - 1 : to);
  return plan.ringAt + index * ringSpan(plan);
}

/** Byte offset of the flags before an upstream's pool cells. */
export function poolHeadAt(plan: MemoryPlan, upstream: number): number {
  return plan.poolAt + upstream * (POOL_HEAD.words + plan.workers * POOL.words) * WORD_BYTES;
}

/** Which word of an upstream's flags has a worker's bit: POOL_HEAD.waiting or waitingHigh. */
export function waitingWordOf(worker: number): number {
  return worker < 32 ? POOL_HEAD.waiting : POOL_HEAD.waitingHigh;
}

/** A worker's bit in that word. */
export function waitingBitOf(worker: number): number {
  return 1 << (worker & 31);
}

/** Byte offset of the pool cell of an upstream in a worker. The workers of one upstream lie side by side: one look sums them. */
export function poolCellAt(plan: MemoryPlan, upstream: number, worker: number): number {
  return poolHeadAt(plan, upstream) + (POOL_HEAD.words + worker * POOL.words) * WORD_BYTES;
}

/** Byte offset of the breaker cell of an upstream. */
export function breakerCellAt(plan: MemoryPlan, upstream: number): number {
  return plan.breakerAt + upstream * BREAKER.words * WORD_BYTES;
}

/** Byte offset of an endpoint's counters in a worker's stripe. A stripe is contiguous: no line of it is another worker's. */
export function counterCellAt(plan: MemoryPlan, worker: number, endpoint: number): number {
  return plan.counterAt + (worker * plan.endpoints + endpoint) * COUNTER.places * 8;
}

/** Byte offset of an endpoint's histogram in a worker's stripe. */
export function histogramPlace(plan: MemoryPlan, worker: number, endpoint: number): number {
  return plan.histogramAt + (worker * plan.endpoints + endpoint) * HISTOGRAM_SPAN;
}

/** Byte offset of a worker's journal. */
export function journalPlace(plan: MemoryPlan, worker: number): number {
  return plan.journalAt + worker * (JOURNAL.headBytes + plan.journalRecords * JOURNAL.recordBytes);
}
