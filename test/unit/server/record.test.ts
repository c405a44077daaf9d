// What is left of an exchange that is over: counts, its time in the histogram, its record in the journal.
// Runs src/server/record.ts through the HTTP front, on a simulated clock.
import { describe, expect, test } from 'bun:test';
import { decode } from '../../../src/base/bytes.ts';
import { NO_CLIENT_HEADERS } from '../../../src/exchange/client-headers.ts';
import { Exchange } from '../../../src/exchange.ts';
import { sumCounters } from '../../../src/memory/counters.ts';
import { mergedHistogram } from '../../../src/memory/histogram.ts';
import { readJournals } from '../../../src/memory/journal.ts';
import { OUTCOMES } from '../../../src/memory/journal-layout.ts';
import { createMemory } from '../../../src/memory/memory.ts';
import { serverSeries, toolSeries } from '../../../src/memory/series-read.ts';
import { SILENT } from '../../../src/observe/log.ts';
import { Front } from '../../../src/server/http.ts';
import { Recorder } from '../../../src/server/record.ts';
import type { EndpointSpec } from '../../../src/snapshot.ts';
import type { FakeScript } from '../../../src/upstream/fake.ts';
import { FakeInbound } from '../../fixtures/inbound.ts';
import { json, Lab } from '../../fixtures/lab.ts';

const HEADERS = {
  host: 'localhost',
  'content-type': 'application/json',
  accept: 'application/json, text/event-stream',
  'mcp-protocol-version': '2025-06-18',
};
const CALL = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{}}}';
const ANSWER = '{"jsonrpc":"2.0","id":1,"result":{"content":[]}}';

function worldOf(script: FakeScript) {
  const lab = new Lab({ servers: { a: script }, single: 'http' });
  const { endpoints } = lab.snapshot;
  const { clock } = lab.sim;
  const memory = createMemory(
    { workers: 2, upstreams: 2, endpoints: endpoints.length, ringBytes: 4096, journalRecords: 16, tools: 8 },
    clock.wall(),
  );
  const recorder = new Recorder({ memory, worker: 1, snapshot: lab.snapshot, clock });
  let ids = 0;
  const front = new Front({
    snapshot: lab.snapshot,
    pipeline: lab.pipeline,
    handles: lab.handles,
    scanner: lab.scanner,
    clock,
    log: SILENT,
    newId: () => `id${++ids}`,
    recorder,
  });
  const send = async (body: string, ms = 50): Promise<void> => {
    void Promise.resolve(front.handle(new FakeInbound('POST', '/mcp', HEADERS, body)));
    await lab.sim.advance(ms);
  };
  return { lab, memory, recorder, front, send };
}

function exchangeAt(lab: Lab, endpoint: EndpointSpec): Exchange {
  return new Exchange({
    ...{
      id: 'x',
      verb: 'POST',
      snapshot: lab.snapshot,
      endpoint,
      headers: NO_CLIENT_HEADERS,
      startedAtMs: 0,
    },
    ...{ owner: { onFinish: () => undefined }, replyHeaders: {}, answer: () => undefined },
  });
}

