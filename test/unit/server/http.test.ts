// The front over HTTP: who is let in, what every refusal looks like, and that every exchange is counted out again.
// Runs server/http.ts over a scripted pipeline; the sockets belong to test/e2e.
import { describe, expect, spyOn, test } from 'bun:test';
import { decode } from '../../../src/base/bytes.ts';
import { GatewayError } from '../../../src/base/errors.ts';
import { createLog } from '../../../src/observe/log.ts';
import type { Reply } from '../../../src/runtime/runtime.ts';
import { Front } from '../../../src/server/http.ts';
import type { FakeScript } from '../../../src/upstream/fake.ts';
import { FakeInbound } from '../../fixtures/inbound.ts';
import { eventOf, eventStream, json, jsonOf, Lab, Seen } from '../../fixtures/lab.ts';
import { modernHeaders, modernRequest } from '../../fixtures/messages.ts';

const JSON_HEADERS = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };
const STREAM = { accept: 'text/event-stream' };
const PING = '{"jsonrpc":"2.0","id":1,"method":"ping"}';
const ok: FakeScript = (sent) => json({ jsonrpc: '2.0', id: jsonOf(sent.body).id, result: {} });

function frontOf(script: FakeScript, front: NonNullable<ConstructorParameters<typeof Lab>[0]['front']> = {}) {
  const lab = new Lab({ servers: { a: script }, single: 'http', front });
  let ids = 0;
  const made = new Front({
    snapshot: lab.snapshot,
    pipeline: lab.pipeline,
    handles: lab.handles,
    scanner: lab.scanner,
    clock: lab.sim.clock,
    log: createLog('debug', { write: (line) => lab.logged.push(line), wall: () => 0 }),
    newId: () => `id${++ids}`,
  });
  const send = async (inbound: FakeInbound): Promise<{ reply: Reply; seen: Seen }> => {
    const promise = Promise.resolve(made.handle(inbound));
    await lab.sim.advance(10);
    const reply = await promise;
    const seen = new Seen();
    seen.take(reply);
    return { reply, seen };
  };
  return { lab, front: made, send };
}

const post = (body: string, headers: Record<string, string> = {}): FakeInbound =>
  new FakeInbound('POST', '/mcp', { ...JSON_HEADERS, ...headers }, body);

