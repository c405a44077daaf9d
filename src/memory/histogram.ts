// A log-linear histogram of times: 32 buckets for each power of two, so that no figure is off by more than 1.6 %.
// Called by server/ (records into its worker's stripe), gateway/ (merges the stripes), cli/bench (private ones). Promises: recording
// allocates nothing and has one writer; count, smallest, largest and mean are exact; merging loses nothing, since all share one shape.
import { assert } from '../base/assert.ts';
import { HISTOGRAM, HISTOGRAM_HEAD, HISTOGRAM_SPAN, histogramPlace } from './layout.ts';
import type { PlaneMemory } from './memory.ts';

const { subBits, minExponent, buckets, headBytes } = HISTOGRAM;
const PER_OCTAVE = 2 ** subBits;
const HEAD_PLACES = headBytes / 8;
const MIN_US = 2 ** minExponent;
/** A double's sign and exponent take the 12 highest bits of its high word, the first bits of its mantissa follow: 20 − 5 are not needed. */
const HIGH_SHIFT = 20 - subBits;
/** The exponent is stored with 1023 added. */
const FIRST = (1023 + minExponent) << subBits;

/** One double seen as two words: its exponent is the octave, and the bits behind it are the bucket, without a logarithm. */
const scratch = new Float64Array(1);
const scratchWords = new Uint32Array(scratch.buffer);
/** Little-endian machines, which are all that Bun runs on, have the high word second. */
const HIGH_WORD = 1;

function bucketOf(us: number): number {
  scratch[0] = us;
  return Math.min(buckets - 1, ((scratchWords[HIGH_WORD] ?? 0) >>> HIGH_SHIFT) - FIRST);
}

/** The middle of a bucket, in µs. */
function middleOf(bucket: number): number {
  const octave = bucket >>> subBits;
  const part = bucket & (PER_OCTAVE - 1);
  return MIN_US * 2 ** octave * (1 + (part + 0.5) / PER_OCTAVE);
}

/** A histogram over memory of any kind; `places` is one span of doubles, zeroed before the first use. */
export class Histogram {
  private readonly places: Float64Array;

  constructor(places: Float64Array = new Float64Array(HISTOGRAM_SPAN / 8)) {
    assert(places.length === HISTOGRAM_SPAN / 8, 'a histogram has the memory of one span');
    this.places = places;
  }

  /** Counts one time in µs; what is below zero, or no number, counts as zero. */
  record(us: number): void {
    const { places } = this;
    // One NaN would spoil the sum for good.
    const value = Number.isNaN(us) ? 0 : Math.max(0, us);
    const bucket = HEAD_PLACES + (value >= MIN_US ? bucketOf(value) : 0);
    const before = places[HISTOGRAM_HEAD.count] ?? 0;
    places[bucket] = (places[bucket] ?? 0) + 1;
    places[HISTOGRAM_HEAD.count] = before + 1;
    places[HISTOGRAM_HEAD.sum] = (places[HISTOGRAM_HEAD.sum] ?? 0) + value;
    if (value > (places[HISTOGRAM_HEAD.max] ?? 0)) places[HISTOGRAM_HEAD.max] = value;
    if (before === 0 || value < (places[HISTOGRAM_HEAD.min] ?? 0)) places[HISTOGRAM_HEAD.min] = value;
  }

  get count(): number {
    return this.places[HISTOGRAM_HEAD.count] ?? 0;
  }

  /** NaN while empty, like the other figures. */
  get minUs(): number {
    return this.count === 0 ? Number.NaN : (this.places[HISTOGRAM_HEAD.min] ?? 0);
  }

  get maxUs(): number {
    return this.count === 0 ? Number.NaN : (this.places[HISTOGRAM_HEAD.max] ?? 0);
  }

  get meanUs(): number {
    return (this.places[HISTOGRAM_HEAD.sum] ?? 0) / this.count;
  }

  /** The time in µs that this share (0 to 100) of all did not exceed: the middle of its bucket, within the exact bounds. */
  percentileUs(percent: number): number {
    const { count } = this;
    if (count === 0) return Number.NaN;
    const rank = Math.max(1, Math.ceil((percent / 100) * count));
    let seen = 0;
    for (let bucket = 0; bucket < buckets; bucket++) {
      seen += this.places[HEAD_PLACES + bucket] ?? 0;
      if (seen >= rank) return Math.min(this.maxUs, Math.max(this.minUs, middleOf(bucket)));
    }
    return this.maxUs;
  }

  /** Adds what another holds. That other may be written meanwhile: a record that is half done shows in one figure and not in the next. */
  add(other: Histogram): void {
    const own = this.places;
    const its = other.places;
    const { count, sum, max, min } = HISTOGRAM_HEAD;
    const itsCount = its[count] ?? 0;
    if (itsCount === 0) return;
    const lowest = its[min] ?? 0;
    own[min] = own[count] === 0 ? lowest : Math.min(own[min] ?? 0, lowest);
    own[max] = Math.max(own[max] ?? 0, its[max] ?? 0);
    own[sum] = (own[sum] ?? 0) + (its[sum] ?? 0);
    own[count] = (own[count] ?? 0) + itsCount;
    for (let at = HEAD_PLACES; at < own.length; at++) own[at] = (own[at] ?? 0) + (its[at] ?? 0);
  }

  /** What was recorded since an earlier copy of the same; smallest and largest are those of all that was ever recorded. */
  since(earlier: Histogram): Histogram {
    const places = this.places.map((value, at) => Math.max(0, value - (earlier.places[at] ?? 0)));
    for (const bound of [HISTOGRAM_HEAD.max, HISTOGRAM_HEAD.min]) places[bound] = this.places[bound] ?? 0;
    return new Histogram(places);
  }
}

/** The histogram of an endpoint in a worker's stripe. Only that worker may record. */
export function sharedHistogram(memory: PlaneMemory, worker: number, endpoint: number): Histogram {
  const { plan, buffer } = memory;
  return new Histogram(new Float64Array(buffer, histogramPlace(plan, worker, endpoint), HISTOGRAM_SPAN / 8));
}

/** A private snapshot of an endpoint's times over all workers. */
export function mergedHistogram(memory: PlaneMemory, endpoint: number): Histogram {
  const merged = new Histogram();
  for (let worker = 0; worker < memory.plan.workers; worker++)
    merged.add(sharedHistogram(memory, worker, endpoint));
  return merged;
}
