// The front over HTTP+SSE: what opens a stream, what is posted beside it, what ends it, and every refusal.
// Runs server/http.ts with sse.ts and sse-connection.ts over a lab; sockets and real clients belong to test/e2e/sse-front.test.ts.
import { describe, expect, test } from 'bun:test';
import { decode, encode } from '../../../src/base/bytes.ts';
import { LIMITS } from '../../../src/base/limits.ts';
import { sumCounters } from '../../../src/memory/counters.ts';
import { createMemory, soloShape } from '../../../src/memory/memory.ts';
import { createLog } from '../../../src/observe/log.ts';
import type { Reply } from '../../../src/runtime/runtime.ts';
import { Front } from '../../../src/server/http.ts';
import { Recorder } from '../../../src/server/record.ts';
import { ssePath, ssePlaceOf } from '../../../src/server/sse-place.ts';
import type { FakeScript } from '../../../src/upstream/fake.ts';
import { FakeInbound } from '../../fixtures/inbound.ts';
import {
  eventOf,
  eventStream,
  INITIALIZE,
  json,
  jsonOf,
  Lab,
  type LabOptions,
  legacyScript,
  Seen,
  textResult,
} from '../../fixtures/lab.ts';
import { modernRequest } from '../../fixtures/messages.ts';

const STREAM = { accept: 'text/event-stream' };
const JSON_TYPE = { 'content-type': 'application/json' };
const INITIALIZED = { jsonrpc: '2.0', method: 'notifications/initialized' };
const call = (id: unknown, name = 'a__t'): object => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name },
});

function frontOf(options: LabOptions, newMemory = () => createMemory(soloShape(2, 3), 0)) {
  const lab = new Lab(options);
  const memory = newMemory();
  let ids = 0;
  const front = new Front({
    snapshot: lab.snapshot,
    pipeline: lab.pipeline,
    handles: lab.handles,
    scanner: lab.scanner,
    clock: lab.sim.clock,
    log: createLog('debug', { write: (line) => lab.logged.push(line), wall: () => 0 }),
    newId: () => `id${++ids}`,
    recorder: new Recorder({ memory, worker: 0, snapshot: lab.snapshot, clock: lab.sim.clock }),
  });
  const send = async (inbound: FakeInbound): Promise<Seen> => {
    const promise = Promise.resolve(front.handle(inbound));
    await lab.sim.advance(10);
    const reply: Reply = await promise;
    const seen = new Seen();
    seen.take(reply);
    return seen;
  };
  /** Opens a stream; where its client is to post, and what it reads. */
  const open = async (path = '/sse') => {
    const inbound = new FakeInbound('GET', path, STREAM);
    const seen = await send(inbound);
    const where = /^event: endpoint\ndata: (\S+)\n\n/.exec(seen.text)?.[1] ?? '';
    const say = (message: object | string): Promise<Seen> => {
      const body = typeof message === 'string' ? message : JSON.stringify(message);
      return send(new FakeInbound('POST', where, JSON_TYPE, body));
    };
    return { inbound, seen, where, say };
  };
  return { lab, front, send, open };
}

const legacy = (): LabOptions => ({
  servers: {
    a: legacyScript('a', (message, sent) => {
      if (sent.verb === 'GET')
        return eventStream([eventOf({ jsonrpc: '2.0', method: 'news' })], { hang: true });
      return sent.verb === 'DELETE' ? {} : textResult(message, sent.session ?? '');
    }),
  },
});
const single = (script: FakeScript): LabOptions => ({ servers: { a: script }, single: 'http' });

test('paths: one stream for each endpoint', () => {
  expect(['/mcp', '/mcp/files', '/mcp/sse'].map(ssePath)).toEqual(['/sse', '/mcp/files/sse', '/mcp/sse/sse']);
  // And the way back: of each path whose it is.
  const found = ['/sse', '/sse/message', '/mcp/files/sse', '/mcp/sse/sse/message'].map(ssePlaceOf);
  expect(found).toEqual([
    { role: 'stream', endpointPath: '/mcp' },
    { role: 'message', endpointPath: '/mcp' },
    { role: 'stream', endpointPath: '/mcp/files' },
    { role: 'message', endpointPath: '/mcp/sse' },
  ]);
  expect(['/mcp/sse', '/mcp', '/message', '/mcp/files/sse/messages'].map(ssePlaceOf)).toEqual([
    ...[null, null, null, null],
  ]);
});

