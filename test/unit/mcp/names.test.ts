// Marks on names and URIs, and the mirrored headers' encoding: reversible for any text.
// Run by `bun test`; pure, no sockets.
import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { decodeMirrored, encodeMirrored, isHeaderSafe } from '../../../src/mcp/headers.ts';
import { joinName, joinUri, splitName, splitUri } from '../../../src/mcp/names.ts';

const MEMBERS = ['a', 'a-b', 'files', 'x_', 'x'];

describe('names', () => {
  test('any name and URI survives being joined and split', () => {
    fc.assert(
      fc.property(fc.constantFrom(...MEMBERS), fc.string(), (server, own) => {
        expect(splitUri(MEMBERS, joinUri(server, own))).toEqual({ index: MEMBERS.indexOf(server), own });
      }),
      { numRuns: 500 },
    );
    for (const own of ['read', '__init', 'a__b', '', 'é']) {
      expect(splitName(['files', 'a'], joinName('files', own))).toEqual({ index: 0, own });
    }
  });

  test('the longest member name wins', () => {
    expect(splitName(['x', 'x_'], 'x___t')).toEqual({ index: 1, own: 't' });
    expect(splitUri(MEMBERS, 'a-b+test://1')).toEqual({ index: 1, own: 'test://1' });
  });

  test('what bears no mark is refused', () => {
    expect(splitName(MEMBERS, 'read')).toBeNull();
    expect(splitName(MEMBERS, 'other__read')).toBeNull();
    expect(splitUri(MEMBERS, 'test://a+b')).toBeNull();
  });
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
