// Stateless requests over several servers: bounds, cancellation, and merged listens with everything that can happen to a member.
// Runs proxy/aggregate-modern.ts, listen.ts and listen-member.ts over fake upstreams on a simulated clock.
import { describe, expect, test } from 'bun:test';
import { LIMITS } from '../../../src/base/limits.ts';
import type { FakeReply, FakeScript } from '../../../src/upstream/fake.ts';
import { eventOf, eventStream, json, jsonOf, Lab } from '../../fixtures/lab.ts';

const TAG = 'io.modelcontextprotocol/subscriptionId';
const ack = (id: unknown, notifications: unknown): string =>
  eventOf({
    jsonrpc: '2.0',
    method: 'notifications/subscriptions/acknowledged',
    params: { notifications, _meta: { [TAG]: id } },
  });
const changed = (id: unknown, extra: object = {}): string =>
  eventOf({
    jsonrpc: '2.0',
    method: 'notifications/tools/list_changed',
    params: { ...extra, _meta: { [TAG]: id } },
  });
const over = (id: unknown): string =>
  eventOf({ jsonrpc: '2.0', id, result: { resultType: 'complete', _meta: { [TAG]: id } } });
const FILTER = { notifications: { toolsListChanged: true, resourceSubscriptions: ['a+m://1'] } };

/** Answers every request with the next of these, the last one for ever. */
const inTurn = (...replies: FakeReply[]): FakeScript => {
  let count = 0;
  return () => replies[Math.min(count++, replies.length - 1)] ?? {};
};
const quiet: FakeScript = () => eventStream([ack(9, {})], { hang: true });