describe('a connection', () => {
  test('is told where to post, and hears on its stream what comes of it', async () => {
    const { open, front, lab } = frontOf(legacy());
    const { seen, where, say, inbound } = await open();
    expect([seen.status, seen.headers['content-type']]).toEqual([200, 'text/event-stream']);
    expect(where).toStartWith('/sse/message?sessionId=');
    const taken = await say(INITIALIZE);
    expect([taken.status, taken.text, taken.headers['content-type']]).toEqual([
      202,
      'Accepted',
      'text/plain; charset=utf-8',
    ]);
    await say(INITIALIZED);
    await say(call(1));
    expect(seen.events.map((one) => one.id ?? one.method)).toEqual(['init', 'news', 1]);
    expect(seen.text).toContain('event: message\ndata: {');
    // Its own GET, and that of its session.
    expect(front.active).toBe(2);
    inbound.abort();
    await lab.sim.advance(10);
    expect([front.active, lab.target.sessions]).toEqual([0, 0]);
    expect((await say(call(2))).status).toBe(404);
  });

  test('a message that is none is refused where it was posted', async () => {
    const { open } = frontOf(legacy());
    const { say, seen } = await open();
    const refused = await say('{"jsonrpc":');
    expect([refused.status, refused.json.error?.code]).toEqual([400, -32700]);
    await say('5');
    expect(seen.events.map((one) => one.error?.code)).toEqual([-32600]);
  });

  test('a modern client is served, since its messages say all that matters', async () => {
    const { open } = frontOf(
      single((sent) => json({ jsonrpc: '2.0', id: jsonOf(sent.body).id, result: {} })),
    );
    const { say, seen } = await open();
    await say(modernRequest(1, 'server/discover'));
    await say(modernRequest(2, 'tools/list'));
    await say(INITIALIZE);
    expect(seen.events.map((one) => [one.id, one.error?.code])).toEqual([
      [1, undefined],
      [2, undefined],
      ['init', -32022],
    ]);
  });

  test('silent streams get comments', async () => {
    const { open, front } = frontOf(legacy());
    const { seen } = await open();
    front.keepAlive();
    expect(seen.comments).toBe(1);
  });

  test('its stream counts as an exchange of its endpoint, its posts as what they become', async () => {
    const memory = createMemory(soloShape(2, 3), 0);
    const { open, lab } = frontOf(legacy(), () => memory);
    const { say, inbound } = await open();
    await say(INITIALIZE);
    inbound.abort();
    await lab.sim.advance(10);
    const debug = lab.logged.flatMap((line) => (line.includes('"exchange"') ? [JSON.parse(line)] : []));
    expect(debug.map((line) => [line.verb, line.endpoint, line.method, line.status])).toEqual([
      ['POST', '/sse/message', '', 202],
      ['POST', '/mcp', 'initialize', 200],
      ['DELETE', '/mcp', '', 200],
      ['GET', '/sse', '', 200],
    ]);
    // The 202 is not among them.
    expect(sumCounters(memory, 0)).toMatchObject({ exchanges: 3, ok: 2, abandoned: 1 });
  });
});

