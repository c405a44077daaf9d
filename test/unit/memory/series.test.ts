// Figures of servers, tools and endpoints: what one worker counts, all of them read together, and what is cleared for others.
// Runs src/memory/series.ts, series-read.ts and series-clear.ts.
import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { encode } from '../../../src/base/bytes.ts';
import { ERROR_NUMBERS, numberOfError } from '../../../src/base/error-numbers.ts';
import { METHOD } from '../../../src/mcp/protocol.ts';
import { blankEntry, type JournalEntry } from '../../../src/memory/journal.ts';
import { createMemory, type PlaneMemory } from '../../../src/memory/memory.ts';
import { clearEndpoint, clearUpstream } from '../../../src/memory/reclaim.ts';
import { type SeriesMarks, SeriesWriter } from '../../../src/memory/series.ts';
import { COUNTED_METHODS, ERROR_SERIES } from '../../../src/memory/series-layout.ts';
import {
  BOUNDS_US,
  endpointTimes,
  errorCounts,
  serverSeries,
  toolSeries,
} from '../../../src/memory/series-read.ts';

function make(tools = 64): PlaneMemory {
  return createMemory(
    { workers: 2, upstreams: 3, endpoints: 2, ringBytes: 4096, journalRecords: 4, tools },
    0,
  );
}

function call(name: string, parts: Partial<JournalEntry> = {}): JournalEntry {
  const body = encode(`"${name}"`);
  return {
    ...blankEntry(),
    ...{ server: 1, sends: 1, method: 'tools/call', body, nameStart: 1, nameEnd: body.length - 1 },
    ...parts,
  };
}

const MARKS: SeriesMarks = { toolStart: 1, isRpcError: false, isTimed: true };

describe('a server', () => {
  test('is counted by method and outcome, over all workers', () => {
    const memory = make();
    const [one, two] = [new SeriesWriter(memory, 0), new SeriesWriter(memory, 1)];
    one.countServer(call('a', { replyBytes: 7 }), MARKS);
    two.countServer(call('a', { outcome: 2, sends: 3 }), { ...MARKS, isRpcError: true });
    two.countServer(call('a', { method: 'notifications/cancelled', isCached: true }), MARKS);
    two.countServer(call('a', { method: 'made/up' }), MARKS);
    const series = serverSeries(memory, 1);
    expect(series.exchanges).toEqual([
      { method: 'tools/call', outcome: 0, count: 1 },
      { method: 'tools/call', outcome: 2, count: 1 },
      { method: 'notification', outcome: 0, count: 1 },
      { method: 'other', outcome: 0, count: 1 },
    ]);
    expect(series).toMatchObject({ requestBytes: 12, replyBytes: 7, repeats: 2, cached: 1, rpcErrors: 1 });
    expect(serverSeries(memory, 0).exchanges).toEqual([]);
  });

  test('has each time in the bucket whose bound is the next above it', () => {
    const us = fc.oneof(
      fc.double({ min: 0, max: 1e9, noNaN: true }),
      fc.constantFrom(0, 31.9, 32, 64, 2 ** 28),
    );
    fc.assert(
      fc.property(us, (durationUs) => {
        const memory = make(0);
        new SeriesWriter(memory, 0).countServer(call('a', { durationUs }), MARKS);
        const { buckets, sumUs } = serverSeries(memory, 1).times.total;
        const at = buckets.indexOf(1);
        expect(durationUs).toBeLessThan(BOUNDS_US[at] ?? Number.POSITIVE_INFINITY);
        expect(durationUs).toBeGreaterThanOrEqual(BOUNDS_US[at - 1] ?? 0);
        expect(sumUs).toBe(durationUs);
      }),
      { numRuns: 100 },
    );
  });

  test('shows a phase of those only that were in it, and no time of an event stream', () => {
    const memory = make();
    const writer = new SeriesWriter(memory, 0);
    writer.countServer(call('a', { durationUs: 90, gatewayUs: 50, upstreamUs: 40 }), MARKS);
    writer.countServer(call('a', { durationUs: 90, gatewayUs: 90 }), MARKS);
    writer.countServer(call('a', { durationUs: 9e9 }), { ...MARKS, isTimed: false });
    const { times } = serverSeries(memory, 1);
    const counts = Object.entries(times).map(([phase, { buckets }]) => [
      phase,
      buckets.reduce((sum, count) => sum + count, 0),
    ]);
    expect(Object.fromEntries(counts)).toEqual({ total: 2, gateway: 2, queue: 0, connect: 0, upstream: 1 });
  });

  test('that is gone leaves nothing to the next one with its cell, tools included', () => {
    const memory = make();
    for (const worker of [0, 1]) {
      const writer = new SeriesWriter(memory, worker);
      writer.countServer(call('a'), MARKS);
      writer.countServer(call('b', { server: 2 }), MARKS);
    }
    clearUpstream(memory, 1);
    expect(serverSeries(memory, 1)).toEqual(serverSeries(make(), 1));
    expect(toolSeries(memory).map(({ cell, name }) => [cell, name])).toEqual([[2, 'b']]);
    new SeriesWriter(memory, 0).countServer(call('a'), MARKS);
    expect(toolSeries(memory).find(({ name }) => name === 'a')?.exchanges).toEqual([1, 0, 0, 0]);
  });
});

