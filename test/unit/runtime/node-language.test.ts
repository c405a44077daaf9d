// What Node 20 is taught, against the engine's own: Bun has all of it.
// Run by bun test. Promises: same values and same refusals on random and on hostile texts; fast-check prints the seed of a failure.
import { expect, test } from 'bun:test';
import fc from 'fast-check';
import { fromBase64, toBase64 } from '../../../src/runtime/node-language.ts';

const ALPHABETS = ['base64', 'base64url'] as const;
const RUNS = { numRuns: 500 };

/** The bytes, or that there are none. */
function outcome(read: () => Uint8Array): string {
  try {
    return Buffer.from(read()).toString('hex');
  } catch (thrown) {
    return thrown instanceof SyntaxError ? 'refused' : String(thrown);
  }
}

test('toBase64 writes what the engine writes', () => {
  fc.assert(
    fc.property(
      fc.uint8Array(),
      fc.constantFrom(...ALPHABETS),
      fc.boolean(),
      (bytes, alphabet, omitPadding) => {
        const options = { alphabet, omitPadding };
        expect(toBase64.call(bytes, options)).toBe(bytes.toBase64(options));
        expect(toBase64.call(bytes)).toBe(bytes.toBase64());
      },
    ),
    RUNS,
  );
});

test('fromBase64 reads, and refuses, what the engine does', () => {
  const anything = fc.oneof(
    fc.base64String(),
    fc.uint8Array().map((bytes) => bytes.toBase64({ alphabet: 'base64url', omitPadding: true })),
    fc.string({ unit: fc.constantFrom(...'AQgwz09+/-_= \n\tÄ'), maxLength: 12 }),
  );
  fc.assert(
    fc.property(
      anything,
      fc.constantFrom(...ALPHABETS),
      fc.constantFrom('loose' as const, 'strict' as const),
      (text, alphabet, lastChunkHandling) => {
        const options = { alphabet, lastChunkHandling };
        expect(outcome(() => fromBase64(text, options))).toBe(
          outcome(() => Uint8Array.fromBase64(text, options)),
        );
      },
    ),
    RUNS,
  );
});
