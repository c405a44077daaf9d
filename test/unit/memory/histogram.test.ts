// The histogram: what it says about sorted lists of known times, how far it may be off, and that merging loses nothing.
// Runs src/memory/histogram.ts on private and on shared memory. Promises: properties name their seed when they fail.
import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { Histogram, mergedHistogram, sharedHistogram } from '../../../src/memory/histogram.ts';
import { createMemory } from '../../../src/memory/memory.ts';

const MINUTE_US = 60e6;

function filled(values: readonly number[]): Histogram {
  const histogram = new Histogram();
  for (const value of values) histogram.record(value);
  return histogram;
}

/** What no merge may change: all figures and a few percentiles. */
function figuresOf(histogram: Histogram): readonly number[] {
  const percentiles = [0, 10, 50, 90, 99, 99.9, 100].map((percent) => histogram.percentileUs(percent));
  return [histogram.count, histogram.minUs, histogram.maxUs, ...percentiles];
}

const times = (maxLength: number) =>
  fc.array(fc.double({ min: 0, max: 70 * MINUTE_US, noNaN: true }), { maxLength });

describe('figures', () => {
  test('empty: none at all', () => {
    const histogram = new Histogram();
    expect([
      histogram.count,
      histogram.minUs,
      histogram.maxUs,
      histogram.meanUs,
      histogram.percentileUs(50),
    ]).toEqual([0, Number.NaN, Number.NaN, Number.NaN, Number.NaN]);
  });

  test('one value is every percentile', () => {
    const histogram = filled([123.4]);
    for (const percent of [0, 1, 50, 99.9, 100]) expect(histogram.percentileUs(percent)).toBe(123.4);
  });

  test('beyond the range the bucket is the last one, the largest value stays exact', () => {
    const histogram = filled([1, 1e12]);
    expect(histogram.maxUs).toBe(1e12);
    expect(histogram.percentileUs(100)).toBeGreaterThan(70 * MINUTE_US);
    expect([filled([-5]).percentileUs(50), filled([Number.NaN]).meanUs]).toEqual([0, 0]);
  });

  test('percentiles are within 3 % of the sorted list (1.6 % in truth), or within half a microsecond', () => {
    const list = fc.array(fc.double({ min: 0, max: 70 * MINUTE_US, noNaN: true }), {
      minLength: 1,
      maxLength: 200,
    });
    fc.assert(
      fc.property(list, fc.double({ min: 0, max: 100, noNaN: true }), (values, percent) => {
        const sorted = [...values].sort((a, b) => a - b);
        const exact = sorted[Math.max(1, Math.ceil((percent / 100) * sorted.length)) - 1] ?? Number.NaN;
        const histogram = filled(values);
        expect(Math.abs(histogram.percentileUs(percent) - exact)).toBeLessThanOrEqual(0.51 + exact * 0.016);
        expect(histogram.minUs).toBe(sorted[0] ?? Number.NaN);
        expect(histogram.maxUs).toBe(sorted.at(-1) ?? Number.NaN);
        const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
        expect(histogram.meanUs).toBeCloseTo(mean, 3);
      }),
      { numRuns: 300 },
    );
  });

  test('every power of two and its neighbours keep their order', () => {
    let last = -1;
    for (let bit = -2; bit < 32; bit++) {
      for (const value of [2 ** bit * 0.999, 2 ** bit, 2 ** bit * 1.04]) {
        const middle = filled([0, value, 2 ** 33]).percentileUs(50);
        expect(middle).toBeGreaterThanOrEqual(last);
        last = middle;
      }
    }
  });
});

describe('merging', () => {
  test('is the same as having recorded all in one', () => {
    fc.assert(
      fc.property(times(100), times(100), (some, others) => {
        const merged = filled(some);
        merged.add(filled(others));
        expect(figuresOf(merged)).toEqual(figuresOf(filled([...some, ...others])));
      }),
      { numRuns: 100 },
    );
  });

  test('sums the stripes of all workers, endpoint by endpoint', () => {
    const memory = createMemory(
      { workers: 3, upstreams: 1, endpoints: 2, ringBytes: 4096, journalRecords: 1 },
      0,
    );
    for (let worker = 0; worker < 3; worker++) {
      const histogram = sharedHistogram(memory, worker, 1);
      for (let n = 1; n <= 10; n++) histogram.record(n * 10 ** worker);
    }
    const merged = mergedHistogram(memory, 1);
    expect([merged.count, merged.minUs, merged.maxUs, merged.meanUs]).toEqual([30, 1, 1000, 55 * 3.7]);
    expect(mergedHistogram(memory, 0).count).toBe(0);
    // A snapshot: what is recorded later is not in it.
    sharedHistogram(memory, 0, 1).record(5);
    expect(merged.count).toBe(30);
  });

  test('memory of another size is refused', () => {
    expect(() => new Histogram(new Float64Array(10))).toThrow('one span');
  });
});
