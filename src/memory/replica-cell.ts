// What all workers know of one replica: how its requests ended and how long they took, and whether it is to get any.
// Called by upstream/ (each worker counts in its own cell; one worker judges). Promises: counting takes a plain store, standing two plain loads, neither
// allocates; nobody waits for anybody.
import { breakerCellAt, WORD_BYTES } from './layout.ts';
import type { PlaneMemory } from './memory.ts';
import { OUTCOME, outcomeCellAt, STANDING, STANDING_TIME } from './replica-layout.ts';

/** Numbers of OutcomeSum.read(): those that failed, then those that went well by bucket. */
export const OUTCOME_NUMBERS = OUTCOME.words;

/** 2^-2 ms in half octaves: times below √2 of that are in bucket 0. */
const FIRST_HALF_OCTAVE = -4;

/** A replica that has just come back gets this share of its weight at once, or nothing would ever reach it. */
const FIRST_SHARE = 0.1;

function bucketOf(ms: number): number {
  const half = Math.floor(2 * Math.log2(ms)) - FIRST_HALF_OCTAVE;
  // Of no time at all the logarithm is -Infinity.
  return half > 0 ? Math.min(half, OUTCOME.buckets - 1) : 0;
}

/** The middle of a bucket, in ms; the last one has all that took longer. */
export function bucketMiddleMs(bucket: number): number {
  return 2 ** ((bucket + FIRST_HALF_OCTAVE + 0.5) / 2);
}

/** One worker's hold on one replica. All times are ms since the memory was made. */
export class ReplicaCell {
  readonly #words: Int32Array;
  readonly #doubles: Float64Array;
  readonly #workers: number;
  readonly #standingAt: number;
  readonly #timesAt: number;
  readonly #ownAt: number;
  readonly #firstAt: number;

  constructor(memory: PlaneMemory, upstream: number, worker: number) {
    const { plan, words, doubles } = memory;
    this.#words = words;
    this.#doubles = doubles;
    this.#workers = plan.workers;
    this.#standingAt = breakerCellAt(plan, upstream) / WORD_BYTES;
    this.#timesAt = breakerCellAt(plan, upstream) / 8;
    this.#ownAt = outcomeCellAt(plan, upstream, worker) / WORD_BYTES;
    this.#firstAt = outcomeCellAt(plan, upstream, 0) / WORD_BYTES;
  }

  // ── how requests ended ──────────────────────────────────────────────────────────────────────────────────────────────

  /** One failed as a breaker understands it. */
  failed(): void {
    this.#bump(OUTCOME.failed);
  }

  /** One went well; the head of its reply took so long. */
  succeeded(headMs: number): void {
    this.#bump(OUTCOME.firstBucket + bucketOf(headMs));
  }

  #bump(word: number): void {
    const at = this.#ownAt + word;
    this.#words[at] = (this.#words[at] ?? 0) + 1;
  }

  /** Sums of all workers, into OUTCOME_NUMBERS words; they wrap. */
  readOutcomes(into: Int32Array): void {
    into.fill(0);
    for (let worker = 0; worker < this.#workers; worker++) {
      const at = this.#firstAt + worker * OUTCOME.words;
      for (let word = 0; word < OUTCOME.words; word++)
        into[word] = (into[word] ?? 0) + (this.#words[at + word] ?? 0);
    }
  }

  // ── standing ────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Share of its weight that it is to get now: 0 while it is down or ejected; it grows over `slowStartMs` once it is back. */
  standing(nowMs: number, slowStartMs: number): number {
    const recoveredAtMs = this.#doubles[this.#timesAt + STANDING_TIME.recoveredAtMs] ?? 0;
    if (this.isDown) return 0;
    // Nothing has ever happened to it.
    if (recoveredAtMs === 0) return 1;
    if (nowMs < this.ejectedUntilMs) return 0;
    const sinceMs = nowMs - recoveredAtMs;
    return sinceMs >= slowStartMs ? 1 : Math.max(FIRST_SHARE, sinceMs / slowStartMs);
  }

  get isDown(): boolean {
    return Atomics.load(this.#words, this.#standingAt + STANDING.isDown) === 1;
  }

  /** Told by the worker that probes it. */
  setDown(isDown: boolean, nowMs: number): void {
    if (!isDown) this.recovered(nowMs);
    Atomics.store(this.#words, this.#standingAt + STANDING.isDown, isDown ? 1 : 0);
  }

  /** It serves again since then: what it gets is to grow from little. */
  recovered(nowMs: number): void {
    const at = this.#timesAt + STANDING_TIME.recoveredAtMs;
    // Never before an ejection is over.
    this.#doubles[at] = Math.max(nowMs, this.#doubles[at] ?? 0);
  }

  /** 0 when it never was. */
  get ejectedUntilMs(): number {
    return this.#doubles[this.#timesAt + STANDING_TIME.ejectedUntilMs] ?? 0;
  }

  /** Times in a row. */
  get ejections(): number {
    return Atomics.load(this.#words, this.#standingAt + STANDING.ejections);
  }

  /** Told by the worker that judges: it gets nothing until then. */
  eject(untilMs: number, ejections: number): void {
    Atomics.store(this.#words, this.#standingAt + STANDING.ejections, ejections);
    this.#doubles[this.#timesAt + STANDING_TIME.ejectedUntilMs] = untilMs;
    this.recovered(untilMs);
  }
}