describe('an exchange that is over', () => {
  test('is counted, timed and written down, in the stripe of its worker', async () => {
    const { lab, memory, send } = worldOf(() => json(ANSWER, { delayMs: 20 }));
    const beganMs = lab.sim.clock.wall();
    await send(CALL);
    expect(sumCounters(memory, 0)).toMatchObject({
      exchanges: 1,
      ok: 1,
      refused: 0,
      failed: 0,
      requestBytes: CALL.length,
      replyBytes: ANSWER.length,
    });
    const times = mergedHistogram(memory, 0);
    expect(times.count).toBe(1);
    expect(times.maxUs).toBeGreaterThanOrEqual(20_000);
    const [record, ...more] = readJournals(memory, 10);
    expect(more).toEqual([]);
    expect(record).toMatchObject({
      worker: 1,
      status: 200,
      endpoint: 0,
      method: 'tools/call',
      name: 'echo',
      id: 'id1',
    });
    expect([OUTCOMES[record?.outcome ?? -1], record && decode(record.body)]).toEqual(['ok', CALL]);
    expect(Math.abs((record?.wallMs ?? 0) - beganMs)).toBeLessThan(5);
    expect(record?.durationUs).toBe(times.maxUs);
  });

  test('is counted by its outcome, whatever that is', async () => {
    const { memory, send } = worldOf((_sent, index) =>
      index === 0 ? { fail: 'GW_UPSTREAM_CONNECT' } : json(ANSWER),
    );
    await send(CALL);
    await send('{"jsonrpc":');
    await send(CALL);
    expect(sumCounters(memory, 0)).toMatchObject({
      exchanges: 3,
      ok: 1,
      refused: 1,
      failed: 1,
      abandoned: 0,
    });
    expect(
      readJournals(memory, 10)
        .map(({ status }) => status)
        .sort(),
    ).toEqual([200, 400, 502]);
  });

  test('tells where its time went, whose it was, and of which tool', async () => {
    const { memory, send } = worldOf(() => json(ANSWER, { delayMs: 20 }));
    await send(CALL);
    await send(CALL);
    const [record] = readJournals(memory, 10);
    expect(record).toMatchObject({ server: 0, sends: 1, isCached: false, errorCode: null, queueUs: 0 });
    expect(record).toMatchObject({ requestBytes: CALL.length, replyBytes: ANSWER.length });
    expect(record?.upstreamUs).toBeGreaterThanOrEqual(20_000);
    const { gatewayUs = 0, upstreamUs = 0 } = record ?? {};
    expect(gatewayUs + upstreamUs).toBeCloseTo(record?.durationUs ?? -1, 3);
    const server = serverSeries(memory, 0);
    expect(server.exchanges).toEqual([{ method: 'tools/call', outcome: 0, count: 2 }]);
    expect(server.times.upstream.sumUs).toBeGreaterThanOrEqual(40_000);
    const [tool, ...more] = toolSeries(memory);
    expect(more).toEqual([]);
    expect(tool).toMatchObject({ cell: 0, name: 'echo', exchanges: [2, 0, 0, 0] });
  });

  test('with an error of the server is its server’s, and no tool is made of what it names', async () => {
    const wrong = '{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"unknown tool"}}';
    const { memory, send } = worldOf((_, index) =>
      index === 0 ? json(wrong) : { fail: 'GW_UPSTREAM_TIMEOUT' },
    );
    await send(CALL);
    await send(CALL);
    const { rpcErrors, exchanges } = serverSeries(memory, 0);
    expect(rpcErrors).toBe(1);
    expect(exchanges).toEqual([
      { method: 'tools/call', outcome: 0, count: 1 },
      { method: 'tools/call', outcome: 2, count: 1 },
    ]);
    expect(toolSeries(memory)).toEqual([]);
    expect(readJournals(memory, 1)).toMatchObject([{ errorCode: 'GW_UPSTREAM_TIMEOUT' }]);
  });

  test('that is an event stream is counted and is no latency', async () => {
    const { lab, memory, front } = worldOf(() => ({
      headers: { 'content-type': 'text/event-stream' },
      body: [': a\n\n', ': b\n\n'],
      gapMs: 5,
    }));
    void Promise.resolve(front.handle(new FakeInbound('GET', '/mcp', { ...HEADERS, 'mcp-session-id': 's' })));
    await lab.sim.advance(200);
    expect([sumCounters(memory, 0).exchanges, mergedHistogram(memory, 0).count]).toEqual([1, 0]);
  });

  test('handed over and taken over are counts of their own', () => {
    const { lab, memory, recorder } = worldOf(() => json(ANSWER));
    const [endpoint] = lab.snapshot.endpoints;
    if (endpoint === undefined) throw new Error('no endpoint');
    recorder.handedOver(endpoint);
    recorder.tookOver(exchangeAt(lab, endpoint));
    recorder.tookOver(exchangeAt(lab, { ...endpoint, path: '/mcp/unheard-of' }));
    expect(sumCounters(memory, 0)).toMatchObject({ exchanges: 0, handedOver: 1, takenOver: 1 });
  });

  test('an endpoint keeps its place in another snapshot, a path that was forgotten has none', () => {
    const { lab, memory, recorder } = worldOf(() => json(ANSWER));
    const { endpoints } = lab.snapshot;
    const [first] = endpoints;
    if (first === undefined) throw new Error('no endpoint');
    const other = { ...first, name: 'other', path: '/mcp/other' };
    const servers = lab.snapshot.servers.map((_, at) => [at]);
    recorder.use({ endpoints: [other, first], places: { servers, endpoints: [1, 0] } });
    recorder.tookOver(exchangeAt(lab, first));
    recorder.handedOver(other);
    recorder.forget([first.path]);
    recorder.tookOver(exchangeAt(lab, first));
    expect(sumCounters(memory, 0)).toMatchObject({ takenOver: 1, handedOver: 0 });
    expect(sumCounters(memory, 1)).toMatchObject({ takenOver: 0, handedOver: 1 });
  });
});