describe('listen', () => {
  test('a client that leaves lets go of every member, timers included', async () => {
    const lab = new Lab({ servers: { a: quiet, b: () => ({ hang: true }) } });
    const seen = lab.modern(9, 'subscriptions/listen', FILTER);
    await lab.sim.advance(10);
    expect(seen.events).toEqual([]);
    seen.exchange.abandon();
    expect([...lab.fake('a').sent, ...lab.fake('b').sent].map((sent) => sent.aborted)).toEqual([true, true]);
    await lab.sim.advance(10_000);
    expect([seen.finishes, seen.events.length]).toEqual([1, 0]);
  });

  test('the acknowledgement comes first and within the bound', async () => {
    const lab = new Lab({
      servers: {
        a: () => eventStream([ack(9, { toolsListChanged: true }), changed(9)], { hang: true }),
        b: () => ({ hang: true }),
      },
    });
    const seen = lab.modern(9, 'subscriptions/listen', FILTER);
    await lab.sim.advance(4_999);
    expect(seen.events.length).toBe(0);
    await lab.sim.advance(2);
    expect(seen.events.map((event) => event.method)).toEqual([
      'notifications/subscriptions/acknowledged',
      'notifications/tools/list_changed',
    ]);
    expect(seen.events[0]?.params?.notifications).toEqual({ toolsListChanged: true });
  });

  test('regression: the id is copied byte for byte, whatever it is', async () => {
    for (const id of ['"é\\u0041"', '12345678901234567890', `"${'x'.repeat(300_000)}"`]) {
      const lab = new Lab({
        servers: {
          a: () =>
            eventStream([
              ack('its own', {}),
              `event: message\ndata: {"jsonrpc":"2.0","id":${id},"result":{}}\n\n`,
            ]),
        },
      });
      const seen = lab.post(
        `{"jsonrpc":"2.0","id":${id},"method":"subscriptions/listen","params":{"notifications":{},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`,
        { protocolVersion: '2026-07-28', mcpMethod: 'subscriptions/listen' },
      );
      await lab.sim.advance(10);
      expect(seen.exchange.fault).toBeNull();
      expect(seen.text.includes(`"_meta":{"${TAG}":${id}}}}`)).toBe(true);
      expect(seen.text.includes(`{"jsonrpc":"2.0","id":${id},"result":{"resultType":"complete"`)).toBe(true);
      expect([seen.state, seen.finishes, seen.exchange.outcome]).toEqual(['ended', 1, 'ok']);
    }
  });

  test('regression: a member that breaks off is listened to again, and everything of it counts as changed', async () => {
    const lab = new Lab({
      servers: {
        a: inTurn(
          eventStream([ack(9, { toolsListChanged: true, resourceSubscriptions: ['m://1'] })], {
            fail: 'GW_UPSTREAM_CLOSED',
            failLate: true,
          }),
          { fail: 'GW_UPSTREAM_CONNECT' },
          eventStream([ack(9, { toolsListChanged: true, resourceSubscriptions: ['m://1'] })], { hang: true }),
        ),
        b: quiet,
      },
    });
    const seen = lab.modern(9, 'subscriptions/listen', FILTER);
    await lab.sim.advance(1_500);
    expect([lab.fake('a').sent.length, seen.events.length, seen.state]).toEqual([2, 1, 'open']);
    await lab.sim.advance(2_000);
    expect(lab.fake('a').sent.length).toBe(3);
    expect(seen.events.slice(1)).toEqual([
      { jsonrpc: '2.0', method: 'notifications/tools/list_changed', params: { _meta: { [TAG]: 9 } } },
      {
        jsonrpc: '2.0',
        method: 'notifications/resources/updated',
        params: { uri: 'a+m://1', _meta: { [TAG]: 9 } },
      },
    ]);
    seen.exchange.abandon();
    expect(lab.fake('a').sent[2]?.aborted).toBe(true);
  });

  test('the client leaves while a member is away: it is not asked again', async () => {
    const lab = new Lab({
      servers: { a: () => eventStream([ack(9, {})], { fail: 'GW_UPSTREAM_CLOSED', failLate: true }) },
    });
    const seen = lab.modern(9, 'subscriptions/listen', FILTER);
    await lab.sim.advance(100);
    seen.exchange.abandon();
    await lab.sim.advance(100_000);
    expect(lab.fake('a').sent.length).toBe(1);
  });

  test('members that have no subscriptions, or are not there, leave the others alone', async () => {
    const lab = new Lab({
      servers: {
        a: () => eventStream([ack(9, { toolsListChanged: true })], { hang: true }),
        b: (sent) =>
          json(
            { jsonrpc: '2.0', id: jsonOf(sent.body).id, error: { code: -32601, message: 'no' } },
            { status: 404 },
          ),
        c: () => ({ fail: 'GW_UPSTREAM_CONNECT' }),
      },
    });
    const seen = lab.modern(9, 'subscriptions/listen', FILTER);
    await lab.sim.advance(10);
    expect([seen.state, seen.events.length]).toEqual(['open', 1]);
    expect(lab.fake('c').sent.length).toBe(1);
  });

  test('the end: with a result when every member ended properly, without one else', async () => {
    const good = new Lab({
      servers: {
        a: () => eventStream([ack(9, {}), over(9)], { hang: true }),
        b: () => eventStream([ack(9, {}), over(9)]),
      },
    });
    const seen = good.modern(9, 'subscriptions/listen', FILTER);
    await good.sim.advance(10);
    expect(seen.events.at(-1)).toMatchObject({ id: 9, result: { resultType: 'complete' } });
    // Its server kept the stream open after the result: it is closed all the same.
    expect(good.fake('a').sent[0]?.aborted).toBe(true);
    const bad = new Lab({ servers: { a: () => ({ fail: 'GW_UPSTREAM_CONNECT' }) } });
    const other = bad.modern(9, 'subscriptions/listen', FILTER);
    await bad.sim.advance(10);
    expect([other.state, other.events.length, other.exchange.outcome, bad.active.size]).toEqual([
      'ended',
      1,
      'failed',
      0,
    ]);
  });

  test('regression: a client that does not read loses its stream', async () => {
    const big = changed(9, { data: 'x'.repeat(64 * 1024) });
    const lab = new Lab({
      servers: {
        a: () =>
          eventStream([ack(9, {}), ...Array.from({ length: 20 }, () => big)], { hang: true, gapMs: 1 }),
      },
    });
    const seen = lab.modern(9, 'subscriptions/listen', FILTER);
    seen.reads = false;
    await lab.sim.advance(100);
    expect([seen.finishes, seen.exchange.errorCode]).toEqual([1, 'GW_UPSTREAM_OVERRUN']);
    expect(seen.events.at(-1)).toMatchObject({ id: 9, error: { data: { gw: 'GW_UPSTREAM_OVERRUN' } } });
    expect(seen.bytes.length).toBeLessThan(LIMITS.downstreamBufferBytesMax + 2 * big.length);
    expect(lab.fake('a').sent[0]?.aborted).toBe(true);
  });

  test('regression: what comes before the acknowledgement is bounded too', async () => {
    const big = changed(9, { data: 'x'.repeat(64 * 1024) });
    const lab = new Lab({
      servers: {
        a: () => eventStream([ack(9, {}), ...Array.from({ length: 6 }, () => big)], { hang: true, gapMs: 1 }),
        b: () => ({ hang: true }),
      },
    });
    const seen = lab.modern(9, 'subscriptions/listen', FILTER);
    await lab.sim.advance(50);
    expect([seen.events[0]?.method, seen.events.length]).toEqual([
      'notifications/subscriptions/acknowledged',
      7,
    ]);
  });

  test('regression: a member’s broken message lets go of its connection', async () => {
    const lab = new Lab({ servers: { a: () => eventStream([eventOf('{"x":')], { hang: true }), b: quiet } });
    const seen = lab.modern(9, 'subscriptions/listen', FILTER);
    await lab.sim.advance(10);
    expect(lab.fake('a').sent[0]?.aborted).toBe(true);
    expect([seen.state, seen.events.length]).toEqual(['open', 1]);
  });

  test('draining ends it with a result', async () => {
    const lab = new Lab({ servers: { a: quiet } });
    const seen = lab.modern(9, 'subscriptions/listen', FILTER);
    await lab.sim.advance(10);
    seen.exchange.close(new TextEncoder().encode(over(9)));
    expect([seen.state, seen.events.at(-1)?.id, lab.fake('a').sent[0]?.aborted]).toEqual(['ended', 9, true]);
  });
});