describe('admission', () => {
  test('every refusal by the head: status, JSON-RPC error without an id, request id; nothing is counted', async () => {
    const { front, send } = frontOf(ok, { bodyBytesMax: 100, headerCountMax: 12 });
    const many = Object.fromEntries(Array.from({ length: 12 }, (_, i) => [`x-${i}`, 'y']));
    const rows: readonly [FakeInbound, number, string][] = [
      [new FakeInbound('POST', '/nope', JSON_HEADERS), 404, 'GW_SERVER_PATH'],
      [new FakeInbound('PUT', '/mcp'), 405, 'GW_SERVER_METHOD'],
      [new FakeInbound('HEAD', '/mcp'), 405, 'GW_SERVER_METHOD'],
      [new FakeInbound('POST', '/mcp', { ...JSON_HEADERS, host: 'evil' }), 403, 'GW_SERVER_HOST'],
      [new FakeInbound('POST', '/mcp', { ...JSON_HEADERS, origin: 'http://evil' }), 403, 'GW_SERVER_ORIGIN'],
      [new FakeInbound('POST', '/mcp', { 'content-type': 'text/plain' }), 415, 'GW_SERVER_MEDIA'],
      [
        new FakeInbound('POST', '/mcp', { ...JSON_HEADERS, 'content-encoding': 'gzip' }),
        415,
        'GW_SERVER_ENCODING',
      ],
      [
        new FakeInbound('POST', '/mcp', { ...JSON_HEADERS, 'content-length': '101' }),
        413,
        'GW_SERVER_BODY_SIZE',
      ],
      [new FakeInbound('POST', '/mcp', { ...JSON_HEADERS, accept: 'image/png' }), 406, 'GW_SERVER_ACCEPT'],
      [new FakeInbound('GET', '/mcp', { accept: 'application/json' }), 406, 'GW_SERVER_ACCEPT'],
      [new FakeInbound('POST', '/mcp', { ...JSON_HEADERS, ...many }), 431, 'GW_SERVER_HEAD_SIZE'],
    ];
    for (const [inbound, status, code] of rows) {
      const { seen } = await send(inbound);
      expect([seen.status, seen.json.error]).toMatchObject([status, { data: { gw: code } }]);
      expect('id' in seen.json).toBe(false);
      if (status === 405) expect(seen.headers.allow).toBe('POST, GET, DELETE');
      if (status === 413) expect(seen.headers.connection).toBe('close');
      if (status !== 404) expect(seen.headers['x-request-id']).toMatch(/^id/);
    }
    expect(front.active).toBe(0);
  });

  test('regression: pages of an allowed origin can read every refusal, others none', async () => {
    const { send, front } = frontOf(ok, { bodyBytesMax: 100 });
    const mine = { origin: 'http://localhost:3000' };
    for (const inbound of [
      post(PING, mine),
      post('nonsense', mine),
      new FakeInbound('PUT', '/mcp', mine),
      new FakeInbound('POST', '/mcp', { ...mine, 'content-type': 'text/plain' }),
      new FakeInbound('POST', '/mcp', { ...mine, ...JSON_HEADERS, 'content-length': '101' }),
    ]) {
      const { seen } = await send(inbound);
      expect(seen.headers).toMatchObject({ 'access-control-allow-origin': mine.origin, vary: 'Origin' });
    }
    void front.drain(10);
    expect((await send(post(PING, mine))).seen.headers['access-control-allow-origin']).toBe(mine.origin);
    const { seen } = await send(post(PING, { origin: 'http://evil' }));
    expect(seen.headers['access-control-allow-origin']).toBeUndefined();
  });

  test('preflights: from allowed origins, from none, from others', async () => {
    const { send } = frontOf(ok, { corsHeaders: ['mcp-param-region'] });
    const mine = (await send(new FakeInbound('OPTIONS', '/mcp', { origin: 'http://localhost:1' }))).seen;
    expect([mine.status, mine.text]).toEqual([204, '']);
    expect(mine.headers['access-control-allow-headers']).toContain('mcp-param-region');
    expect(mine.headers['access-control-allow-methods']).toBe('POST, GET, DELETE, OPTIONS');
    const none = (await send(new FakeInbound('OPTIONS', '/mcp'))).seen;
    expect([none.status, none.headers['access-control-allow-origin']]).toEqual([204, undefined]);
    const other = (await send(new FakeInbound('OPTIONS', '/mcp', { origin: 'http://evil' }))).seen;
    expect([other.status, other.headers['access-control-allow-origin']]).toEqual([403, undefined]);
  });

  test('room: one exchange too many is refused and told when to come again', async () => {
    const { front, send, lab } = frontOf(() => ({ hang: true }), { exchangesMax: 1 });
    const first = Promise.resolve(front.handle(post(PING)));
    await lab.sim.advance(1);
    const { seen } = await send(post(PING));
    expect([seen.status, seen.headers['retry-after']]).toEqual([503, '1']);
    expect(front.active).toBe(1);
    void front.drain(1);
    await lab.sim.advance(5);
    expect((await first).status).toBe(500);
    expect(front.active).toBe(0);
  });

  test('health and readiness; draining is told', async () => {
    const { front, send } = frontOf(ok);
    const probe = async (path: string): Promise<number> =>
      (await send(new FakeInbound('GET', path))).seen.status;
    expect([await probe('/healthz'), await probe('/readyz')]).toEqual([200, 200]);
    await front.drain(10);
    expect([await probe('/healthz'), await probe('/readyz')]).toEqual([200, 503]);
    expect((await send(post(PING))).seen.json.error).toMatchObject({ data: { gw: 'GW_SERVER_DRAINING' } });
  });
});

