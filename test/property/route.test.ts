// Routes as properties: the addon, the portable scanner, the look-up of decoded texts and a Map of strings all say the same.
// Promises: bounded in count; a failure prints fast-check's seed; without an addon one printed line says that the rest is tested alone.
import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { encode } from '../../src/base/bytes.ts';
import { Routes } from '../../src/route/match.ts';
import { type RouteEntry, RouteTable } from '../../src/route/table.ts';
import { loadAddon } from '../../src/scan/addon.ts';
import { ENVELOPE, ROUTE_KIND, SCAN, type Scanner } from '../../src/scan/contract.ts';
import { portableScanner } from '../../src/scan/portable.ts';
import { verdictOf } from '../contract/scanner-route.ts';
import { RouteModel } from '../fixtures/route-model.ts';

const { scanner: addon, failure } = loadAddon();
if (addon === null) console.log(`routes: the addon is not tested (${failure})`);
const scanners: readonly Scanner[] = addon === null ? [portableScanner()] : [portableScanner(), addon];

/** Pieces that marks are made of, and what may stand around them. */
const piece = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom('_', '__', '+', 'a', 'b', 'ab', '-', '.', 'é', '😀', 'srv') },
  { weight: 1, arbitrary: fc.string({ unit: 'grapheme', maxLength: 4 }) },
  { weight: 1, arbitrary: fc.string({ unit: 'grapheme-ascii', maxLength: 40 }) },
  { weight: 1, arbitrary: fc.constantFrom('"', '\\', '\n', '\u0000', '\ud800', '/') },
);
const text = fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join(''));
const whole = text.filter((one) => one.isWellFormed());

const entry: fc.Arbitrary<RouteEntry> = fc.record({
  endpoint: fc.nat(2),
  kind: fc.constantFrom('name' as const, 'uri' as const),
  match: fc.constantFrom('exact' as const, 'prefix' as const),
  text: whole,
  upstream: fc.nat(1 << 30),
});

/** Entries as a table takes them: prefixes end in their mark and are not too long, no two are alike. */
const entries = fc.array(entry, { maxLength: 40 }).map((all) => {
  const kept = new Map<string, RouteEntry>();
  for (const one of all) {
    const mark = one.kind === 'name' ? '__' : '+';
    const name = encode(one.text).length > 64 ? 'long' : one.text;
    const marked = one.match === 'prefix' ? { ...one, text: name + mark } : one;
    kept.set(JSON.stringify([marked.endpoint, marked.kind, marked.match, marked.text]), marked);
  }
  return [...kept.values()];
});

type Question = readonly [endpoint: number, kind: RouteEntry['kind'], value: string];

const stranger: fc.Arbitrary<Question> = fc.tuple(
  fc.nat(2),
  fc.constantFrom('name' as const, 'uri' as const),
  text,
);

/** A question that is not entirely strange to the table: an entry's own text, with something behind it or its end cut off. */
function question(all: readonly RouteEntry[]): fc.Arbitrary<Question> {
  if (all.length === 0) return stranger;
  const known = fc
    .tuple(fc.constantFrom(...all), fc.oneof(fc.constant(''), text), fc.nat(4))
    .map(([one, more, cut]): Question => {
      const kept = cut === 4 ? one.text.slice(0, -1) : one.text;
      return [one.endpoint, one.kind, kept + more];
    });
  return fc.oneof({ weight: 1, arbitrary: stranger }, { weight: 4, arbitrary: known });
}

function message(kind: RouteEntry['kind'], value: string, spelling: number): Uint8Array {
  const spelled = JSON.stringify(value);
  // What holds an escape already is left alone: a letter of "\\ud83a" is no letter of the name.
  const disguised =
    spelling === 0 || spelled.includes('\\')
      ? spelled
      : spelled.replace(/[_+a]/, (c) => `\\u00${c.charCodeAt(0).toString(16)}`);
  const method = kind === 'name' ? 'tools/call' : 'resources/read';
  return encode(
    `{"jsonrpc":"2.0","id":1,"method":"${method}","params":{"${kind}":${disguised},"arguments":{}}}`,
  );
}

describe('routes', () => {
  test('every way to look up says what a Map of strings says', () => {
    let found = 0;
    let escaped = 0;
    const world = entries.chain((all) =>
      fc.record({
        all: fc.constant(all),
        asked: fc.array(fc.tuple(question(all), fc.nat(3)), { minLength: 1, maxLength: 12 }),
      }),
    );
    const tables = Array.from({ length: 2 }, () => RouteTable.create(40, 40 * 400));
    const readers = tables.map(({ memory }) => scanners.map((one) => new Routes(one, memory)));
    fc.assert(
      fc.property(world, fc.nat(1), ({ all, asked }, which) => {
        const model = new RouteModel(all);
        expect(tables[which]?.publish(all)).toBe(true);
        for (const [[endpoint, kind, value], spelling] of asked) {
          const wanted = model.find(endpoint, kind, value);
          for (const reader of readers[which] ?? []) {
            const routes = reader.endpoint(endpoint);
            expect([value, routes.find(ROUTE_KIND[kind], value)]).toEqual([value, wanted]);
            const bytes = message(kind, value, spelling === 0 ? 1 : 0);
            const envelope: Int32Array = new Int32Array(ENVELOPE.length);
            expect(routes.scan(bytes, envelope)).toBe(SCAN.ok);
            const isEscaped = bytes.includes(0x5c);
            const verdict = verdictOf(bytes, envelope);
            expect([value, verdict]).toEqual([value, isEscaped ? 'escaped' : (wanted ?? 'unknown')]);
            if (isEscaped) escaped++;
            else if (wanted !== null) found++;
          }
        }
      }),
      { numRuns: 400 },
    );
    // That the generators find their way into both kinds of answers.
    expect([found > 200, escaped > 200]).toEqual([true, true]);
  });

  test.each([0, 1, 10, 10_000])('a table of %i names holds each of them and nothing else', (count) => {
    const all = Array.from({ length: count }, (_, i): RouteEntry => {
      const isPrefix = i % 3 === 0;
      const name = isPrefix ? `srv-${i}__` : `srv-${i}__tool_é_${i * 7}`;
      return { endpoint: i % 4, kind: 'name', match: isPrefix ? 'prefix' : 'exact', text: name, upstream: i };
    });
    const table = RouteTable.of(all);
    for (const scanner of scanners) {
      const scan = scanner.withRoutes(table.memory);
      const envelope = new Int32Array(ENVELOPE.length);
      const routeOf = (endpoint: number, name: string): number => {
        expect(scan.scan(message('name', name, 0), envelope, endpoint)).toBe(SCAN.ok);
        return envelope[ENVELOPE.route] ?? 0;
      };
      for (const { endpoint, text: name, upstream, match } of all) {
        expect(routeOf(endpoint, name)).toBe(upstream);
        expect(routeOf(endpoint + 1, name)).toBe(-2);
        expect(routeOf(endpoint, `${name}x`)).toBe(match === 'prefix' ? upstream : -2);
        expect(routeOf(endpoint, `x${name}`)).toBe(-2);
      }
      expect(routeOf(0, 'srv')).toBe(-2);
    }
  });
});
