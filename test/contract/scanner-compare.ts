// Differential tests of scan(): the same bytes through a scanner, through the portable one, and past JSON.parse, on inputs that
// are made by cutting, changing and generating. Called by scanner.test.ts.
// Promises: equal codes and equal numbers everywhere; bounded in count; a failure prints the bytes, or fast-check's seed.
import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { encode } from '../../src/base/bytes.ts';
import { ENVELOPE, SCAN, type Scanner } from '../../src/scan/contract.ts';
import { portableScanner } from '../../src/scan/portable.ts';
import { scanAll } from './scanner.ts';
import { CORPUS, nestedArrays, nestedObjects } from './scanner-corpus.ts';
import { disputeEnvelope, disputeVerdict } from './scanner-oracle.ts';

/** Time for tests that go through every byte; the runner's own 5 s are short on a busy machine. */
const EXHAUSTIVE_MS_MAX = 60_000;

/** Bytes that break things: structure, quotes, escapes, controls, blanks, digits, and each class of UTF-8. */
const NASTY = [
  ...encode('{}[]",:\\/ \t\n\r0-.eEtu+a'),
  0x00,
  0x0c,
  0x1a,
  0x7f,
  0x80,
  0xa0,
  0xc0,
  0xc3,
  0xe2,
  0xed,
  0xf0,
  0xff,
];

const wanted = new Int32Array(ENVELOPE.length);
const got = new Int32Array(ENVELOPE.length);

function isEqual(): boolean {
  for (let i = 0; i < ENVELOPE.length; i++) if (wanted[i] !== got[i]) return false;
  return true;
}

/** Judges one input; returns what is wrong, or null. `alone`: the scanner is the portable one, so the oracle must judge. */
function dispute(scanner: Scanner, portable: Scanner, bytes: Uint8Array, end: number): string | null {
  const code = scanner.scan(bytes, 0, end, got);
  if (scanner.name === 'portable') {
    const view = bytes.subarray(0, end);
    return disputeVerdict(view, code) ?? (code === SCAN.ok ? disputeEnvelope(view, got) : null);
  }
  const reference = portable.scan(bytes, 0, end, wanted);
  if (code !== reference) return `code ${code}, portable ${reference}`;
  return isEqual() ? null : `envelope [${got.join()}], portable [${wanted.join()}]`;
}

/** Inputs compared so far: the last test of each group makes sure that there were many. */
let compared = 0;

function check(scanner: Scanner, portable: Scanner, bytes: Uint8Array, end = bytes.length): void {
  compared++;
  const fault = dispute(scanner, portable, bytes, end);
  if (fault === null) return;
  const text = JSON.stringify(String.fromCharCode(...bytes.subarray(0, end)));
  expect(`${fault} for ${text}`).toBe('');
}

/** fast-check: JSON in any spelling of white space, with keys that the scan knows among others. */
const key = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.constantFrom(
      'jsonrpc',
      'id',
      'method',
      'params',
      'result',
      'error',
      'name',
      'uri',
      '_meta',
      'ref',
      'type',
      'code',
      'progressToken',
      'cursor',
      'nextCursor',
      'resultType',
      'arguments',
      'io.modelcontextprotocol/protocolVersion',
    ),
  },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 12 }) },
);
const json = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 6, depthSize: 'small' },
    fc.constantFrom(null, true, false, '2.0', 'tools/call'),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.maxSafeInteger(),
    fc.string({ unit: 'binary', maxLength: 80 }),
    fc.array(tie('value'), { maxLength: 6 }),
    fc.dictionary(key, tie('value'), { maxKeys: 8 }),
  ),
})).value;