describe('exchanges', () => {
  test('a call is answered and counted out; its headers reach the log at debug', async () => {
    const { front, send, lab } = frontOf(ok);
    const { seen } = await send(post(PING));
    expect([seen.status, seen.json.id, front.active]).toEqual([200, 1, 0]);
    expect(lab.logged.some((line) => line.includes('"outcome":"ok"'))).toBe(true);
  });

  test('a body that breaks off or is too large is refused', async () => {
    for (const [code, status] of [
      ['GW_SERVER_BODY_ABORTED', 400],
      ['GW_SERVER_BODY_SIZE', 413],
    ] as const) {
      const { front, send } = frontOf(ok);
      const inbound = new FakeInbound('POST', '/mcp', JSON_HEADERS);
      inbound.breakBody(new GatewayError(code));
      expect([(await send(inbound)).seen.status, front.active]).toEqual([status, 0]);
    }
    const { send, lab } = frontOf(ok);
    const inbound = new FakeInbound('POST', '/mcp', JSON_HEADERS);
    inbound.breakBody(new Error('secret inside'));
    const { seen } = await send(inbound);
    expect([seen.status, seen.text.includes('secret')]).toEqual([500, false]);
    expect(lab.logged.some((line) => line.includes('secret inside'))).toBe(true);
  });

  test('the client leaves before its body has come: nothing is sent upstream', async () => {
    const { front, lab } = frontOf(ok);
    const inbound = new FakeInbound('POST', '/mcp', JSON_HEADERS);
    const reply = Promise.resolve(front.handle(inbound));
    inbound.abort();
    inbound.deliver(PING);
    await lab.sim.advance(10);
    expect([(await reply).status, front.active, lab.fake('a').sent.length]).toEqual([499, 0, 0]);
  });

  test('regression: a body that comes after the drain’s end is not sent upstream', async () => {
    const { front, lab } = frontOf(ok);
    const inbound = new FakeInbound('POST', '/mcp', JSON_HEADERS);
    const reply = Promise.resolve(front.handle(inbound));
    const drained = front.drain(100);
    await lab.sim.advance(101);
    await drained;
    const posts = spyOn(lab.pipeline, 'post');
    inbound.deliver(PING);
    await lab.sim.advance(10);
    expect([(await reply).status, posts.mock.calls.length]).toEqual([500, 0]);
  });

  test('regression: when the time to drain is up, running calls get an error with their id, not a bare 499', async () => {
    const { front, lab } = frontOf(() => ({ hang: true }));
    const reply = Promise.resolve(front.handle(post(PING)));
    await lab.sim.advance(1);
    const drained = front.drain(100);
    await lab.sim.advance(101);
    await drained;
    const { body, status } = await reply;
    expect(status).toBe(500);
    expect(JSON.parse(decode(body as Uint8Array))).toMatchObject({
      id: 1,
      error: { data: { gw: 'GW_SERVER_STOPPED' } },
    });
    expect(lab.fake('a').sent[0]?.aborted).toBe(true);
  });

  test('a drain waits for running calls, and no longer', async () => {
    const { front, lab } = frontOf((sent) => ({ ...ok(sent, 0), delayMs: 50 }));
    const reply = Promise.resolve(front.handle(post(PING)));
    await lab.sim.advance(1);
    let isDrained = false;
    void front.drain(1_000).then(() => {
      isDrained = true;
    });
    await lab.sim.advance(20);
    expect(isDrained).toBe(false);
    await lab.sim.advance(40);
    expect([isDrained, (await reply).status]).toEqual([true, 200]);
  });

  test('regression: a drain ends event streams properly: listens with their result, GETs plainly', async () => {
    const { front, send, lab } = frontOf(() =>
      eventStream([eventOf({ jsonrpc: '2.0', method: 'n' })], { hang: true }),
    );
    const get = (await send(new FakeInbound('GET', '/mcp', { ...STREAM, 'mcp-session-id': lab.sealed('s') })))
      .seen;
    const listen = (
      await send(
        new FakeInbound(
          'POST',
          '/mcp',
          modernHeaders('subscriptions/listen'),
          modernRequest(9, 'subscriptions/listen', {}),
        ),
      )
    ).seen;
    expect(front.active).toBe(2);
    await front.drain(1_000);
    expect([get.state, get.events.length, listen.state]).toEqual(['ended', 1, 'ended']);
    expect(listen.events.at(-1)).toEqual({
      jsonrpc: '2.0',
      id: 9,
      result: { resultType: 'complete', _meta: { 'io.modelcontextprotocol/subscriptionId': 9 } },
    });
    expect(lab.fake('a').sent.map((sent) => sent.aborted)).toEqual([true, true]);
  });

  test('keep-alive comments go to every open event stream', async () => {
    const { front, send, lab } = frontOf(() => eventStream(['data: {}\n\n'], { hang: true }));
    const get = (await send(new FakeInbound('GET', '/mcp', { ...STREAM, 'mcp-session-id': lab.sealed('s') })))
      .seen;
    front.keepAlive();
    front.keepAlive();
    expect(get.comments).toBe(2);
  });

  test('failures fill the log with one line a second, which counts the rest', async () => {
    const { send, lab } = frontOf(() => ({ fail: 'GW_UPSTREAM_CONNECT' }));
    const lines = (): readonly string[] => lab.logged.filter((line) => line.includes('exchanges failed'));
    for (let i = 0; i < 3; i++) await send(post(PING));
    expect(lines().length).toBe(1);
    await lab.sim.advance(1_000);
    await send(post(PING));
    expect(lines().length).toBe(2);
    expect(lines()[1]).toContain('"failures":3');
  });

  test('DELETE goes to the server', async () => {
    const { send, lab } = frontOf(() => ({}));
    const { seen } = await send(new FakeInbound('DELETE', '/mcp', { 'mcp-session-id': lab.sealed('s') }));
    expect([seen.status, lab.fake('a').sent[0]?.session]).toEqual([200, 's']);
  });
});
