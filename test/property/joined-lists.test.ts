// Properties of joined lists: pages of any size make up the whole list; names are unique, lead back, and do not change when a server is added.
// Run by `bun test`; pure, no sockets. fast-check prints the seed of a failure.
import { describe, expect, test } from 'bun:test';
import * as fc from 'fast-check';
import { decode } from '../../src/base/bytes.ts';
import { type ListPlace, mark, readCursor, writeCursor } from '../../src/mcp/list-cursor.ts';
import type { MemberPages } from '../../src/mcp/merge.ts';
import { mergeLists } from '../../src/mcp/merge-lists.ts';
import { NAME_CHARS_MAX, NameGiver, type NameRule, PREFIXED, shortName } from '../../src/mcp/outward.ts';
import { listShape } from '../../src/mcp/rewrite.ts';
import { NamedChoice } from '../../src/mcp/view.ts';
import { messageOf } from '../fixtures/messages.ts';

interface Tool {
  readonly name: string;
  readonly [key: string]: unknown;
}

const shape = listShape('tools/list', 'legacy');
if (shape === null) throw new Error('no shape');

// Few letters, so that names collide; sometimes as long as to be shortened, and shaped like what shortening makes.
const own = fc.oneof(
  fc.string({ unit: fc.constantFrom('a', 'b', '_'), minLength: 0, maxLength: 3 }),
  fc.string({ unit: fc.constantFrom('a', '_', 'é', '🙂'), minLength: 50, maxLength: 90 }),
  fc.string({ unit: fc.constantFrom('x'), minLength: 60, maxLength: 66 }).map(shortName),
  fc.constantFrom('s1__a', 's2__a', 's1__', '"\\\n'),
);
const names = fc.uniqueArray(own, { maxLength: 6 });
const servers = fc.array(names, { minLength: 1, maxLength: 5 });
const OWN_NAMES: NameRule = { isOwn: true, renameOf: () => null };
const rules = fc.oneof(
  fc.constantFrom(PREFIXED, OWN_NAMES),
  fc
    .record({
      isOwn: fc.boolean(),
      rename: fc.dictionary(fc.constantFrom('a', 'b', 's1__a'), fc.constantFrom('b', 's2__b', 'z')),
    })
    .map(
      ({ isOwn, rename }): NameRule =>
        new NamedChoice({ allow: null, deny: [], rename, override: {} }, isOwn, false),
    ),
);

function given(rule: NameRule, all: readonly (readonly string[])[]): Map<string, string> {
  const giver = new NameGiver(rule);
  const found = new Map<string, string>();
  all.forEach((one, index) => {
    for (const name of one) found.set(`s${index}\n${name}`, giver.give(`s${index}`, name));
  });
  for (const [key, outward] of found) {
    const owner = giver.owners.get(outward);
    expect(`${owner?.server}\n${owner?.own}`).toBe(key);
  }
  return found;
}

describe('names', () => {
  test('are unique, short, lead back to what they stand for, and stay when a server is added', () => {
    fc.assert(
      fc.property(rules, servers, names, (rule, all, added) => {
        const before = given(rule, all);
        expect(new Set(before.values()).size).toBe(before.size);
        for (const name of before.values()) expect(name.length).toBeLessThanOrEqual(NAME_CHARS_MAX);
        const after = given(rule, [...all, added]);
        for (const [key, name] of before) expect(after.get(key)).toBe(name);
      }),
      { numRuns: 400 },
    );
  });

  test('the first of two alike keeps the name', () => {
    expect([...given(OWN_NAMES, [['a', 'b'], ['a'], ['s1__a', 'a']])]).toEqual([
      ['s0\na', 'a'],
      ['s0\nb', 'b'],
      ['s1\na', 's1__a'],
      ['s2\ns1__a', 's2__s1__a'],
      ['s2\na', 's2__a'],
    ]);
  });
});

