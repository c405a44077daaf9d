// Marks on names and URIs (taken off again in unit/route), and the mirrored headers' encoding: reversible for any text.
// Run by `bun test`; pure, no sockets.
import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { decodeMirrored, encodeMirrored, isHeaderSafe } from '../../../src/mcp/headers.ts';
import { joinName, joinUri } from '../../../src/mcp/names.ts';

test('names and URIs bear the mark of their server in front', () => {
  expect(joinName('files', 'read')).toBe('files__read');
  expect(joinUri('files', 'test://1')).toBe('files+test://1');
});

describe('mirrored headers', () => {
  test('every text comes back, and every spelling is fit for a header', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        const spelled = encodeMirrored(text);
        expect(isHeaderSafe(spelled)).toBe(true);
        expect(decodeMirrored(spelled)).toBe(text);
      }),
      { numRuns: 500 },
    );
  });

  test('plain text goes verbatim, the rest as the sentinel', () => {
    expect(encodeMirrored('echo')).toBe('echo');
    expect(encodeMirrored('')).toBe('=?base64??=');
    expect(encodeMirrored(' x')).toBe('=?base64?IHg=?=');
    expect(encodeMirrored('=?base64?eA==?=')).not.toBe('=?base64?eA==?=');
  });

  test('a malformed sentinel is no text', () => {
    for (const bad of ['=?base64?e?=', '=?base64?!!!!?=', '=?base64?/w==?=', '=?base64?eA=?='])
      expect(decodeMirrored(bad)).toBeNull();
    expect(decodeMirrored('=?base64?')).toBe('=?base64?');
    expect(decodeMirrored('  echo ')).toBe('echo');
  });
});
