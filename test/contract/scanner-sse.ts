// The suite for sse(): event streams whole, cut at every place, fed byte by byte, and compared.
// Called by scanner.test.ts for each scanner. Promises: the same events however the bytes arrive.
import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { decode, encode } from '../../src/base/bytes.ts';
import { EVENT, type Scanner } from '../../src/scan/contract.ts';
import { portableScanner } from '../../src/scan/portable.ts';

/** One event as text: null where the contract says -1. */
interface Event {
  readonly raw: string;
  readonly data: string | null;
  readonly lines: number;
  readonly type: string | null;
  readonly id: string | null;
  readonly retry: string | null;
}

function readEvents(bytes: Uint8Array, out: Int32Array, count: number): Event[] {
  return Array.from({ length: count }, (_, index) => {
    const event = out.subarray(index * EVENT.length, (index + 1) * EVENT.length);
    const text = (slot: number) =>
      (event[slot] ?? -1) < 0 ? null : decode(bytes, event[slot], event[slot + 1]);
    return {
      raw: text(EVENT.start) ?? '',
      data: text(EVENT.dataStart),
      lines: event[EVENT.dataLines] ?? -1,
      type: text(EVENT.typeStart),
      id: text(EVENT.idStart),
      retry: text(EVENT.retryStart),
    };
  });
}

function split(scanner: Scanner, text: string, last = false, room = 64): Event[] {
  const bytes = encode(text);
  const out = new Int32Array(room * EVENT.length).fill(77);
  return readEvents(bytes, out, scanner.sse(bytes, 0, bytes.length, last, out));
}

/** Feeds a stream in pieces, as a caller does: bytes behind the last whole event are kept and come again. */
function feed(scanner: Scanner, stream: Uint8Array, cuts: readonly number[], room: number): Event[] {
  const out = new Int32Array(room * EVENT.length);
  const events: Event[] = [];
  let start = 0;
  for (const [index, end] of [...cuts, stream.length].entries()) {
    const last = index === cuts.length;
    for (;;) {
      const count = scanner.sse(stream, start, end, last, out);
      events.push(...readEvents(stream, out, count));
      if (count > 0) start = out[(count - 1) * EVENT.length + EVENT.end] ?? 0;
      if (count < room) break;
    }
  }
  return events;
}

function event(raw: string, data: string | null, lines: number, rest: Partial<Event> = {}): Event {
  return { raw, data, lines, type: null, id: null, retry: null, ...rest };
}

/** Streams and the events they hold. */
const STREAMS: readonly (readonly [name: string, text: string, events: readonly Event[]])[] = [
  [
    'as MCP servers write',
    'event: message\ndata: {"a":1}\n\n',
    [event('event: message\ndata: {"a":1}\n\n', '{"a":1}', 1, { type: 'message' })],
  ],
  ['CRLF', 'id: 7\r\ndata: x\r\n\r\n', [event('id: 7\r\ndata: x\r\n\r\n', 'x', 1, { id: '7' })]],
  ['CR', 'data: x\r\rdata: y\r\r ', [event('data: x\r\r', 'x', 1), event('data: y\r\r', 'y', 1)]],
  [
    'all line ends mixed',
    'data: x\r\nid: 1\r\ndata: y\n\r',
    [event('data: x\r\nid: 1\r\ndata: y\n\r', 'x\r\nid: 1\r\ndata: y', 2, { id: '1' })],
  ],
  ['a comment', ': ping\n\n', [event(': ping\n\n', null, 0)]],
  ['a blank line alone', '\n', [event('\n', null, 0)]],
  [
    'blank lines between',
    'data:a\n\n\ndata:b\n\n',
    [event('data:a\n\n', 'a', 1), event('\n', null, 0), event('data:b\n\n', 'b', 1)],
  ],
  ['no blank behind the colon', 'data:x\n\n', [event('data:x\n\n', 'x', 1)]],
  ['two blanks behind the colon', 'data:  x\n\n', [event('data:  x\n\n', ' x', 1)]],
  ['a tab behind the colon', 'data:\tx\n\n', [event('data:\tx\n\n', '\tx', 1)]],
  ['no colon', 'data\n\n', [event('data\n\n', '', 1)]],
  ['empty data', 'data:\n\n', [event('data:\n\n', '', 1)]],
  ['a colon in the value', 'data: a: b\n\n', [event('data: a: b\n\n', 'a: b', 1)]],
  [
    'several data lines',
    'data: a\ndata\ndata:b\n\n',
    [event('data: a\ndata\ndata:b\n\n', 'a\ndata\ndata:b', 3)],
  ],
  [
    'fields that only look known',
    'Data: a\n data: b\ndatas: c\ndat: d\nevents: x\n\n',
    [event('Data: a\n data: b\ndatas: c\ndat: d\nevents: x\n\n', null, 0)],
  ],
  [
    'the last of equal fields',
    'event: a\nevent: b\nid: 1\nid: 2\nretry: 10\nretry: 20\n\n',
    [
      event('event: a\nevent: b\nid: 1\nid: 2\nretry: 10\nretry: 20\n\n', null, 0, {
        type: 'b',
        id: '2',
        retry: '20',
      }),
    ],
  ],
  ['an id with NUL is none', 'id: a\nid: b\0\n\n', [event('id: a\nid: b\0\n\n', null, 0, { id: 'a' })]],
  ['an empty id', 'id\n\n', [event('id\n\n', null, 0, { id: '' })]],
  [
    'a retry that is no number is none',
    'retry: 5\nretry: 5s\nretry:\n\n',
    [event('retry: 5\nretry: 5s\nretry:\n\n', null, 0, { retry: '5' })],
  ],
  ['a byte-order mark is part of the first name', '\ufeffdata: x\n\n', [event('\ufeffdata: x\n\n', null, 0)]],
  ['text beyond ASCII', 'data: né 🌤\n\n', [event('data: né 🌤\n\n', 'né 🌤', 1)]],
  ['an event that never ends', 'data: x\n', []],
  ['nothing', '', []],
];

