// The chunk decoder and its simpler siblings: every cut, every byte value, every bound.
// Runs src/base/http-body.ts alone.
import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { concat, decode, encode } from '../../../src/base/bytes.ts';
import { BodyDecoder } from '../../../src/base/http-body.ts';
import { LIMITS } from '../../../src/base/limits.ts';

const MANY = Number.MAX_SAFE_INTEGER;

interface Outcome {
  readonly body: string;
  readonly done: boolean;
  readonly fault: string | null;
  /** Bytes behind the end of the body. */
  readonly rest: number;
}

/** Feeds the pieces to a chunked body until it is over. */
function chunked(pieces: readonly Uint8Array[], bytesMax = MANY): Outcome {
  const decoder = new BodyDecoder();
  decoder.start('chunked', -1, bytesMax);
  const out: Uint8Array[] = [];
  let rest = 0;
  for (const piece of pieces) {
    if (decoder.done || decoder.fault !== null) {
      rest += piece.length;
      continue;
    }
    out.push(decoder.decode(piece, 0));
    rest += piece.length - decoder.consumed;
  }
  return { body: decode(concat(out)), done: decoder.done, fault: decoder.fault, rest };
}

function cutAt(bytes: Uint8Array, at: number): Uint8Array[] {
  return [bytes.slice(0, at), bytes.slice(at)];
}

function singles(bytes: Uint8Array): Uint8Array[] {
  return [...bytes].map((byte) => Uint8Array.of(byte));
}

const GOOD: readonly (readonly [string, string])[] = [
  ['0\r\n\r\n', ''],
  ['3\r\nabc\r\n0\r\n\r\n', 'abc'],
  ['A\r\n0123456789\r\n0\r\n\r\n', '0123456789'],
  ['a\r\n0123456789\r\n00000000\r\n\r\n', '0123456789'],
  ['00000001\r\nx\r\n2\r\nyz\r\n0\r\n\r\n', 'xyz'],
  ['1;name=value\r\nx\r\n1;a;b="c d"\r\ny\r\n0;last\r\n\r\n', 'xy'],
  ['1\r\nx\r\n0\r\nexpires: never\r\nx-sum:\r\n\r\n', 'x'],
  ['4\r\n\r\n\r\n\r\n0\r\n\r\n', '\r\n\r\n'],
];

