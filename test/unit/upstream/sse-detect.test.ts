// Which transport a URL server speaks, found out from how it refuses an initialize.
// Promises: a server of Streamable HTTP never notices, one of HTTP+SSE is asked twice at most, and refusals of either reach the client as they are.
import { afterEach, describe, expect, test } from 'bun:test';
import { LIMITS } from '../../../src/base/limits.ts';
import { createBunRuntime } from '../../../src/runtime/bun.ts';
import type { Clock } from '../../../src/runtime/runtime.ts';
import {
  call,
  detecting,
  expectSaid,
  INITIALIZE,
  initialize,
  open,
  serve,
  start,
  stopAll,
  until,
} from './sse-world.ts';

afterEach(stopAll);

const { clock } = createBunRuntime();
/** The real clock, some time later. */
class LaterClock {
  aheadMs = 0;
  readonly clock: Clock;
  constructor() {
    this.clock = Object.assign(Object.create(clock) as Clock, { now: () => clock.now() + this.aheadMs });
  }
}

/** A server of the test's own that answers every request by a function of its verb. */
function answering(answer: (verb: string) => Response): { readonly port: number; readonly asked: string[] } {
  const asked: string[] = [];
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch: async (request) => {
      asked.push(request.method);
      await request.arrayBuffer();
      return answer(request.method);
    },
  });
  cleanUps.push(() => server.stop(true));
  return { port: server.port ?? 0, asked };
}
const cleanUps: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0)) await cleanUp();
});

const accepted = (): Response =>
  Response.json({ jsonrpc: '2.0', id: 'i', result: {} }, { headers: { 'mcp-session-id': 'own' } });

describe('a server of HTTP+SSE', () => {
  test.each([
    [405, 'text/plain', 'Method Not Allowed'],
    [404, 'text/html', '<pre>Cannot POST /sse</pre>'],
    [404, 'application/json', '{"detail":"Not Found"}'],
    [400, 'text/plain', 'Bad Request'],
    [406, 'text/plain', ''],
    [200, 'text/html', '<h1>MCP</h1>'],
    [202, 'text/plain', 'Accepted'],
  ])('is found by %p %p %p', async (status, type, body) => {
    const server = await serve();
    server.refusal = { status, type, body };
    const upstream = detecting(server.port);
    const session = await open(upstream);
    await expectSaid(call(upstream, session, 'one'), 'one');
    expect(server.asked.slice(0, 2)).toEqual(['POST /sse', 'GET /sse']);
    // It is remembered.
    await open(upstream);
    expect(server.asked.filter((one) => one === 'POST /sse')).toHaveLength(1);
    expect(upstream.stats().sessions).toBe(2);
  });

  test('is asked again after a while; open sessions go on whatever it says', async () => {
    const server = await serve();
    const later = new LaterClock();
    const upstream = detecting(server.port, { clock: later.clock });
    const session = await open(upstream);
    later.aheadMs = LIMITS.sseVerdictMs + 1;
    await expectSaid(call(upstream, session, 'one'), 'one');
    await open(upstream);
    expect(server.asked.filter((one) => one === 'POST /sse')).toHaveLength(2);
    later.aheadMs *= 2;
    const message = { jsonrpc: '2.0', id: 'i', result: {} };
    server.refusal = { status: 200, type: 'application/json', body: JSON.stringify(message) };
    expect((await initialize(upstream)).result).toEqual({});
    expect(server.sessions.size).toBe(2);
    await expectSaid(call(upstream, session, 'two'), 'two');
  });

  test('that loses its event stream is asked again at once', async () => {
    const server = await serve();
    const upstream = detecting(server.port);
    await open(upstream);
    server.onGet = (_request, response) => {
      response.writeHead(404).end();
      return true;
    };
    expect((await initialize(upstream)).error?.code).toBe('GW_UPSTREAM_STREAM');
    expect((await initialize(upstream)).head?.status).toBe(405);
    expect(server.asked.filter((one) => one === 'POST /sse')).toHaveLength(2);
  });

  test('that refuses initialize says so itself', async () => {
    const server = await serve();
    server.onPost = (_posted, response) => {
      response.writeHead(401, { 'www-authenticate': 'Bearer' }).end();
      return true;
    };
    const { head, authenticate } = await initialize(detecting(server.port));
    expect([head?.status, authenticate]).toEqual([401, 'Bearer']);
  });

  test('a client that leaves meanwhile leaves nothing behind', async () => {
    const server = await serve();
    const upstream = detecting(server.port);
    const { call: handle, witness } = start(upstream, INITIALIZE);
    await until(() => server.asked.length > 0);
    witness.silent = true;
    handle.abort();
    await Bun.sleep(30);
    expect(witness.complaints).toEqual([]);
    await until(() => server.sessions.size === 0);
    expect(upstream.stats()).toMatchObject({ sessions: 0, busy: 0 });
  });
});

describe('a server of Streamable HTTP', () => {
  test('is never asked for anything else', async () => {
    const { port, asked } = answering(accepted);
    const upstream = detecting(port);
    const { session, homed } = await initialize(upstream);
    expect([session, homed]).toEqual(['own', undefined]);
    expect(asked).toEqual(['POST']);
  });

  test.each([
    [400, { jsonrpc: '2.0', id: null, error: { code: -32000, message: 'no' } }],
    [404, { jsonrpc: '2.0', id: 'i', error: { code: -32601, message: 'no' } }],
  ])('that refuses with a message (%p) is believed', async (status, message) => {
    const { port, asked } = answering(() => Response.json(message, { status }));
    const { head, body } = await initialize(detecting(port));
    expect([head?.status, JSON.parse(body)]).toEqual([status, message]);
    expect(asked).toEqual(['POST']);
  });

  test.each([401, 403, 429, 500, 503])('that refuses with %p is not asked further', async (status) => {
    const { port, asked } = answering(() => new Response('no', { status }));
    expect((await initialize(detecting(port))).head?.status).toBe(status);
    expect(asked).toEqual(['POST']);
  });

  test.each([
    ['404', () => new Response('nothing here', { status: 404 })],
    ['401', () => new Response('who?', { status: 401 })],
    ['a page', () => new Response('<p>', { headers: { 'content-type': 'text/html' } })],
    [
      'a stream without an endpoint',
      () => new Response('data: {}\n\n', { headers: { 'content-type': 'text/event-stream' } }),
    ],
  ])('whose GET gives %s: the first refusal reaches the client', async (_name, get) => {
    const { port, asked } = answering((verb) =>
      verb === 'GET' ? get() : new Response('not here', { status: 405, headers: { allow: 'PUT' } }),
    );
    const { head, body, error } = await initialize(detecting(port));
    expect([head?.status, body, error]).toEqual([405, 'not here', null]);
    expect(asked).toEqual(['POST', 'GET']);
  });

  test('a refusal with a large body passes through', async () => {
    const text = 'x'.repeat(200_000);
    const { port, asked } = answering(() => new Response(text, { status: 404 }));
    const { head, body } = await initialize(detecting(port));
    expect([head?.status, body.length]).toEqual([404, text.length]);
    expect(asked).toEqual(['POST']);
  });
});