describe('cursors', () => {
  test('open as they were written, for their own list only', () => {
    const place = fc.record({
      server: fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9.-]{0,20}$/),
      offset: fc.nat(1_000_000),
      last: fc.nat(0xffffffff),
    });
    fc.assert(
      fc.property(place, fc.string(), (at, junk) => {
        const cursor = writeCursor(at, '/mcp\ntools/list');
        expect(readCursor(cursor, '/mcp\ntools/list')).toEqual(at);
        expect(readCursor(cursor, '/mcp\nprompts/list')).toBeNull();
        expect(readCursor(cursor.slice(0, -2), '/mcp\ntools/list')).toBeNull();
        expect(readCursor(junk, '/mcp\ntools/list')).toBeNull();
      }),
      { numRuns: 200 },
    );
  });
});

function pagesOf(server: string, tools: readonly Tool[], cut: number): MemberPages {
  const pages = [];
  for (let at = 0; at === 0 || at < tools.length; at += cut)
    pages.push(
      messageOf(JSON.stringify({ jsonrpc: '2.0', id: 1, result: { tools: tools.slice(at, at + cut) } })),
    );
  return { server, pages, fault: null };
}

/** Every page, each asked for by the cursor of the one before; as a client would see them. */
function walk(lists: readonly MemberPages[], pageSize: number, choice: NamedChoice | null): Tool[][] {
  const pages: Tool[][] = [];
  let from: ListPlace | null = null;
  do {
    let next: ListPlace | null = null;
    const isOwn: boolean = choice?.needsCatalogue === true;
    const begin: number =
      from === null || isOwn ? 0 : lists.findIndex(({ server }) => server === (from?.server ?? ''));
    const { result } = mergeLists(lists.slice(begin), {
      ...{ shape: shape as NonNullable<typeof shape>, self: null, choice, pageSize, from },
      cursorOf: (place) => {
        next = place;
        return 'c';
      },
    });
    const parsed = JSON.parse(decode(result)) as { tools: Tool[]; nextCursor?: string };
    expect(parsed.nextCursor === undefined).toBe(next === null);
    pages.push(parsed.tools);
    from = next;
  } while (from !== null && pages.length < 200);
  return pages;
}

describe('pages', () => {
  const view = fc.record({ isOwn: fc.boolean(), deny: fc.subarray(['a', 's1__*', '/b+/']) });
  test('of any size make up the same list, each element once, in order', () => {
    fc.assert(
      fc.property(
        servers,
        fc.integer({ min: 1, max: 7 }),
        fc.integer({ min: 1, max: 4 }),
        fc.option(view),
        (all, size, cut, seen) => {
          const choice =
            seen === null
              ? null
              : new NamedChoice(
                  { allow: null, deny: seen.deny, rename: {}, override: {} },
                  seen.isOwn,
                  false,
                );
          const lists = all.map((one, i) =>
            pagesOf(
              `s${i}`,
              one.map((name, n) => ({ name, n: `${i}.${n}` })),
              cut,
            ),
          );
          const whole = walk(lists, 0, choice);
          expect(whole.length).toBe(1);
          const pages = walk(lists, size, choice);
          expect(pages.flat()).toEqual(whole[0] ?? []);
          expect(pages.slice(0, -1).every((page) => page.length === size)).toBe(true);
          if (choice === null)
            expect(pages.flat().map(({ n }) => n)).toEqual(
              all.flatMap((one, i) => one.map((_, n) => `${i}.${n}`)),
            );
        },
      ),
      { numRuns: 300 },
    );
  });

  test('go on behind the last element that was shown, when the list has become another one', () => {
    const list = pagesOf(
      's',
      ['new', 'a', 'b', 'c'].map((name) => ({ name })),
      9,
    );
    const at = (offset: number, last: string): string[] =>
      (
        JSON.parse(
          decode(
            mergeLists([list], {
              ...{ shape: shape as NonNullable<typeof shape>, self: null, choice: null, pageSize: 9 },
              from: { server: 's', offset, last: mark(last) },
              cursorOf: () => '',
            }).result,
          ),
        ) as { tools: Tool[] }
      ).tools.map(({ name }) => name);
    // One was put in front of it.
    expect(at(1, 'a')).toEqual(['s__b', 's__c']);
    // The last one is gone: its place counts.
    expect(at(2, 'gone')).toEqual(['s__b', 's__c']);
  });
});