describe('fan-outs', () => {
  test('regression: a client that leaves stops lists and discover at every member', async () => {
    for (const method of ['tools/list', 'server/discover']) {
      const lab = new Lab({ servers: { a: () => ({ hang: true }), b: () => ({ hang: true }) } });
      const seen = lab.modern(1, method);
      await lab.sim.advance(10);
      seen.exchange.abandon();
      await lab.sim.advance(0);
      expect([...lab.fake('a').sent, ...lab.fake('b').sent].map((sent) => sent.aborted)).toEqual([
        true,
        true,
      ]);
      expect(seen.finishes).toBe(1);
    }
  });

  test('the bound holds: silent members are named', async () => {
    const lab = new Lab({
      servers: {
        a: (sent) =>
          json({ jsonrpc: '2.0', id: jsonOf(sent.body).id, result: { tools: [], capabilities: {} } }),
        b: () => ({ hang: true }),
      },
      tools: { memberTimeoutMs: 300 },
    });
    const seen = [lab.modern(1, 'tools/list'), lab.modern(2, 'server/discover')];
    await lab.sim.advance(301);
    for (const one of seen)
      expect(one.json.result).toMatchObject({ _meta: { 'sluice/missing': { b: expect.any(String) } } });
    // Whoever waited has let go of it; what is asked now is asked in the background.
    expect(
      lab
        .fake('b')
        .sent.slice(0, 2)
        .every((sent) => sent.aborted),
    ).toBe(true);
  });

  test('nobody answers discover: their failure, or that none speaks this revision', async () => {
    const down = new Lab({ servers: { a: () => ({ fail: 'GW_UPSTREAM_CONNECT' }) } });
    const old = new Lab({ servers: { a: () => ({ status: 400 }) } });
    const seen = [down.modern(1, 'server/discover'), old.modern(1, 'server/discover')];
    await down.sim.advance(10);
    await old.sim.advance(10);
    expect(seen.map((one) => [one.status, one.json.error?.code])).toEqual([
      [502, -32603],
      [404, -32601],
    ]);
    const list = old.modern(1, 'tools/list');
    await old.sim.advance(10);
    expect([list.status, list.json.id]).toEqual([502, 1]);
  });

  test('notifications are taken and not answered; tasks and unknown names are routed or refused', async () => {
    const lab = new Lab({
      servers: { a: (sent) => json({ jsonrpc: '2.0', id: jsonOf(sent.body).id, result: {} }) },
    });
    const note = lab.post({ jsonrpc: '2.0', method: 'notifications/x' }, { protocolVersion: '2026-07-28' });
    expect([note.status, note.text]).toEqual([202, '']);
    const task = lab.post(
      {
        jsonrpc: '2.0',
        id: 1,
        method: 'tasks/get',
        params: {
          taskId: 'a+t1',
          _meta: {
            'io.modelcontextprotocol/protocolVersion': '2026-07-28',
            'io.modelcontextprotocol/clientCapabilities': {},
          },
        },
      },
      { protocolVersion: '2026-07-28', mcpMethod: 'tasks/get', mcpName: 'a+t1' },
    );
    const read = lab.modern(2, 'resources/read', { uri: 'zz://1' });
    await lab.sim.advance(10);
    expect(task.status).toBe(200);
    expect(lab.fake('a').sent[0]?.headers).toContain('t1');
    expect(read.json.error).toMatchObject({ code: -32602, data: { uri: 'zz://1' } });
  });
});

