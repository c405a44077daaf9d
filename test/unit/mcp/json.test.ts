// The JSON cursor: finds what JSON.parse finds, at the right places.
// Run by `bun test`; pure, no sockets.
import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { decode, encode } from '../../../src/base/bytes.ts';
import {
  eachElement,
  eachMember,
  member,
  numberMember,
  readString,
  skipBlank,
  stringMember,
  valueEnd,
} from '../../../src/mcp/json.ts';

describe('json cursor', () => {
  test('valueEnd stops where the value stops', () => {
    for (const value of [
      '1',
      '-1.5e10',
      '"a\\"b"',
      '[1,[2],"]"]',
      '{"a":"}","b":{"c":[]}}',
      'true',
      'null',
      '""',
    ]) {
      for (const after of ['', ',', ' ', '}', ']', '\n'])
        expect(valueEnd(encode(value + after), 0)).toBe(value.length);
    }
  });

  test('members and elements of any JSON are those that JSON.parse sees', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string(), fc.jsonValue()),
        fc.constantFrom(undefined, 1, '\t'),
        (object, indent) => {
          const bytes = encode(JSON.stringify(object, null, indent));
          const seen: [string, unknown][] = [];
          eachMember(bytes, 0, (key, value) => {
            seen.push([
              readString(bytes, key.start, key.end) ?? '',
              JSON.parse(decode(bytes, value.start, value.end)),
            ]);
          });
          expect(seen).toEqual(Object.entries(JSON.parse(decode(bytes))));
        },
      ),
      { numRuns: 300 },
    );
    fc.assert(
      fc.property(fc.array(fc.jsonValue()), fc.constantFrom(undefined, 2), (array, indent) => {
        const bytes = encode(JSON.stringify(array, null, indent));
        const seen: unknown[] = [];
        eachElement(bytes, 0, (start, end) => seen.push(JSON.parse(decode(bytes, start, end))));
        expect(seen).toEqual(JSON.parse(decode(bytes)));
      }),
      { numRuns: 300 },
    );
  });

  test('a member is found by its unescaped key, and the last one wins', () => {
    const bytes = encode('{"\\u006eame":"a","name" : "b","n":1.50}');
    expect(stringMember(bytes, 0, 'name')).toBe('b');
    expect(numberMember(bytes, 0, 'n')).toBe(1.5);
    expect(member(bytes, 0, 'none')).toBeNull();
    expect(stringMember(encode('{"\\u006eame":"a"}'), 0, 'name')).toBe('a');
    expect(numberMember(encode('{"n":"1"}'), 0, 'n')).toBeNull();
  });

  test('skipBlank passes the four kinds of white space only', () => {
    expect(skipBlank(encode(' \t\r\nx'), 0)).toBe(4);
  });
});

test('the end of a string is found wherever its quotes and backslashes are', () => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom('a', 'bc', '"', '\\', '\n', 'é', 'x'.repeat(29), 'y'.repeat(70)), {
        maxLength: 40,
      }),
      (parts) => {
        const value = JSON.stringify(parts.join(''));
        const bytes = encode(`${value},"later"`);
        expect(valueEnd(bytes, 0)).toBe(encode(value).length);
      },
    ),
    { numRuns: 500 },
  );
});