/** Compares the scanner that `make` gives with the portable one, or with JSON.parse when it is the portable one. */
export function compareScans(label: string, make: () => Scanner): void {
  describe(`scan() of ${label}, compared`, () => {
    test('every message of the corpus, cut at every place', () => {
      const scanner = make();
      const portable = portableScanner();
      for (const text of CORPUS) {
        const bytes = encode(text);
        for (let end = 0; end <= bytes.length; end++) check(scanner, portable, bytes, end);
      }
    });

    test(
      'every byte of the corpus, changed into each nasty one, doubled, and left out',
      () => {
        const scanner = make();
        const portable = portableScanner();
        for (const [index, text] of CORPUS.entries()) {
          const bytes = encode(text);
          // The portable scanner pays for the oracle's exceptions: every message there, but not every byte of each.
          const stride = scanner.name === 'portable' ? 5 : 1;
          for (let at = index % stride; at < bytes.length; at += stride) {
            const old = bytes[at] ?? 0;
            for (const byte of NASTY) {
              bytes[at] = byte;
              check(scanner, portable, bytes);
            }
            bytes[at] = old;
            check(scanner, portable, Uint8Array.from([...bytes.subarray(0, at), ...bytes.subarray(at + 1)]));
            check(scanner, portable, Uint8Array.from([...bytes.subarray(0, at + 1), ...bytes.subarray(at)]));
          }
        }
      },
      EXHAUSTIVE_MS_MAX,
    );

    test('all 256 values at each place of a small message', () => {
      const scanner = make();
      const portable = portableScanner();
      const bytes = encode('{"id":-1.5e3,"é":["\\u00e9\\n",true,null],"method":"x"}');
      for (let at = 0; at < bytes.length; at++) {
        const old = bytes[at] ?? 0;
        for (let byte = 0; byte < 256; byte++) {
          bytes[at] = byte;
          check(scanner, portable, bytes);
        }
        bytes[at] = old;
      }
    });

    test('backslashes and quotes in every pattern, across the edge of a 64-byte block', () => {
      const scanner = make();
      const portable = portableScanner();
      for (let before = 50; before < 66; before++) {
        for (let pattern = 0; pattern < 1 << 8; pattern++) {
          const inner = Array.from({ length: 8 }, (_, bit) => ((pattern >> bit) & 1 ? '\\' : 'n')).join('');
          check(scanner, portable, encode(`["${'x'.repeat(before)}${inner}","",{"a":1}]`));
          check(
            scanner,
            portable,
            encode(`["${'x'.repeat(before)}${inner.replaceAll('n', '"')}","",{"a":1}]`),
          );
        }
      }
    });

    test('white space of every length between tokens, across the edge of a block', () => {
      const scanner = make();
      const portable = portableScanner();
      const tokens = ['{', '"id"', ':', '1', ',', '"params"', ':', '[', 'true', ',', '"x"', ']', '}'];
      for (let place = 0; place <= tokens.length; place++) {
        for (let width = 0; width < 130; width += 3) {
          const parts = [...tokens.slice(0, place), ' '.repeat(width), ...tokens.slice(place)];
          check(scanner, portable, encode(parts.join('')));
          check(scanner, portable, encode(parts.join(' \n')));
        }
      }
    });

    test('depth around the limit, behind and before other things', () => {
      const scanner = make();
      const portable = portableScanner();
      for (let levels = 250; levels <= 260; levels++) {
        for (const nested of [
          nestedArrays(levels),
          nestedObjects(levels),
          '['.repeat(levels),
          '{"a":'.repeat(levels),
        ]) {
          for (const text of [
            nested,
            `{"params":${nested}}`,
            `[1,${nested}`,
            `{"params":{"_meta":${nested},"x":"\\q"}}`,
            `["\\q",${nested}`,
            `${nested},`,
            `${nested}"`,
          ]) {
            check(scanner, portable, encode(text));
          }
        }
      }
    });

    test('generated JSON, spelled compactly and with white space, and each with one byte changed', () => {
      const scanner = make();
      const portable = portableScanner();
      const spelling = fc.constantFrom<string | number | undefined>(undefined, 1, 2, 8, '\t', ' \r\n');
      const change = fc.record({ at: fc.nat(), byte: fc.constantFrom(...NASTY) });
      const property = fc.property(json, spelling, change, (value, space, { at, byte }) => {
        const bytes = encode(JSON.stringify(value, null, space));
        expect(dispute(scanner, portable, bytes, bytes.length)).toBeNull();
        expect(scanAll(scanner, bytes).code).toBe(SCAN.ok);
        bytes[at % bytes.length] = byte;
        expect(dispute(scanner, portable, bytes, bytes.length)).toBeNull();
      });
      fc.assert(property, { numRuns: 400 });
    });

    test('generated garbage of structural bytes', () => {
      const scanner = make();
      const portable = portableScanner();
      const soup = fc.array(
        fc.constantFrom(
          '{',
          '}',
          '[',
          ']',
          ',',
          ':',
          '"',
          '"a"',
          '"id"',
          '\\',
          '1',
          '-',
          'true',
          'null',
          ' ',
          '\n',
          'é',
          '\\u00e9',
        ),
        { maxLength: 60 },
      );
      const property = fc.property(soup, (parts) => {
        const bytes = encode(parts.join(''));
        expect(dispute(scanner, portable, bytes, bytes.length)).toBeNull();
      });
      fc.assert(property, { numRuns: 2000 });
    });

    test('that was a great many inputs', () => {
      expect(compared).toBeGreaterThan(100_000);
      compared = 0;
    });
  });
}