describe('calls', () => {
  test('regression: a stream that ends without a response says so, with the id', async () => {
    const lab = new Lab({ servers: { a: () => eventStream([changed(1)]) } });
    const seen = lab.modern('é', 'tools/call', { name: 'a__t' });
    await lab.sim.advance(10);
    expect(seen.events.at(-1)).toMatchObject({ id: 'é', error: { code: -32603 } });
    expect([seen.state, seen.exchange.outcome, seen.finishes]).toEqual(['ended', 'failed', 1]);
  });

  test('the client’s leaving cancels; a server that breaks off is told with the id', async () => {
    const lab = new Lab({
      servers: {
        a: () => eventStream([changed(1)], { hang: true }),
        b: () => eventStream([changed(1)], { fail: 'GW_UPSTREAM_CLOSED', failLate: true }),
      },
    });
    const left = lab.modern(1, 'tools/call', { name: 'a__t' });
    const broken = lab.modern(2, 'tools/call', { name: 'b__t' });
    await lab.sim.advance(10);
    left.exchange.abandon();
    expect(lab.fake('a').sent[0]?.aborted).toBe(true);
    expect(broken.events.at(-1)).toMatchObject({ id: 2, error: { data: { gw: 'GW_UPSTREAM_CLOSED' } } });
  });

  test('regression: an answer to another request, and an error without an id, are refused with the id', async () => {
    for (const reply of [
      json({ jsonrpc: '2.0', id: 'other', result: {} }),
      json({ jsonrpc: '2.0', error: { code: -32600, message: 'no' } }, { status: 400 }),
      json('not json'),
    ]) {
      const lab = new Lab({ servers: { a: () => reply } });
      const seen = lab.modern(1, 'tools/call', { name: 'a__t' });
      await lab.sim.advance(10);
      expect([seen.status, seen.json.id, seen.exchange.errorCode]).toEqual([502, 1, 'GW_UPSTREAM_MESSAGE']);
    }
  });

  test('event ids and retry times, which this revision does not have, are not passed on', async () => {
    const lab = new Lab({
      servers: {
        a: () => eventStream([eventOf({ jsonrpc: '2.0', id: 1, result: {} }, 'id: 5\nretry: 3\n')]),
      },
    });
    const seen = lab.modern(1, 'tools/call', { name: 'a__t' });
    await lab.sim.advance(10);
    expect(seen.text).toBe('event: message\ndata: {"jsonrpc":"2.0","id":1,"result":{}}\n\n');
  });

  test('a fault of our own code ends the exchange with its id, and is kept for the log', async () => {
    const lab = new Lab({ servers: { a: () => json({ jsonrpc: '2.0', id: 1, result: {} }) } });
    const broken = { ...lab.scanner, scan: lab.scanner.scan, sse: lab.scanner.sse };
    let isBroken = false;
    const faulty = new Lab({
      servers: { a: () => json({ jsonrpc: '2.0', id: 1, result: {} }) },
      scanner: {
        ...broken,
        head: lab.scanner.head,
        scan: (bytes, start, end, envelope) => {
          if (isBroken) throw new Error('scanner fault');
          return lab.scanner.scan(bytes, start, end, envelope);
        },
      },
    });
    const seen = faulty.modern(1, 'tools/call', { name: 'a__t' });
    isBroken = true;
    await faulty.sim.advance(10);
    expect([seen.status, seen.json.id, seen.exchange.errorCode]).toEqual([500, 1, 'GW_BASE_INTERNAL']);
    expect(String(seen.exchange.fault)).toContain('scanner fault');
    expect(seen.text).not.toContain('scanner fault');
  });
});
