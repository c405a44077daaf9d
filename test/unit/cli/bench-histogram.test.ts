// The histogram of `sluice bench`: what it says about sorted lists of known latencies, and how far it may be off.
// Runs src/cli/bench/histogram.ts. Promises: the property names its seed when it fails.
import { expect, test } from 'bun:test';
import fc from 'fast-check';
import { LatencyHistogram } from '../../../src/cli/bench/histogram.ts';

function filled(values: readonly number[]): LatencyHistogram {
  const histogram = new LatencyHistogram();
  for (const value of values) histogram.record(value);
  return histogram;
}

test('empty: no figure at all', () => {
  const histogram = new LatencyHistogram();
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
  expect(histogram.percentileUs(100)).toBeGreaterThan(2e8);
  expect(filled([-5]).percentileUs(50)).toBe(0);
});

test('percentiles are within 0.8 % of the sorted list, or within half a unit of 0.1 µs', () => {
  const list = fc.array(fc.double({ min: 0, max: 2e8, noNaN: true }), { minLength: 1, maxLength: 200 });
  fc.assert(
    fc.property(list, fc.double({ min: 0, max: 100, noNaN: true }), (values, percent) => {
      const sorted = [...values].sort((a, b) => a - b);
      const exact = sorted[Math.max(1, Math.ceil((percent / 100) * sorted.length)) - 1] ?? Number.NaN;
      const histogram = filled(values);
      expect(Math.abs(histogram.percentileUs(percent) - exact)).toBeLessThanOrEqual(0.051 + exact * 0.008);
      expect(histogram.minUs).toBe(sorted[0] ?? Number.NaN);
      expect(histogram.maxUs).toBe(sorted.at(-1) ?? Number.NaN);
    }),
    { numRuns: 300 },
  );
});

test('every power of two and its neighbours keep their order', () => {
  let last = -1;
  for (let bit = 0; bit < 27; bit++) {
    for (const value of [2 ** bit - 0.1, 2 ** bit, 2 ** bit + 0.1]) {
      const histogram = filled([0, value, 2 ** 28]);
      const middle = histogram.percentileUs(50);
      expect(middle).toBeGreaterThanOrEqual(last);
      last = middle;
    }
  }
});
