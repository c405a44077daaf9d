// Text of bytes: the short way and the decoder's agree.
// Runs src/base/bytes.ts.
import { expect, test } from 'bun:test';
import fc from 'fast-check';
import { decode, encode } from '../../../src/base/bytes.ts';

const decoder = new TextDecoder();

test('decode says what the decoder says, for every part of any bytes', () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 80 }),
    fc.string({ maxLength: 80 }).map(encode),
    fc.string({ unit: 'binary', maxLength: 40 }).map(encode),
  );
  fc.assert(
    fc.property(bytes, fc.nat(80), fc.nat(80), (some, from, length) => {
      const start = Math.min(from, some.length);
      const end = Math.min(start + length, some.length);
      expect(decode(some, start, end)).toBe(decoder.decode(some.subarray(start, end)));
      expect(decode(some)).toBe(decoder.decode(some));
    }),
    { numRuns: 1_000 },
  );
});