describe('tools', () => {
  test('are told apart by name and server, and added up over the workers', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({ name: fc.stringMatching(/^[a-e]{1,3}$/), server: fc.nat(2), worker: fc.nat(1) }),
          {
            maxLength: 60,
          },
        ),
        (calls) => {
          const memory = make(256);
          const writers = [new SeriesWriter(memory, 0), new SeriesWriter(memory, 1)];
          const wanted = new Map<string, number>();
          for (const { name, server, worker } of calls) {
            writers[worker]?.countServer(call(name, { server }), MARKS);
            wanted.set(`${server} ${name}`, (wanted.get(`${server} ${name}`) ?? 0) + 1);
          }
          const found = toolSeries(memory).map(
            ({ cell, name, exchanges }) => [`${cell} ${name}`, exchanges[0] ?? 0] as const,
          );
          expect(found.length).toBe(wanted.size);
          expect(new Map<string, number>(found)).toEqual(wanted);
        },
      ),
      { numRuns: 30 },
    );
  });

  test('that a server has not answered for are not made', () => {
    const memory = make();
    const writer = new SeriesWriter(memory, 0);
    writer.countServer(call('invented'), { ...MARKS, isRpcError: true });
    writer.countServer(call('invented', { outcome: 1 }), MARKS);
    expect(toolSeries(memory)).toEqual([]);
    writer.countServer(call('real'), MARKS);
    writer.countServer(call('real', { outcome: 2 }), MARKS);
    expect(toolSeries(memory)).toMatchObject([{ name: 'real', exchanges: [1, 0, 1, 0] }]);
  });

  test('beyond the room there is are their server’s alone', () => {
    const memory = make(8);
    const writer = new SeriesWriter(memory, 0);
    for (let n = 0; n < 100; n++) writer.countServer(call(`tool${n}`), MARKS);
    expect(toolSeries(memory)).toHaveLength(8);
    expect(serverSeries(memory, 1).exchanges).toMatchObject([{ count: 100 }]);
    const none = make(0);
    new SeriesWriter(none, 0).countServer(call('a'), MARKS);
    expect(toolSeries(none)).toEqual([]);
  });

  test('are named as they are meant, too long a name not at all', () => {
    const memory = make();
    const writer = new SeriesWriter(memory, 0);
    writer.countServer(call('caf\\u00e9'), MARKS);
    writer.countServer(call('x'.repeat(113)), MARKS);
    expect(toolSeries(memory).map(({ name }) => name)).toEqual(['café']);
  });
});

describe('endpoints and errors', () => {
  test('are counted, and cleared', () => {
    const memory = make();
    const writer = new SeriesWriter(memory, 1);
    const errorNumber = numberOfError('GW_UPSTREAM_TIMEOUT');
    writer.countEndpoint({ ...blankEntry(), endpoint: 1, durationUs: 100, errorNumber }, true);
    expect(errorCounts(memory)).toEqual([{ code: 'GW_UPSTREAM_TIMEOUT', source: 'upstream', count: 1 }]);
    expect(endpointTimes(memory, 1).total.sumUs).toBe(100);
    expect(endpointTimes(memory, 0).total.sumUs).toBe(0);
    clearEndpoint(memory, 1);
    expect(endpointTimes(memory, 1).total.sumUs).toBe(0);
  });

  test('there is room for every code of the table', () => {
    expect(ERROR_NUMBERS).toBeLessThanOrEqual(ERROR_SERIES);
  });

  test('the counted methods are those of the protocol', () => {
    const known: readonly string[] = Object.values(METHOD);
    const own = ['notification', 'other'];
    expect(COUNTED_METHODS.filter((method) => !known.includes(method) && !own.includes(method))).toEqual([]);
  });
});
