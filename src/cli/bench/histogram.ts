// A log-linear histogram of latencies: 64 to 128 buckets for each power of two, so that no figure is off by more than 0.8 %.
// Called by load.ts and summary.ts. Promises: pure and synchronous; recording allocates nothing; smallest, largest and mean are exact.

/** Buckets below 2^SUB_BITS are exact; above, each power of two has half as many. */
const SUB_BITS = 7;
const HALF = 1 << (SUB_BITS - 1);
/** Values are kept in tenths of a microsecond, in 31 bits: 214 s at most, and more is counted as that. */
const UNITS_PER_US = 10;
const VALUE_MAX = 2 ** 31 - 1;
const BUCKETS = (31 - SUB_BITS) * HALF + 2 * HALF;

/** Latencies in µs, counted. */
export class LatencyHistogram {
  readonly #counts = new Float64Array(BUCKETS);
  #count = 0;
  #sumUs = 0;
  #minUs = Number.POSITIVE_INFINITY;
  #maxUs = 0;

  /** Counts one latency in µs; what is below zero counts as zero. */
  record(us: number): void {
    const given = Math.max(0, us);
    const index = bucketOf(Math.min(VALUE_MAX, Math.round(given * UNITS_PER_US)));
    this.#counts[index] = (this.#counts[index] ?? 0) + 1;
    this.#count++;
    this.#sumUs += given;
    if (given < this.#minUs) this.#minUs = given;
    if (given > this.#maxUs) this.#maxUs = given;
  }

  get count(): number {
    return this.#count;
  }

  /** NaN while empty, like the other figures. */
  get minUs(): number {
    return this.#count === 0 ? Number.NaN : this.#minUs;
  }

  get maxUs(): number {
    return this.#count === 0 ? Number.NaN : this.#maxUs;
  }

  get meanUs(): number {
    return this.#sumUs / this.#count;
  }

  /** The latency in µs that this share (0 to 100) of all calls did not exceed: the middle of its bucket, within the exact bounds. */
  percentileUs(percent: number): number {
    if (this.#count === 0) return Number.NaN;
    const rank = Math.max(1, Math.ceil((percent / 100) * this.#count));
    let seen = 0;
    for (let index = 0; index < BUCKETS; index++) {
      seen += this.#counts[index] ?? 0;
      if (seen >= rank) return Math.min(this.#maxUs, Math.max(this.#minUs, middleOf(index) / UNITS_PER_US));
    }
    return this.#maxUs;
  }
}

function bucketOf(value: number): number {
  if (value < 2 * HALF) return value;
  const shift = 31 - Math.clz32(value) - (SUB_BITS - 1);
  return shift * HALF + (value >>> shift);
}

function middleOf(index: number): number {
  if (index < 2 * HALF) return index;
  const shift = Math.floor(index / HALF) - 1;
  const mantissa = index - shift * HALF;
  return (mantissa + 0.5) * 2 ** shift;
}
