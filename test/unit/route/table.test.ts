// The publishing end of the route table: what fits, what does not, what is refused, and what a snapshot's routes are.
// Runs route/table.ts, route/match.ts and memory/route-layout.ts; pure, no sockets.
import { describe, expect, test } from 'bun:test';
import { GatewayError } from '../../../src/base/errors.ts';
import {
  halfHeadAt,
  planRoutes,
  ROUTE_HALF,
  ROUTE_HEAD,
  slotsFor,
} from '../../../src/memory/route-layout.ts';
import { Routes } from '../../../src/route/match.ts';
import { type RouteEntry, RouteTable, routesOf } from '../../../src/route/table.ts';
import { ROUTE_KIND } from '../../../src/scan/contract.ts';
import { portableScanner } from '../../../src/scan/portable.ts';

const exact = (text: string, upstream: number): RouteEntry => ({
  endpoint: 0,
  kind: 'name',
  match: 'exact',
  text,
  upstream,
});

function find(table: RouteTable, text: string, kind: number = ROUTE_KIND.name, endpoint = 0): unknown {
  return new Routes(portableScanner(), table.memory).endpoint(endpoint).find(kind, text);
}

describe('publications', () => {
  test('an empty table knows nothing, and each publication takes the place of all before', () => {
    const table = RouteTable.create(4, 40);
    expect([table.epoch, find(table, 'a')]).toEqual([0, null]);
    expect(table.publish([exact('a', 1), exact('b', 2)])).toBe(true);
    expect([find(table, 'a'), find(table, 'b')]).toEqual([
      { index: 1, own: 'a' },
      { index: 2, own: 'b' },
    ]);
    expect(table.publish([exact('b', 3)])).toBe(true);
    expect([table.epoch, find(table, 'a'), find(table, 'b')]).toEqual([2, null, { index: 3, own: 'b' }]);
    expect(table.publish([])).toBe(true);
    expect([table.epoch, find(table, 'b')]).toEqual([3, null]);
  });

  test('what does not fit changes nothing, and what was promised room has it', () => {
    const table = RouteTable.create(100, 1_000);
    const names = (count: number, bytes: number): RouteEntry[] =>
      Array.from({ length: count }, (_, i) => exact(`${i}`.padStart(bytes, '.'), i));
    expect(table.publish(names(100, 10))).toBe(true);
    expect(table.publish(names(3, 333))).toBe(true);
    // More names than slots for them; fewer, but longer than the texts that there is room for.
    expect(table.publish(names(129, 3))).toBe(false);
    expect(table.publish(names(50, 60))).toBe(false);
    expect([table.epoch, find(table, '2'.padStart(333, '.'))]).toEqual([
      2,
      { index: 2, own: '2'.padStart(333, '.') },
    ]);
  });

  test('routes that cannot be meant are a fault of ours, and what is in force stays so', () => {
    const table = RouteTable.create(10, 1_000);
    table.publish([exact('a', 1)]);
    const prefix: RouteEntry = { ...exact('a__', 1), match: 'prefix' };
    for (const bad of [
      [exact('b', 1), exact('b', 2)],
      [prefix, prefix],
      [{ ...prefix, text: 'a' }],
      [{ ...prefix, kind: 'uri' as const }],
      [{ ...prefix, text: `${'n'.repeat(65)}__` }],
      [exact('a', -1)],
      [{ ...exact('a', 1), endpoint: -1 }],
      [{ ...exact('a', 1), strip: 2 }],
    ])
      expect(() => table.publish(bad)).toThrow(GatewayError);
    expect([table.epoch, find(table, 'a'), find(table, 'b')]).toEqual([1, { index: 1, own: 'a' }, null]);
  });

  test('the same text may be a name, a URI, a prefix, and another endpoint’s', () => {
    const table = RouteTable.of([
      exact('a__', 1),
      { ...exact('a__', 2), match: 'prefix' },
      { ...exact('a__', 3), kind: 'uri' },
      { ...exact('a__', 4), endpoint: 1 },
    ]);
    expect(find(table, 'a__')).toEqual({ index: 1, own: 'a__' });
    expect(find(table, 'a__x')).toEqual({ index: 2, own: 'x' });
    expect(find(table, 'a__', ROUTE_KIND.uri)).toEqual({ index: 3, own: 'a__' });
    expect(find(table, 'a__', ROUTE_KIND.name, 1)).toEqual({ index: 4, own: 'a__' });
    expect(find(table, 'a__', ROUTE_KIND.name, 2)).toBeNull();
  });
});

describe('layout', () => {
  test('slots are twice the entries at least, in whole lines and powers of two', () => {
    expect([0, 1, 4, 5, 100, 1_000_000].map(slotsFor)).toEqual([8, 8, 8, 16, 256, 2_097_152]);
  });

  test('heads and halves keep to lines of their own', () => {
    const plan = planRoutes(10, 100);
    expect(
      [ROUTE_HEAD.epoch, halfHeadAt(0), halfHeadAt(1), plan.recordWordsMax].map((at) => at % 16),
    ).toEqual([0, 0, 0, 0]);
    expect(halfHeadAt(1) + ROUTE_HALF.words).toBe(ROUTE_HEAD.words);
    // 64 words of head, 32 slots of 2 words in each half, 10 × 5 + 25 words of records rounded up to lines.
    expect(plan).toEqual({ slotsMax: 32, recordWordsMax: 80, words: 64 + 128 + 160 });
  });
});

describe('a snapshot’s routes', () => {
  const servers = ['files', 'x_', 'x'].map((name) => ({ name }));

  test('both marks of each member of a joined endpoint; none of one that passes through', () => {
    const entries = routesOf({
      servers,
      endpoints: [
        { members: [0, 1, 2], prefixed: true },
        { members: [0], prefixed: false },
        { members: [2, 0], prefixed: true },
      ],
    });
    expect(entries.length).toBe(10);
    const table = RouteTable.of(entries);
    expect(find(table, 'files__read')).toEqual({ index: 0, own: 'read' });
    expect(find(table, 'x___t')).toEqual({ index: 1, own: 't' });
    expect(find(table, 'x__t__u')).toEqual({ index: 2, own: 't__u' });
    expect(find(table, 'x+a+b', ROUTE_KIND.uri)).toEqual({ index: 2, own: 'a+b' });
    expect(find(table, 'files__read', ROUTE_KIND.name, 1)).toBeNull();
    expect(find(table, 'files__read', ROUTE_KIND.name, 2)).toEqual({ index: 1, own: 'read' });
    expect(find(table, 'read')).toBeNull();
    expect(find(table, 'test://x+y', ROUTE_KIND.uri)).toBeNull();
  });

  test('what is left of a name keeps its lone surrogates', () => {
    const table = RouteTable.of(routesOf({ servers, endpoints: [{ members: [0], prefixed: true }] }));
    expect(find(table, 'files__\ud800x')).toEqual({ index: 0, own: '\ud800x' });
  });
});
