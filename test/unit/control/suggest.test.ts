// Tests of the nearest known word.
// Promises: pure; fast-check prints its seed on failure.
import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { editDistance, nearest } from '../../../src/control/suggest.ts';

describe('editDistance', () => {
  test.each([
    ['', '', 0],
    ['', 'abc', 3],
    ['listen', 'listen', 0],
    ['listne', 'listen', 1],
    ['prot', 'port', 1],
    ['por', 'port', 1],
    ['kitten', 'sitting', 3],
  ])('%p and %p differ by %p', (a, b, distance) => {
    expect(editDistance(a, b)).toBe(distance);
  });

  test('is symmetric, zero only for equal words, and bounded by the longer one', () => {
    const word = fc.string({ maxLength: 12 });
    fc.assert(
      fc.property(word, word, (a, b) => {
        const distance = editDistance(a, b);
        expect(distance).toBe(editDistance(b, a));
        expect(distance === 0).toBe(a === b);
        expect(distance).toBeLessThanOrEqual(Math.max(a.length, b.length));
      }),
      { numRuns: 300 },
    );
  });
});

describe('nearest', () => {
  const known = ['listen', 'limits', 'log', 'prefix', 'scan', 'servers', 'idleTimeoutMs', 'http2'];
  test.each([
    ['listne', 'listen'],
    ['server', 'servers'],
    ['Servers', 'servers'],
    ['idle_timeout_ms', 'idleTimeoutMs'],
    ['idleTimeout', 'idleTimeoutMs'],
    ['loq', 'log'],
    ['http3', 'http2'],
  ])('%p means %p', (word, meant) => {
    expect(nearest(word, known)).toBe(meant);
  });

  test('says nothing about words that are far from all', () => {
    for (const word of ['', '___', 'database', 'x', 'z'.repeat(100_000)])
      expect(nearest(word, known)).toBeNull();
  });
});