const ALL = `${STREAMS.map(([, text]) => text.trimEnd()).join('\n\n')}\n\ndata: ${'x'.repeat(200)}\r\n\r\ndata: end`;

/** Runs the suite on the scanner that `make` gives. */
export function streamSuite(label: string, make: () => Scanner): void {
  describe(`sse() of ${label}`, () => {
    test.each(STREAMS)('%s', (_name, text, events) => {
      expect(split(make(), text, true)).toEqual([...events]);
    });

    test('a CR at the end is held back until more comes, or nothing can', () => {
      const scanner = make();
      expect(split(scanner, 'data: x\n\r')).toEqual([]);
      expect(split(scanner, 'data: x\n\r\n')).toEqual([event('data: x\n\r\n', 'x', 1)]);
      expect(split(scanner, 'data: x\n\rd')).toEqual([event('data: x\n\r', 'x', 1)]);
      expect(split(scanner, 'data: x\n\r', true)).toEqual([event('data: x\n\r', 'x', 1)]);
      expect(split(scanner, 'data: x\r\n\r')).toEqual([]);
    });

    test('room for one, two and exactly all events', () => {
      const scanner = make();
      const text = 'data: 1\n\n:\n\ndata: 3\n\n';
      const all = split(scanner, text);
      expect(all).toHaveLength(3);
      for (const room of [1, 2, 3, 4]) expect(split(scanner, text, false, room)).toEqual(all.slice(0, room));
    });

    test('cut at every place, at every pair of places of a part, and byte by byte: the same events', () => {
      const scanner = make();
      const stream = encode(ALL);
      const whole = feed(scanner, stream, [], 64);
      expect(whole.length).toBeGreaterThan(STREAMS.length);
      for (let cut = 0; cut <= stream.length; cut++) expect(feed(scanner, stream, [cut], 3)).toEqual(whole);
      expect(
        feed(
          scanner,
          stream,
          Array.from(stream, (_, at) => at),
          2,
        ),
      ).toEqual(whole);
      const part = encode('id: 1\r\ndata: a\r\n\r\n\r\n: c\r\rdata: b\n\nx');
      const events = feed(scanner, part, [], 64);
      for (let a = 0; a <= part.length; a++)
        for (let b = a; b <= part.length; b++) expect(feed(scanner, part, [a, b], 64)).toEqual(events);
    });

    test('all 256 bytes in a name and in a value', () => {
      const scanner = make();
      const out = new Int32Array(8 * EVENT.length);
      for (let byte = 0; byte < 256; byte++) {
        const value = Uint8Array.from([...encode('data: a'), byte, ...encode('b\n\n')]);
        const ends = byte === 10 || byte === 13;
        expect(scanner.sse(value, 0, value.length, false, out)).toBe(1);
        expect([byte, out[EVENT.dataEnd]]).toEqual([byte, ends ? 7 : 9]);
        const name = Uint8Array.from([...encode('dat'), byte, ...encode('a: b\n\n')]);
        expect(scanner.sse(name, 0, name.length, false, out)).toBe(1);
        expect([byte, out[EVENT.dataLines]]).toEqual([byte, 0]);
      }
    });

    test('a range inside a larger array, offsets absolute', () => {
      const scanner = make();
      const bytes = encode('data: 0\n\ndata: x\n\ndata: 2\n\n');
      const out = new Int32Array(4 * EVENT.length);
      expect(scanner.sse(bytes, 9, 18, false, out)).toBe(1);
      expect([...out.subarray(0, EVENT.dataLines + 1)]).toEqual([9, 18, 15, 16, 1]);
    });
  });
}

/** Compares the scanner that `make` gives with the portable one on generated streams. */
export function compareStreams(label: string, make: () => Scanner): void {
  test(`sse() of ${label}: equal to the portable scanner on generated streams`, () => {
    const scanner = make();
    const portable = portableScanner();
    const part = fc.constantFrom(
      'data',
      'data:',
      'data: ',
      'event:',
      'id: ',
      'retry: ',
      ':',
      ' ',
      '1',
      '23',
      'é',
      '\0',
      'x'.repeat(70),
      '\n',
      '\n',
      '\r',
      '\r\n',
      '\n\n',
    );
    const property = fc.property(
      fc.array(part, { maxLength: 80 }),
      fc.boolean(),
      fc.integer({ min: 1, max: 9 }),
      (parts, last, room) => {
        const bytes = encode(parts.join(''));
        const wanted = new Int32Array(room * EVENT.length);
        const got = new Int32Array(room * EVENT.length);
        const count = portable.sse(bytes, 0, bytes.length, last, wanted);
        expect(scanner.sse(bytes, 0, bytes.length, last, got)).toBe(count);
        const written = count * EVENT.length;
        expect(got.subarray(0, written)).toEqual(wanted.subarray(0, written));
      },
    );
    fc.assert(property, { numRuns: 1000 });
  });
}