describe('chunked coding', () => {
  for (const [coded, body] of GOOD) {
    test(`is read however it is cut: ${JSON.stringify(coded)}`, () => {
      const bytes = encode(`${coded}JUNK`);
      const whole = { body, done: true, fault: null, rest: 4 };
      expect(chunked([bytes])).toEqual(whole);
      expect(chunked(singles(bytes))).toEqual(whole);
      for (let at = 0; at <= bytes.length; at++) expect(chunked(cutAt(bytes, at))).toEqual(whole);
    });

    test(`is not complete before its last byte: ${JSON.stringify(coded)}`, () => {
      const bytes = encode(coded);
      for (let at = 0; at < bytes.length; at++) {
        const { done, fault } = chunked([bytes.slice(0, at)]);
        expect({ at, done, fault }).toEqual({ at, done: false, fault: null });
      }
    });
  }

  const BAD: readonly string[] = [
    '\r\n',
    ' 3\r\nabc\r\n0\r\n\r\n',
    '3 \r\nabc\r\n0\r\n\r\n',
    '3\t\r\nabc\r\n0\r\n\r\n',
    '+3\r\nabc\r\n0\r\n\r\n',
    '-3\r\nabc\r\n0\r\n\r\n',
    '0x3\r\nabc\r\n0\r\n\r\n',
    '3_0\r\nabc',
    'g\r\n',
    ';ext\r\n',
    '3\nabc\r\n0\r\n\r\n',
    '3\r\rabc\r\n0\r\n\r\n',
    '3\r\nabc\n0\r\n\r\n',
    '3\r\nabcd\r\n0\r\n\r\n',
    '3\r\nab\r\n0\r\n\r\n',
    '3\r\nabc0\r\n\r\n',
    '3;e\nabc\r\n0\r\n\r\n',
    '3;e\0\r\nabc\r\n0\r\n\r\n',
    '000000003\r\nabc\r\n0\r\n\r\n',
    '80000000\r\n',
    'ffffffff\r\n',
    '0\r\n\n',
    '0\r\n folded: x\r\n\r\n',
    '0\r\nno colon\r\n\r\n',
    '0\r\n: empty\r\n\r\n',
    '0\r\na: b\n\r\n',
    '0\r\na: b\rc\r\n\r\n',
    '0\r\na: \0\r\n\r\n',
    '0\r\n\r\r\n',
  ];
  for (const coded of BAD) {
    test(`is refused however it is cut: ${JSON.stringify(coded)}`, () => {
      const bytes = encode(coded);
      const whole = chunked([bytes]);
      expect(whole.fault).toBe('GW_UPSTREAM_FRAMING');
      expect(whole.done).toBe(false);
      for (const pieces of [singles(bytes), ...[...bytes].map((_, at) => cutAt(bytes, at))]) {
        const { body, done, fault } = chunked(pieces);
        expect({ body, done, fault }).toEqual({ body: whole.body, done: false, fault: whole.fault });
      }
    });
  }

  /** Which byte values are taken behind a prefix. */
  function taken(prefix: string): number[] {
    const values: number[] = [];
    for (let byte = 0; byte < 256; byte++) {
      if (chunked([encode(prefix), Uint8Array.of(byte)]).fault === null) values.push(byte);
    }
    return values;
  }
  const codes = (text: string): number[] => [...text].map((char) => char.charCodeAt(0)).sort((a, b) => a - b);
  const HEX = '0123456789abcdefABCDEF';
  const TOKEN = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  const text = [
    9,
    ...Array.from({ length: 256 }, (_, byte) => byte).filter((byte) => byte >= 32 && byte !== 127),
  ];

  test('takes exactly the right byte values in each place', () => {
    expect(taken('')).toEqual(codes(HEX));
    expect(taken('1')).toEqual(codes(`${HEX}\r;`));
    expect(taken('1\r')).toEqual(codes('\n'));
    expect(taken('1;')).toEqual([...text, 13].sort((a, b) => a - b));
    expect(taken('1;x\r')).toEqual(codes('\n'));
    expect(taken('1\r\n')).toHaveLength(256);
    expect(taken('1\r\nx')).toEqual(codes('\r'));
    expect(taken('1\r\nx\r')).toEqual(codes('\n'));
    expect(taken('0\r\n')).toEqual(codes(`${TOKEN}\r`));
    expect(taken('0\r\na')).toEqual(codes(`${TOKEN}:`));
    expect(taken('0\r\na:')).toEqual([...text, 13].sort((a, b) => a - b));
    expect(taken('0\r\na:b\r')).toEqual(codes('\n'));
    expect(taken('0\r\n\r')).toEqual(codes('\n'));
  });

  test('bounds a body, counting chunk sizes before their data comes', () => {
    const body = (n: number): Uint8Array[] => [encode(`${n.toString(16)}\r\n${'x'.repeat(n)}\r\n0\r\n\r\n`)];
    expect(chunked(body(99), 100)).toMatchObject({ done: true, fault: null });
    expect(chunked(body(100), 100)).toMatchObject({ done: true, fault: null });
    expect(chunked([encode('65\r\n')], 100).fault).toBe('GW_UPSTREAM_BODY_SIZE');
    const two = encode(`32\r\n${'x'.repeat(50)}\r\n33\r\n`);
    expect(chunked([two], 100)).toMatchObject({ fault: 'GW_UPSTREAM_BODY_SIZE', body: 'x'.repeat(50) });
  });

  test('bounds extensions and trailers', () => {
    const extended = (n: number): string | null =>
      chunked([encode(`1;${'e'.repeat(n)}\r\nx\r\n0\r\n\r\n`)]).fault;
    expect([extended(255), extended(256), extended(257)]).toEqual([null, null, 'GW_UPSTREAM_FRAMING']);
    const trailed = (n: number): string | null => {
      // `a:`, n bytes, CR LF and the last CR LF are all counted.
      return chunked([encode(`0\r\na:${'v'.repeat(n - 6)}\r\n\r\n`)]).fault;
    };
    const max = LIMITS.replyHeadBytesMax;
    // The very last LF is the end of the body, not a byte of a trailer.
    expect([trailed(max), trailed(max + 1), trailed(max + 2)]).toEqual([null, null, 'GW_UPSTREAM_HEAD_SIZE']);
  });

  test('gives back what was coded, whatever the chunks and the cuts', () => {
    const cuts = fc.array(fc.nat({ max: 4000 }), { maxLength: 12 });
    const pieces = fc.array(fc.uint8Array({ minLength: 1, maxLength: 200 }), { maxLength: 8 });
    fc.assert(
      fc.property(pieces, cuts, (chunks, places) => {
        const parts = chunks.flatMap((chunk) => [
          encode(`${chunk.length.toString(16)}\r\n`),
          chunk,
          encode('\r\n'),
        ]);
        const coded = concat([...parts, encode('0\r\n\r\n')]);
        const ends = [...places.map((place) => place % (coded.length + 1)), coded.length].sort(
          (a, b) => a - b,
        );
        const decoder = new BodyDecoder();
        decoder.start('chunked', -1, MANY);
        const out: Uint8Array[] = [];
        let from = 0;
        for (const end of ends) {
          if (!decoder.done) out.push(decoder.decode(coded.subarray(from, end), 0));
          from = end;
        }
        expect(decoder.done).toBe(true);
        expect(concat(out)).toEqual(concat(chunks));
      }),
      { numRuns: 150 },
    );
  });

  test('copies nothing while one chunk comes in one read', () => {
    const decoder = new BodyDecoder();
    decoder.start('chunked', -1, MANY);
    const bytes = encode('5\r\nhello\r\n');
    expect(decoder.decode(bytes, 0).buffer).toBe(bytes.buffer);
  });
});

