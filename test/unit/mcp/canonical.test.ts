// One spelling for each JSON value.
// Runs src/mcp/canonical.ts alone.
import { expect, test } from 'bun:test';
import fc from 'fast-check';
import { encode } from '../../../src/base/bytes.ts';
import { canonical } from '../../../src/mcp/canonical.ts';

const of = (text: string): string => canonical(encode(text), text.search(/\S/));

test('blanks, the order of members and escapes make no difference', () => {
  expect(of('{"b":[1, 2 ,{"y":null,"x":"\\u0061"}],"a":true}')).toBe(
    of(' { "a" : true , "b" : [ 1,2,{ "x":"a", "y" : null } ] } '),
  );
  expect(of('{"\\u0061":1,"b":2}')).toBe('{"a":1,"b":2}');
});

test('what a reader could tell apart stays apart', () => {
  const values = [
    ...['1', '1.0', '9007199254740993', '9007199254740992', '"1"', 'null', '"null"', '[]', '{}', '[[]]'],
    ...['[1,2]', '[2,1]', '{"a":1}', '{"a":[1]}', '{"a":1,"a":2}', '{"a":2,"a":1}', '"\\ud800"', '"\\ud801"'],
    ...['""', '"a,b"', '["a,b"]', '["a","b"]', '{"a":"b","c":"d"}', '{"a":"b\\",\\"c\\":\\"d"}'],
  ];
  expect(new Set(values.map(of)).size).toBe(values.length);
});

test('equal values have one text, others have others', () => {
  const shuffled = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(shuffled);
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(
      Object.entries(value)
        .reverse()
        .map(([key, one]) => [key, shuffled(one)]),
    );
  };
  fc.assert(
    fc.property(fc.jsonValue(), fc.jsonValue(), (one, other) => {
      const text = of(JSON.stringify(one));
      expect(of(JSON.stringify(shuffled(one), null, 2))).toBe(text);
      expect(Bun.deepEquals(JSON.parse(text), JSON.parse(JSON.stringify(one)))).toBe(true);
      if (!Bun.deepEquals(one, other, true)) expect(of(JSON.stringify(other))).not.toBe(text);
    }),
    { numRuns: 300 },
  );
});
