// Events: what is written can be read, however it was cut; ids lead back to their server.
// Run by `bun test`; pure, no sockets.
import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { concat, encode } from '../../../src/base/bytes.ts';
import {
  EventReader,
  flatten,
  fullEvent,
  joinEventId,
  messageEvent,
  splitEventId,
} from '../../../src/mcp/sse.ts';
import { scanners, textOf } from '../../fixtures/messages.ts';

interface Seen {
  readonly data: string;
  readonly id: string | null;
  readonly retry: string | null;
}

const MESSAGES = ['{"a":1}', '{"b":"é\\n"}', '[]'];

for (const scanner of scanners()) {
  describe(`event reader on the ${scanner.name} scanner`, () => {
    const read = (chunks: readonly Uint8Array[]): Seen[] => {
      const reader = new EventReader(scanner);
      const seen: Seen[] = [];
      for (const chunk of chunks)
        reader.push(chunk, (event) =>
          seen.push({
            data: textOf(event.data),
            id: event.id && textOf(event.id),
            retry: event.retry && textOf(event.retry),
          }),
        );
      return seen;
    };
    const stream = concat([
      fullEvent(null, 'x', '100'),
      ...MESSAGES.map((message, i) => fullEvent(encode(message), `${i}`, null)),
      encode(': c\n\n'),
      messageEvent(encode('{}')),
    ]);
    const whole: Seen[] = [
      { data: '', id: 'x', retry: '100' },
      ...MESSAGES.map((data, i) => ({ data, id: `${i}`, retry: null })),
      { data: '', id: null, retry: null },
      { data: '{}', id: null, retry: null },
    ];

    test('every cut gives the same events', () => {
      expect(read([stream])).toEqual(whole);
      for (let cut = 0; cut <= stream.length; cut++)
        expect(read([stream.subarray(0, cut), stream.subarray(cut)])).toEqual(whole);
      expect(read([...stream].map((byte) => Uint8Array.of(byte)))).toEqual(whole);
    });

    test('several data lines are one message; a byte-order mark is not part of it', () => {
      expect(read([encode('\ufeffdata: {"a":\ndata:1}\n\n')])).toEqual([
        { data: '{"a":\n1}', id: null, retry: null },
      ]);
      expect(read([encode('data: 1\r\n\r\ndata: 2\r\rdata: 3\n\n')]).map((event) => event.data)).toEqual([
        '1',
        '2',
        '3',
      ]);
    });

    test('a visitor may feed another reader, and may throw, without disturbing the events around it', () => {
      const inner: string[] = [];
      const outer: string[] = [];
      new EventReader(scanner).push(stream, (event) => {
        new EventReader(scanner).push(stream, (within) => inner.push(textOf(within.data)));
        outer.push(textOf(event.data));
      });
      const expected = whole.map((event) => event.data);
      expect(outer).toEqual(expected);
      expect(inner).toEqual(expected.flatMap(() => expected));
      const thrown = (): void =>
        new EventReader(scanner).push(stream, () => {
          throw new Error('a fault of the visitor');
        });
      expect(thrown).toThrow('a fault of the visitor');
      expect(read([stream])).toEqual(whole);
    });

    test('any JSON survives being an event', () => {
      fc.assert(
        fc.property(
          fc.array(fc.jsonValue(), { maxLength: 5 }),
          fc.constantFrom(undefined, 1),
          (values, indent) => {
            const texts = values.map((value) => JSON.stringify(value, null, indent));
            const seen = read([concat([encode(''), ...texts.map((text) => messageEvent(encode(text)))])]);
            expect(seen.map((event): unknown => JSON.parse(event.data))).toEqual(
              values.map((value): unknown => JSON.parse(JSON.stringify(value))),
            );
          },
        ),
        { numRuns: 100 },
      );
    });
  });
}

test('flatten changes newlines only, and copies only then', () => {
  const plain = encode('{"a": 1}');
  expect(flatten(plain)).toBe(plain);
  expect(textOf(flatten(encode('{\n"a":\r\n1}')))).toBe('{ "a":  1}');
});

test('event ids come apart as they were joined; foreign ones do not', () => {
  fc.assert(
    fc.property(
      fc.constantFrom('a', 'a-b', 'x.y'),
      fc.constantFrom('session' as const, 'call' as const),
      fc.string(),
      (server, kind, id) => {
        expect(splitEventId(joinEventId(server, kind, id))).toEqual({ server, kind, id });
      },
    ),
  );
  for (const foreign of ['', '1', 'a+b', 'a+other+1', '+call+1']) expect(splitEventId(foreign)).toBeNull();
});
