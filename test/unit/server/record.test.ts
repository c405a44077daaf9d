// What is left of an exchange that is over: counts, its time in the histogram, its record in the journal.
// Runs src/server/record.ts through the HTTP front, on a simulated clock.
import { describe, expect, test } from 'bun:test';
import { decode } from '../../../src/base/bytes.ts';
import { sumCounters } from '../../../src/memory/counters.ts';
import { mergedHistogram } from '../../../src/memory/histogram.ts';
import { readJournals } from '../../../src/memory/journal.ts';
import { createMemory } from '../../../src/memory/memory.ts';
import { SILENT } from '../../../src/observe/log.ts';
import { Front } from '../../../src/server/http.ts';
import { OUTCOMES, Recorder } from '../../../src/server/record.ts';
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
    { workers: 2, upstreams: 1, endpoints: endpoints.length, ringBytes: 4096, journalRecords: 16 },
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
    recorder.tookOver(endpoint);
    recorder.tookOver({ ...endpoint, path: '/mcp/unheard-of' });
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
    recorder.tookOver(first);
    recorder.handedOver(other);
    recorder.forget([first.path]);
    recorder.tookOver(first);
    expect(sumCounters(memory, 0)).toMatchObject({ takenOver: 1, handedOver: 0 });
    expect(sumCounters(memory, 1)).toMatchObject({ takenOver: 0, handedOver: 1 });
  });
});