describe('bodies by length and until the connection closes', () => {
  test('a length is met exactly, however the bytes are cut', () => {
    const bytes = encode('hello, worldREST');
    for (let at = 0; at <= bytes.length; at++) {
      const decoder = new BodyDecoder();
      decoder.start('length', 12, MANY);
      const first = decoder.decode(bytes.slice(0, at), 0);
      const left = decoder.done ? [] : [decoder.decode(bytes.slice(at), 0)];
      expect(decode(concat([first, ...left]))).toBe('hello, world');
      expect(decoder.done).toBe(true);
    }
  });

  test('an empty body is complete at once', () => {
    const decoder = new BodyDecoder();
    decoder.start('length', 0, 0);
    expect(decoder.done).toBe(true);
  });

  test('a body until close is bounded and only the connection ends it', () => {
    const decoder = new BodyDecoder();
    decoder.start('close', -1, 10);
    expect(decoder.endsWithConnection).toBe(true);
    expect(decode(decoder.decode(encode('0123456789'), 0))).toBe('0123456789');
    expect([decoder.done, decoder.fault]).toEqual([false, null]);
    decoder.decode(encode('x'), 0);
    expect(decoder.fault).toBe('GW_UPSTREAM_BODY_SIZE');
  });

  test('a length beyond the bound is refused before a byte of it is read', () => {
    for (const [length, fault] of [
      [9, null],
      [10, null],
      [11, 'GW_UPSTREAM_BODY_SIZE'],
    ] as const) {
      const decoder = new BodyDecoder();
      decoder.start('length', length, 10);
      expect(decoder.fault).toBe(fault);
    }
  });
});