describe('refusals', () => {
  test('by the head', async () => {
    const { send, open, front } = frontOf({ ...legacy(), front: { bodyBytesMax: 100 } });
    const { where } = await open();
    const rows: readonly [FakeInbound, number, string][] = [
      [new FakeInbound('GET', '/sse'), 406, 'GW_SERVER_ACCEPT'],
      [new FakeInbound('GET', '/sse', { accept: 'application/json' }), 406, 'GW_SERVER_ACCEPT'],
      [new FakeInbound('POST', '/sse', JSON_TYPE, '{}'), 405, 'GW_SERVER_METHOD'],
      [new FakeInbound('DELETE', '/sse'), 405, 'GW_SERVER_METHOD'],
      [new FakeInbound('GET', where, STREAM), 405, 'GW_SERVER_METHOD'],
      [new FakeInbound('DELETE', where), 405, 'GW_SERVER_METHOD'],
      [new FakeInbound('GET', '/sse/', STREAM), 404, 'GW_SERVER_PATH'],
      [new FakeInbound('GET', '/mcp/nobody/sse', STREAM), 404, 'GW_SERVER_PATH'],
      [new FakeInbound('GET', '/sse', { ...STREAM, origin: 'http://evil' }), 403, 'GW_SERVER_ORIGIN'],
      [new FakeInbound('GET', '/sse', { ...STREAM, host: 'evil' }), 403, 'GW_SERVER_HOST'],
      [
        new FakeInbound('POST', where, { ...JSON_TYPE, origin: 'http://evil' }, '{}'),
        403,
        'GW_SERVER_ORIGIN',
      ],
      [new FakeInbound('POST', where, { 'content-type': 'text/plain' }, '{}'), 415, 'GW_SERVER_MEDIA'],
      [
        new FakeInbound('POST', where, { ...JSON_TYPE, 'content-length': '101' }, '{}'),
        413,
        'GW_SERVER_BODY_SIZE',
      ],
    ];
    for (const [inbound, status, code] of rows) {
      const seen = await send(inbound);
      expect([seen.status, seen.text]).toEqual([status, expect.stringContaining(code)]);
    }
    expect((await send(new FakeInbound('POST', '/sse', JSON_TYPE, '{}'))).headers.allow).toBe('GET');
    expect((await send(new FakeInbound('GET', where, STREAM))).headers.allow).toBe('POST');
    expect(front.active).toBe(1);
  });

  test('an id that is none, another endpoint’s, or no connection’s', async () => {
    const { send, open, lab } = frontOf({
      servers: { a: legacyScript('a'), b: legacyScript('b') },
    });
    const { where } = await open();
    const other = await open('/mcp/a/sse');
    const id = (one: string): string => one.split('=')[1] ?? '';
    for (const path of [
      '/sse/message',
      '/sse/message?sessionId=',
      '/sse/message?sessionId=id3',
      `/sse/message?sessionid=${id(where)}`,
      `/sse/message?sessionId=${id(where)}x`,
      `/sse/message?sessionId=${id(other.where)}`,
      `/mcp/a/sse/message?sessionId=${id(where)}`,
      // A session's handle is no connection's.
      `/sse/message?sessionId=${lab.sealed('id2')}`,
    ]) {
      const seen = await send(new FakeInbound('POST', path, JSON_TYPE, JSON.stringify(call(1))));
      expect([path, seen.status, seen.json.error?.code]).toEqual([path, 404, -32001]);
    }
    const seen = await send(
      new FakeInbound(
        'POST',
        `/sse/message?a=b&sessionId=${id(where)}&c`,
        JSON_TYPE,
        JSON.stringify(call(1)),
      ),
    );
    expect(seen.status).toBe(202);
    // A connection's handle is no session's.
    const headers = { ...JSON_TYPE, 'mcp-session-id': id(where) };
    expect((await send(new FakeInbound('POST', '/mcp', headers, JSON.stringify(call(1))))).status).toBe(404);
  });

  test('more connections than sessions are allowed, or more messages than one may have under way', async () => {
    const { open, send } = frontOf({
      ...single(() => ({ hang: true })),
      front: { sessionsMax: 2, exchangesMax: 9_999 },
    });
    const { say, seen, inbound } = await open();
    await open();
    const full = await send(new FakeInbound('GET', '/sse', STREAM));
    expect([full.status, full.text]).toEqual([503, expect.stringContaining('GW_SESSION_LIMIT')]);
    let last = 202;
    let count = 0;
    while (last === 202 && count <= LIMITS.connectionMessagesMax) {
      last = (await say(call(count))).status;
      count++;
    }
    expect([last, count, seen.events.length]).toEqual([503, LIMITS.connectionMessagesMax + 1, 0]);
    inbound.abort();
    expect((await send(new FakeInbound('GET', '/sse', STREAM))).status).toBe(200);
  });

  test('more exchanges than the front may have', async () => {
    const { open } = frontOf({ ...single(() => ({ hang: true })), front: { exchangesMax: 3 } });
    const { say } = await open();
    expect([(await say(call(1))).status, (await say(call(2))).status, (await say(call(3))).status]).toEqual([
      202, 202, 503,
    ]);
  });
});

