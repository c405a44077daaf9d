// Framing of stdio servers: lines out of chunks at every cut, lines out of messages, events out of lines.
// Run by bun test. Promises: equal lines however the bytes were cut; linear cost for a giant line in tiny chunks.
import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { decode, encode } from '../../../src/base/bytes.ts';
import { editsKeepLine, eventFrame, flatten, LineReader } from '../../../src/upstream/lines.ts';

function readAll(
  chunks: readonly Uint8Array[],
  bytesMax = 1_000,
  finish = true,
): { lines: string[]; tooLong: number } {
  const lines: string[] = [];
  let tooLong = 0;
  const reader = new LineReader(bytesMax, {
    onLine: (line) => lines.push(decode(line)),
    onTooLong: () => tooLong++,
  });
  for (const chunk of chunks) reader.push(chunk);
  if (finish) reader.finish();
  return { lines, tooLong };
}

describe('LineReader', () => {
  const text = 'one\r\n\n{"two":"ü€😀"}\n\r\n three \nfour\r\r\nlast';
  const expected = ['one', '{"two":"ü€😀"}', ' three ', 'four', 'last'];

  test('equal lines at every cut', () => {
    const bytes = encode(text);
    for (let cut = 0; cut <= bytes.length; cut++) {
      expect(readAll([bytes.subarray(0, cut), bytes.subarray(cut)]).lines).toEqual(expected);
    }
  });

  test('equal lines at every pair of cuts, and byte by byte', () => {
    const bytes = encode(text);
    for (let a = 0; a <= bytes.length; a++) {
      for (let b = a; b <= bytes.length; b++) {
        const chunks = [bytes.subarray(0, a), bytes.subarray(a, b), bytes.subarray(b)];
        expect(readAll(chunks).lines).toEqual(expected);
      }
    }
    expect(readAll([...bytes].map((byte) => Uint8Array.of(byte))).lines).toEqual(expected);
  });

  test('any byte but LF and a trailing CR stays in the line', () => {
    for (let byte = 0; byte < 256; byte++) {
      if (byte === 10) continue;
      const lines: Uint8Array[] = [];
      const reader = new LineReader(10, {
        onLine: (line) => lines.push(line.slice()),
        onTooLong: () => undefined,
      });
      reader.push(Uint8Array.of(65, byte, 66, 10));
      expect(lines).toEqual([Uint8Array.of(65, byte, 66)]);
    }
  });

  test('the limit: one below, exact, one above, in one chunk and in many', () => {
    for (const [size, tooLong] of [
      [9, 0],
      [10, 0],
      [11, 1],
    ] as const) {
      const line = encode(`${'x'.repeat(size)}\n`);
      expect(readAll([line], 10)).toEqual({ lines: tooLong ? [] : ['x'.repeat(size)], tooLong });
      expect(
        readAll(
          [...line].map((byte) => Uint8Array.of(byte)),
          10,
        ).tooLong,
      ).toBe(tooLong);
      expect(readAll([line.subarray(0, size)], 10).tooLong).toBe(tooLong);
    }
  });

  test('says nothing after a line was too long', () => {
    expect(readAll([encode('ok\nxxxxxxxxxxxx'), encode('\nnext\n')], 10)).toEqual({
      lines: ['ok'],
      tooLong: 1,
    });
  });

  test('without finish an unfinished line is held back', () => {
    expect(readAll([encode('a\nb')], 10, false).lines).toEqual(['a']);
  });

  test('a sink that closes the reader hears no more', () => {
    const lines: string[] = [];
    const reader: LineReader = new LineReader(10, {
      onLine: (line) => {
        lines.push(decode(line));
        reader.close();
      },
      onTooLong: () => undefined,
    });
    reader.push(encode('a\nb\nc\n'));
    expect(lines).toEqual(['a']);
  });

  test('a line of 8 MiB in chunks of 64 bytes is copied a few times, not thousands of times', () => {
    const size = 8 * 1024 * 1024;
    const chunk = new Uint8Array(64).fill(120);
    let bytes = 0;
    const reader = new LineReader(size, {
      onLine: (line) => (bytes = line.length),
      onTooLong: () => undefined,
    });
    for (let at = 0; at < size; at += chunk.length) reader.push(chunk);
    reader.push(Uint8Array.of(10));
    expect(bytes).toBe(size);
  });
});

describe('flatten', () => {
  test('leaves what is one line as it is, without a copy', () => {
    const body = encode('{"a":"\\n"}');
    expect(flatten(body)).toBe(body);
  });

  test('makes newlines between tokens spaces and keeps every offset', () => {
    const body = encode('{\r\n\t"a" :\n "x\\"\\\\",\r"b": [\n]}');
    const flat = flatten(body);
    expect(flat === null ? '' : decode(flat)).toBe('{  \t"a" :  "x\\"\\\\", "b": [ ]}');
    expect(decode(body)).toContain('\r\n');
  });

  test('refuses a raw newline inside a string', () => {
    expect(flatten(encode('{"a":"x\ny"}'))).toBeNull();
    expect(flatten(encode('{"a":"x\\"\ry"}'))).toBeNull();
  });

  test('any pretty-printed JSON keeps its value and becomes one line', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.constantFrom(1, 2, '\t', '\n\r'), (value, indent) => {
        const flat = flatten(encode(JSON.stringify({ value }, null, indent)));
        const text = flat === null ? '' : decode(flat);
        expect(text).not.toMatch(/[\r\n]/);
        expect(JSON.stringify(JSON.parse(text))).toBe(JSON.stringify({ value }));
      }),
      { numRuns: 200 },
    );
  });
});

test('editsKeepLine refuses an insert with a raw newline', () => {
  expect(editsKeepLine([{ start: 0, end: 1, insert: encode('"a"') }])).toBe(true);
  expect(editsKeepLine([{ start: 0, end: 1, insert: encode('"a\n"') }])).toBe(false);
  expect(editsKeepLine([{ start: 0, end: 1, insert: encode('\r') }])).toBe(false);
});

test('eventFrame splices, and lets no CR end the data line', () => {
  const frame = eventFrame(encode('{"id":7,\r"a":1}'), [{ start: 6, end: 7, insert: encode('"client"') }]);
  expect(decode(frame)).toBe('event: message\ndata: {"id":"client", "a":1}\n\n');
});