describe('the end', () => {
  test('a client that does not read loses its stream, and what runs for it ends', async () => {
    const piece = 'x'.repeat(LIMITS.connectionUnreadBytesMax - 1_000);
    const { open, front, lab } = frontOf(
      single(
        legacyScript('a', (message, sent) => {
          if (sent.verb === 'DELETE') return {};
          return message.params?.name === 'hang' ? { hang: true } : textResult(message, piece);
        }),
      ),
    );
    const { say, seen } = await open();
    await say(INITIALIZE);
    await say(call('h', 'hang'));
    seen.reads = false;
    await say(call(1));
    await say(call(2));
    expect([seen.state, front.active > 1]).toEqual(['open', true]);
    await say(call(3));
    await lab.sim.advance(10);
    expect([seen.state, front.active]).toEqual(['failed', 0]);
    expect(lab.asked('a', 'tools/call')[0]?.aborted).toBe(true);
    expect(lab.fake('a').sent.at(-1)).toMatchObject({ verb: 'DELETE', session: 'a-s1' });
  });

  test('a client that reads slowly loses nothing: streams wait', async () => {
    const pieces = Array.from({ length: 8 }, (_, i) =>
      eventOf({
        jsonrpc: '2.0',
        method: `n${i}`,
        params: { text: 'y'.repeat(LIMITS.connectionUnreadBytesMax / 2) },
      }),
    );
    const { open, lab } = frontOf(
      single(() => eventStream([...pieces, eventOf({ jsonrpc: '2.0', id: 1, result: {} })], { gapMs: 1 })),
    );
    const { say, seen } = await open();
    seen.reads = false;
    await say(call(1));
    await lab.sim.advance(100);
    expect(seen.events.length).toBe(1);
    for (let i = 0; i < 20; i++) {
      seen.drain();
      await lab.sim.advance(2);
      seen.reads = false;
    }
    expect([seen.state, seen.events.length, seen.events.at(-1)?.id]).toEqual(['open', 9, 1]);
  });

  test('draining: what runs is answered, then the stream ends properly; nothing new is taken', async () => {
    const { open, front, lab, send } = frontOf({
      servers: {
        a: legacyScript('a', (message, sent) => {
          if (sent.verb === 'GET') return eventStream([': \n\n'], { hang: true });
          return sent.verb === 'DELETE' ? {} : { ...textResult(message, 'late'), delayMs: 500 };
        }),
      },
    });
    const busy = await open();
    const idle = await open();
    for (const { say } of [busy, idle]) {
      await say(INITIALIZE);
      await say(INITIALIZED);
    }
    await busy.say(call(1));
    let isDrained = false;
    void front.drain(5_000).then(() => {
      isDrained = true;
    });
    await lab.sim.advance(10);
    expect([busy.seen.state, idle.seen.state, isDrained]).toEqual(['open', 'ended', false]);
    expect((await busy.say(call(2))).status).toBe(503);
    expect((await send(new FakeInbound('GET', '/sse', STREAM))).status).toBe(503);
    await lab.sim.advance(1_000);
    expect([busy.seen.state, busy.seen.events.at(-1)?.id, isDrained, front.active]).toEqual([
      'ended',
      1,
      true,
      0,
    ]);
    expect(lab.target.sessions).toBe(0);
  });

  test('draining, and time is up: what still runs is told so, and the stream ends properly all the same', async () => {
    const { open, front, lab } = frontOf(single(() => ({ hang: true })));
    const { say, seen } = await open();
    await say(call(1));
    const drained = front.drain(1_000);
    await lab.sim.advance(2_000);
    await drained;
    expect([seen.state, seen.events.map((one) => [one.id, one.error?.code])]).toEqual([
      'ended',
      [[1, -32603]],
    ]);
    expect(front.active).toBe(0);
  });

  test('a message that its request’s bytes are gone after is still whole', async () => {
    const { front, lab } = frontOf(
      single((sent) =>
        json(
          { jsonrpc: '2.0', id: jsonOf(sent.body).id, result: { text: decode(sent.body) } },
          { delayMs: 50 },
        ),
      ),
    );
    const bytes = encode(JSON.stringify(call('kept')));
    const opened = new Seen();
    opened.take(await front.handle(new FakeInbound('GET', '/sse', STREAM)));
    const where = /data: (\S+)/.exec(opened.text)?.[1] ?? '';
    const inbound = new FakeInbound('POST', where, JSON_TYPE);
    Object.defineProperty(inbound, 'wholeBody', { get: () => bytes });
    const reply = await front.handle(inbound);
    expect(reply.status).toBe(202);
    bytes.fill(0x78);
    await lab.sim.advance(100);
    expect(opened.events[0]).toMatchObject({ id: 'kept', result: { text: expect.stringContaining('kept') } });
  });
});
