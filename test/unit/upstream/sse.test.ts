// Sessions over HTTP+SSE against a scripted server: opening, refusals, order, what happens when streams break and servers forget.
// Promises: real sockets; each refusal of the server is one that servers in the field give.
import { afterEach, describe, expect, test } from 'bun:test';
import type { ServerResponse } from 'node:http';
import { LIMITS } from '../../../src/base/limits.ts';
import { META } from '../../../src/mcp/protocol.ts';
import { messageOf } from '../../contract/upstream.ts';
import {
  call,
  expectSaid,
  INITIALIZE,
  initialize,
  Listener,
  listen,
  open,
  overSse,
  serve,
  start,
  stopAll,
  until,
} from './sse-world.ts';

afterEach(stopAll);

const methods = (
  posts: readonly { readonly message: { readonly method?: string } }[],
): (string | undefined)[] => posts.map(({ message }) => message.method);

describe('opening', () => {
  test('a session is an event stream and the POSTs to the endpoint that it names', async () => {
    const server = await serve();
    const upstream = overSse(server);
    const session = await open(upstream);
    await expectSaid(call(upstream, session, 'one'), 'one');
    expect(server.asked).toEqual([
      'GET /sse',
      ...Array.from({ length: 3 }, () => 'POST /messages?session=s1'),
    ]);
    expect(methods(server.posts)).toEqual(['initialize', 'notifications/initialized', 'tools/call']);
    expect(upstream.stats()).toMatchObject({ sessions: 1, busy: 0, waiting: 0, failures: 0 });
    expect(upstream.endpoints).toBe(1);
  });

  test('its reply says that the session lives here', async () => {
    const upstream = overSse(await serve());
    const { homed, session, head } = await initialize(upstream);
    expect({ homed, status: head?.status, media: head?.media }).toEqual({
      homed: true,
      status: 200,
      media: 'json',
    });
    expect(session).toHaveLength(43);
    expect(upstream.has(session ?? '')).toBe(true);
  });

  test('the endpoint may be a whole URL of the same origin', async () => {
    const server = await serve();
    server.endpointOf = (id) => `http://127.0.0.1:${server.port}/elsewhere?session=${id}`;
    const upstream = overSse(server);
    await expectSaid(call(upstream, await open(upstream), 'one'), 'one');
    expect(server.asked.at(-1)).toBe('POST /elsewhere?session=s1');
  });

  test('headers of the client and of the configuration go with the GET and with every POST', async () => {
    const server = await serve();
    const upstream = overSse(server, { target: { headers: ['x-configured', 'c'] } });
    const headers = [
      'accept',
      'application/json, text/event-stream',
      'authorization',
      'Bearer 1',
      'x-request-id',
      'r',
    ];
    const session = await open(upstream, { headers });
    await expectSaid(call(upstream, session, 'one', { headers: ['authorization', 'Bearer 2'] }), 'one');
    const get = [...server.sessions.values()][0]?.headers;
    expect(get).toMatchObject({
      accept: 'text/event-stream',
      authorization: 'Bearer 1',
      'x-configured': 'c',
    });
    expect(server.posts.map((post) => [post.headers.authorization, post.headers['x-configured']])).toEqual([
      ['Bearer 1', 'c'],
      ['Bearer 1', 'c'],
      ['Bearer 2', 'c'],
    ]);
    expect(server.posts[0]?.headers).toMatchObject({
      'content-type': 'application/json',
      'x-request-id': 'r',
    });
  });

  test.each([
    ['another origin', 'event: endpoint\ndata: http://127.0.0.2:1/messages\n\n', 'of another origin'],
    ['no URL', 'event: endpoint\ndata: http://\n\n', 'is no URL'],
    ['nothing', 'event: endpoint\ndata: \n\nevent: message\ndata: {}\n\n', 'does not begin with an endpoint'],
    [
      'a message first',
      'event: message\ndata: {"jsonrpc":"2.0","method":"x"}\n\n',
      'does not begin with an endpoint',
    ],
    ['too long an endpoint', `event: endpoint\ndata: /${'x'.repeat(10_000)}\n\n`, 'longer than'],
  ])('an endpoint that is %s is refused, and nothing is sent', async (_name, text, words) => {
    const server = await serve();
    server.onGet = (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write(text);
      return true;
    };
    const upstream = overSse(server);
    const { error } = await initialize(upstream);
    expect(error?.code).toBe('GW_UPSTREAM_STREAM');
    expect(error?.detail).toContain(words);
    expect(error?.row.retry).toBe('safe');
    expect(server.posts).toHaveLength(0);
    expect(upstream.stats()).toMatchObject({ sessions: 0, busy: 0, waiting: 0 });
    expect(upstream.endpoints).toBe(0);
  });

  test('an event stream that stays silent is given up in time', async () => {
    const server = await serve();
    server.onGet = (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write(': hello\n\n');
      return true;
    };
    const upstream = overSse(server, { spec: { firstByteTimeoutMs: 100 } });
    expect((await initialize(upstream)).error?.code).toBe('GW_UPSTREAM_TIMEOUT');
    await until(() => upstream.stats().total === 0);
  });

  test('an event stream that ends at once is none', async () => {
    const server = await serve();
    server.onGet = (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).end();
      return true;
    };
    expect((await initialize(overSse(server))).error?.code).toBe('GW_UPSTREAM_STREAM');
  });

  test.each([
    [404, { 'content-type': 'text/html' }, 'it answered GET with 404 and text/html'],
    [200, { 'content-type': 'text/html' }, 'it answered GET with 200 and text/html'],
    [307, { location: '/sse/' }, 'it redirects to /sse/'],
  ])('what is no event stream is told: %p', async (status, headers, words) => {
    const server = await serve();
    server.onGet = (_request, response) => {
      response.writeHead(status, headers).end('no');
      return true;
    };
    const { error } = await initialize(overSse(server));
    expect([error?.code, error?.detail.slice(0, words.length)]).toEqual(['GW_UPSTREAM_STREAM', words]);
  });

  test.each([401, 403, 429, 503])(
    'a refusal with %p reaches the client with what it says',
    async (status) => {
      const server = await serve();
      server.onGet = (_request, response) => {
        response.writeHead(status, { 'www-authenticate': 'Bearer realm="x"' }).end('no');
        return true;
      };
      const upstream = overSse(server);
      const { head, authenticate, error } = await initialize(upstream);
      expect({ status: head?.status, authenticate, error }).toEqual({
        ...{ status, error: null },
        authenticate: 'Bearer realm="x"',
      });
      expect(upstream.stats().sessions).toBe(0);
    },
  );

  test('nobody there is a failure to connect', async () => {
    const server = await serve();
    await server.stop();
    expect((await initialize(overSse(server))).error?.code).toBe('GW_UPSTREAM_CONNECT');
  });

  test('an initialize that the server refuses opens nothing', async () => {
    const server = await serve();
    server.onPost = (posted, response) => {
      response.writeHead(202).end();
      const error = { code: -32602, message: 'no' };
      server.sessions.get(posted.session)?.say({ jsonrpc: '2.0', id: posted.message.id, error });
      return true;
    };
    const upstream = overSse(server);
    const witness = await initialize(upstream);
    expect(JSON.parse(witness.body)).toMatchObject({ id: 'i', error: { code: -32602 } });
    expect(witness.session).toBeNull();
    await until(() => server.sessions.size === 0);
    expect(upstream.stats()).toMatchObject({ sessions: 0 });
  });

  test('an initialize that is too large to keep is refused', async () => {
    const params = { ...INITIALIZE.params, padding: 'x'.repeat(LIMITS.initializeBytesMax) };
    const { witness } = start(overSse(await serve()), { ...INITIALIZE, params });
    await until(() => witness.over);
    expect(witness.error?.code).toBe('GW_SERVER_BODY_SIZE');
  });

  test('sessions are bounded', async () => {
    const upstream = overSse(await serve(), { sessionsMax: 1 });
    await open(upstream);
    expect((await initialize(upstream)).error?.code).toBe('GW_SESSION_LIMIT');
  });
});

describe('messages', () => {
  test('comments, unknown events and odd line ends are no obstacle', async () => {
    const server = await serve();
    server.onMessage = (session, { message }) => {
      const head = `{"jsonrpc":"2.0",\r\ndata: "id":${message.id},`;
      session.raw(
        ': ping\n\nevent: ping\ndata: {}\n\n:\r\n\r\nevent: endpoint\ndata: http://evil.example/\n\n',
      );
      session.raw(`id: 7\r\nevent:message\r\ndata: ${head}\r\ndata:"result":{"said":"é"}}\r\n\r\n`);
    };
    const upstream = overSse(server);
    await expectSaid(call(upstream, await open(upstream), 'one'), 'é');
  });

  test('an event that is too large ends the stream, not the session', async () => {
    const server = await serve();
    let isLarge = true;
    server.onMessage = (session, { message }) => {
      const said = isLarge ? 'x'.repeat(LIMITS.messageBytesMax + 2 ** 21) : 'small';
      isLarge = false;
      session.say({ jsonrpc: '2.0', id: message.id, result: { said } });
    };
    const upstream = overSse(server);
    const session = await open(upstream);
    const { witness } = call(upstream, session, 'one');
    await until(() => witness.over);
    expect(witness.error?.code).toBe('GW_UPSTREAM_BODY_SIZE');
    await expectSaid(call(upstream, session, 'two'), 'small');
  });

  test('requests go side by side; a notification keeps its place', async () => {
    const server = await serve();
    const upstream = overSse(server);
    const session = await open(upstream);
    const held: { readonly method: string | undefined; readonly response: ServerResponse }[] = [];
    server.onPost = ({ message }, response) => {
      held.push({ method: message.method, response });
      return true;
    };
    const note = { jsonrpc: '2.0', method: 'notifications/roots/list_changed' };
    start(upstream, { jsonrpc: '2.0', id: 1, method: 'a' }, { session });
    start(upstream, { jsonrpc: '2.0', id: 2, method: 'b' }, { session });
    start(upstream, note, { session });
    start(upstream, { jsonrpc: '2.0', id: 3, method: 'c' }, { session });
    start(upstream, { jsonrpc: '2.0', id: 4, method: 'd' }, { session });
    const sorted = (): string =>
      held
        .map(({ method }) => method)
        .sort()
        .join();
    await until(() => held.length === 2);
    await Bun.sleep(20);
    expect(sorted()).toBe('a,b');
    held[0]?.response.writeHead(202).end();
    held[1]?.response.writeHead(202).end();
    await until(() => held.length === 3);
    await Bun.sleep(20);
    expect(held[2]?.method).toBe('notifications/roots/list_changed');
    expect(held).toHaveLength(3);
    held[2]?.response.writeHead(202).end();
    await until(() => held.length === 5);
    expect(sorted()).toBe('a,b,c,d,notifications/roots/list_changed');
    for (const { response } of held.slice(3)) response.writeHead(202).end();
  });

  test('a server that takes a POST only when the work is done does not hold up its own questions', async () => {
    const server = await serve();
    const upstream = overSse(server);
    const session = await open(upstream);
    let taken: ServerResponse | null = null;
    server.onPost = (posted, response) => {
      const stream = server.sessions.get(posted.session);
      if (posted.message.method === 'tools/call') {
        taken = response;
        stream?.say({ jsonrpc: '2.0', id: 'q', method: 'elicitation/create', params: {} });
        return true;
      }
      response.writeHead(200).end();
      const id = server.posts.find(({ message }) => message.method === 'tools/call')?.message.id;
      stream?.say({ jsonrpc: '2.0', id, result: { said: 'asked' } });
      taken?.writeHead(200).end();
      return true;
    };
    const started = call(upstream, session, 'ask');
    await until(() => started.witness.pieces.length === 1);
    start(upstream, { jsonrpc: '2.0', id: 'q', result: { action: 'decline' } }, { session });
    await expectSaid(started, 'asked');
  });

  test('cancelling reaches such a server after a while', async () => {
    const server = await serve();
    const upstream = overSse(server);
    const session = await open(upstream);
    server.onPost = (posted, response) => {
      if (posted.message.method !== 'tools/call') response.writeHead(202).end();
      return true;
    };
    const message = { jsonrpc: '2.0', id: 'slow', method: 'tools/call', params: { name: 'slow' } };
    const { witness } = start(upstream, message, { session });
    start(
      upstream,
      { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'slow' } },
      { session },
    );
    await until(() => methods(server.posts).includes('notifications/cancelled'));
    const [asked, cancelled] = server.posts.slice(-2);
    expect(cancelled?.message.params?.requestId).toBe(asked?.message.id);
    await until(() => witness.over);
  });

  test('the answer may come before the POST is taken', async () => {
    const server = await serve();
    const upstream = overSse(server);
    const session = await open(upstream);
    server.onPost = ({ message, session: id }, response) => {
      server.sessions.get(id)?.say({ jsonrpc: '2.0', id: message.id, result: { said: 'early' } });
      setTimeout(() => response.writeHead(202).end(), 20);
      return true;
    };
    await expectSaid(call(upstream, session, 'one'), 'early');
    await until(() => upstream.stats().busy === 0);
  });

  test.each([400, 401, 413, 500])('a POST that is refused with %p fails its call only', async (status) => {
    const server = await serve();
    const upstream = overSse(server);
    const session = await open(upstream);
    const other = call(upstream, session, 'other');
    await expectSaid(other, 'other');
    server.onPost = ({ message }, response) => {
      if (message.params?.name !== 'bad') return false;
      response.writeHead(status, { 'www-authenticate': 'Bearer' }).end('Invalid message');
      return true;
    };
    const { witness } = call(upstream, session, 'bad');
    await until(() => witness.over);
    expect([witness.head?.status, witness.authenticate, witness.error]).toEqual([status, 'Bearer', null]);
    await expectSaid(call(upstream, session, 'next'), 'next');
    expect(server.asked.filter((one) => one.startsWith('GET'))).toHaveLength(1);
  });

  test('a modern request is told that there is no such method', async () => {
    const server = await serve();
    const upstream = overSse(server);
    const witness = new Listener();
    const params = { _meta: { [META.protocolVersion]: '2026-07-28', [META.clientCapabilities]: {} } };
    upstream.send(messageOf('modern', { jsonrpc: '2.0', id: 7, method: 'server/discover', params }), witness);
    await until(() => witness.over);
    expect(witness.head).toMatchObject({ status: 404, media: 'json' });
    expect(JSON.parse(witness.body)).toMatchObject({ id: 7, error: { code: -32601 } });
    expect(server.asked).toEqual([]);
  });

  test('without a session, only initialize and ping make sense', async () => {
    const upstream = overSse(await serve());
    const ping = start(upstream, { jsonrpc: '2.0', id: 1, method: 'ping' });
    const list = start(upstream, { jsonrpc: '2.0', id: 2, method: 'tools/list' });
    const unknown = call(upstream, 'nobody', 'x');
    await until(() => [ping, list, unknown].every(({ witness }) => witness.over));
    expect(ping.witness.result).toEqual({});
    expect(list.witness.error?.code).toBe('GW_SESSION_MISSING');
    expect(unknown.witness.error?.code).toBe('GW_SESSION_UNKNOWN');
  });
});

describe('healing', () => {
  test.each([
    [404, 'Could not find session'],
    [400, 'No transport found for sessionId'],
  ])(
    'a session that the server forgot (%p) is opened again, and the call is made once',
    async (status, words) => {
      const server = await serve();
      const upstream = overSse(server);
      const session = await open(upstream, { headers: ['authorization', 'old'] });
      server.onPost = ({ session: id }, response) => {
        if (id !== 's1') return false;
        response.writeHead(status).end(words);
        return true;
      };
      await expectSaid(call(upstream, session, 'again', { headers: ['authorization', 'new'] }), 'again');
      const after = server.posts.slice(3);
      expect(methods(after)).toEqual(['initialize', 'notifications/initialized', 'tools/call']);
      expect(after.map((post) => [post.session, post.headers.authorization])).toEqual(
        after.map(() => ['s2', 'new']),
      );
      expect(upstream.stats()).toMatchObject({ sessions: 1, busy: 0, waiting: 0 });
    },
  );

  test('a server that forgets at once fails the call, not the session', async () => {
    const server = await serve();
    const upstream = overSse(server);
    const session = await open(upstream);
    server.onPost = ({ message }, response) => {
      if (message.method !== 'tools/call') return false;
      response.writeHead(404).end();
      return true;
    };
    const { witness } = call(upstream, session, 'x');
    await until(() => witness.over);
    expect(witness.error?.code).toBe('GW_UPSTREAM_STREAM');
    expect(server.posts.filter(({ message }) => message.method === 'tools/call')).toHaveLength(2);
    server.onPost = () => false;
    await expectSaid(call(upstream, session, 'y'), 'y');
  });

  test.each(['end', 'destroy'] as const)(
    'a stream that breaks (%s) fails the calls under way for good',
    async (way) => {
      const server = await serve();
      const upstream = overSse(server);
      const session = await open(upstream);
      server.onMessage = () => undefined;
      const { witness } = call(upstream, session, 'lost');
      await until(() => server.posts.length === 3);
      await Bun.sleep(10);
      server.sessions.get('s1')?.[way]();
      await until(() => witness.over);
      expect(witness.error?.code).toBe('GW_UPSTREAM_CLOSED');
      expect(witness.error?.row.retry).toBe('never');
      expect(upstream.stats().failures).toBeGreaterThan(0);
      server.onMessage = (stream, { message }) =>
        stream.say({ jsonrpc: '2.0', id: message.id, result: { said: 'back' } });
      await expectSaid(call(upstream, session, 'next'), 'back');
      expect(methods(server.posts)).toEqual([
        ...['initialize', 'notifications/initialized', 'tools/call'],
        ...['initialize', 'notifications/initialized', 'tools/call'],
      ]);
    },
  );

  test('while a client listens, a broken stream is replaced unasked', async () => {
    const server = await serve();
    const upstream = overSse(server);
    const session = await open(upstream);
    const { witness } = listen(upstream, session);
    await until(() => witness.head !== null);
    server.sessions.get('s1')?.say({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' });
    await until(() => witness.body.includes('tools/list_changed'));
    server.sessions.get('s1')?.destroy();
    await until(() => server.posts.length === 4);
    server.sessions.get('s2')?.say({ jsonrpc: '2.0', method: 'notifications/prompts/list_changed' });
    await until(() => witness.body.includes('prompts/list_changed'));
    expect(witness.over).toBe(false);
  });

  test.each(['broke', 'was forgotten'] as const)(
    'regression: behind a stream that %s the server hears level and subscriptions again, before the next call',
    async (way) => {
      const server = await serve();
      const upstream = overSse(server);
      const session = await open(upstream);
      const settings: readonly [string, object][] = [
        ['logging/setLevel', { level: 'debug' }],
        ['resources/subscribe', { uri: 'a://1' }],
        ['resources/subscribe', { uri: 'a://2' }],
        ['resources/unsubscribe', { uri: 'a://1' }],
      ];
      for (const [id, [method, params]] of settings.entries()) {
        const { witness } = start(upstream, { jsonrpc: '2.0', id, method, params }, { session });
        await until(() => witness.over);
      }
      if (way === 'broke') {
        server.sessions.get('s1')?.destroy();
        await until(() => server.sessions.size === 0);
      } else
        server.onPost = (posted, response) => {
          if (posted.session === 's1') response.writeHead(400).end('No transport found for sessionId');
          return posted.session === 's1';
        };
      await expectSaid(call(upstream, session, 'next'), 'next');
      const heard = server.posts.filter((posted) => posted.session === 's2');
      expect(
        heard.map(({ message }) => [message.method, message.params?.level ?? message.params?.uri]),
      ).toEqual([
        ['initialize', undefined],
        ['notifications/initialized', undefined],
        ['logging/setLevel', 'debug'],
        ['resources/subscribe', 'a://2'],
        ['tools/call', undefined],
      ]);
    },
  );

  test('nobody listens: a broken stream is replaced when it is needed', async () => {
    const server = await serve();
    const upstream = overSse(server);
    const session = await open(upstream);
    server.sessions.get('s1')?.destroy();
    await until(() => server.sessions.size === 0);
    await Bun.sleep(30);
    expect(server.asked.filter((one) => one.startsWith('GET'))).toHaveLength(1);
    await expectSaid(call(upstream, session, 'x'), 'x');
  });

  test('a server that was away is found again by the same session', async () => {
    const server = await serve();
    const upstream = overSse(server);
    const session = await open(upstream);
    const { port } = server;
    await server.stop();
    const { witness } = call(upstream, session, 'away');
    await until(() => witness.over);
    expect(['GW_UPSTREAM_CONNECT', 'GW_UPSTREAM_STREAM', 'GW_UPSTREAM_CLOSED']).toContain(
      witness.error?.code ?? '',
    );
    const back = await serve();
    await back.stop();
    const again = await new (back.constructor as new () => typeof back)().start(port);
    again.onMessage = back.onMessage;
    try {
      await expectSaid(call(upstream, session, 'back'), 'back');
      expect(methods(again.posts)).toEqual(['initialize', 'notifications/initialized', 'tools/call']);
    } finally {
      await upstream.close(0);
      await again.stop();
    }
  });

  test('a server that refuses to be initialised again ends the session', async () => {
    const server = await serve();
    const upstream = overSse(server);
    const session = await open(upstream);
    server.sessions.get('s1')?.destroy();
    await until(() => server.sessions.size === 0);
    server.onPost = ({ message, session: id }, response) => {
      response.writeHead(202).end();
      server.sessions.get(id)?.say({ jsonrpc: '2.0', id: message.id, error: { code: -1, message: 'no' } });
      return true;
    };
    const { witness } = call(upstream, session, 'x');
    await until(() => witness.over);
    expect(witness.error?.code).toBe('GW_SESSION_UNKNOWN');
    await until(() => server.sessions.size === 0);
    expect(upstream.has(session)).toBe(false);
  });

  test('a stream that is dead without a word is found out with a ping, and replaced', async () => {
    const server = await serve();
    // What waits a second for the server waits 20 ms here.
    const upstream = overSse(server, {
      speed: 50,
      spec: { firstByteTimeoutMs: 100_000, totalTimeoutMs: 100_000 },
    });
    const session = await open(upstream);
    server.onPost = ({ session: id }, response) => {
      if (id !== 's1') return false;
      response.writeHead(202).end();
      return true;
    };
    const { witness } = call(upstream, session, 'into the void');
    await until(() => witness.over);
    expect(witness.error?.code).toBe('GW_UPSTREAM_CLOSED');
    expect(server.posts.map(({ message }) => message.id).at(-1)).toBe('sluice:alive');
    await expectSaid(call(upstream, session, 'back'), 'back');
    expect(server.asked.filter((one) => one.startsWith('GET'))).toHaveLength(2);
  });

  test('a stream on which the ping is answered, or anything else comes, goes on', async () => {
    const server = await serve();
    const upstream = overSse(server, {
      speed: 50,
      spec: { firstByteTimeoutMs: 100_000, totalTimeoutMs: 100_000 },
    });
    const session = await open(upstream);
    const echo = server.onMessage;
    const asked: (() => void)[] = [];
    let pings = 0;
    server.onMessage = (stream, posted) => {
      if (posted.message.method === 'ping' && pings++ > 0) stream.raw(': here I am\n\n');
      else if (posted.message.method === 'ping') echo(stream, posted);
      else asked.push(() => echo(stream, posted));
    };
    const slow = call(upstream, session, 'slow');
    await until(() => pings === 1);
    await Bun.sleep(20);
    const slower = call(upstream, session, 'slower');
    await until(() => pings === 2);
    await Bun.sleep(500);
    expect([slow.witness.over, slower.witness.over]).toEqual([false, false]);
    asked[1]?.();
    await expectSaid(slower, 'slower');
    expect(pings).toBe(2);
    slow.call.abort();
  });

  test('a server that is too busy to take the ping is not dead', async () => {
    const server = await serve();
    const upstream = overSse(server, {
      speed: 50,
      spec: { firstByteTimeoutMs: 100_000, totalTimeoutMs: 100_000 },
    });
    const session = await open(upstream);
    const answers: (() => void)[] = [];
    server.onPost = ({ message }) => message.method === 'ping';
    server.onMessage = (stream, { message }) => {
      answers.push(() => stream.say({ jsonrpc: '2.0', id: message.id, result: { said: 'done' } }));
    };
    const started = call(upstream, session, 'long');
    await until(() => server.posts.at(-1)?.message.method === 'ping');
    await Bun.sleep(500);
    expect(started.witness.over).toBe(false);
    answers[0]?.();
    await expectSaid(started, 'done');
  });

  test('many calls while the server restarts: each is answered or fails, none is executed twice', async () => {
    const server = await serve();
    const upstream = overSse(server);
    const sessions = await Promise.all(Array.from({ length: 4 }, () => open(upstream)));
    const executed = new Map<string, number>();
    server.onMessage = (stream, { message }) => {
      const name = String(message.params?.name);
      executed.set(name, (executed.get(name) ?? 0) + 1);
      setTimeout(() => stream.say({ jsonrpc: '2.0', id: message.id, result: { said: name } }), 3);
    };
    const all: { readonly name: string; readonly started: ReturnType<typeof call> }[] = [];
    for (let round = 0; round < 60; round++) {
      for (const [i, session] of sessions.entries()) {
        const name = `r${round}s${i}`;
        all.push({ name, started: call(upstream, session, name) });
      }
      if (round === 15 || round === 30 || round === 45) server.restart();
      await Bun.sleep(2);
    }
    await until(() => all.every(({ started }) => started.witness.over));
    let answered = 0;
    for (const { name, started } of all) {
      const { error, complaints, head } = started.witness;
      expect(complaints).toEqual([]);
      expect(executed.get(name) ?? 0).toBeLessThanOrEqual(1);
      if (error === null && head?.status === 200) {
        answered++;
        expect(started.witness.result).toEqual({ said: name });
      } else expect(error?.code).toBe('GW_UPSTREAM_CLOSED');
    }
    expect(answered).toBeGreaterThan(all.length / 2);
    for (const [i, session] of sessions.entries())
      await expectSaid(call(upstream, session, `end${i}`), `end${i}`);
    expect(upstream.stats().sessions).toBe(4);
  });
});

describe('the end', () => {
  test('DELETE closes the stream, behind what was written before', async () => {
    const server = await serve();
    const upstream = overSse(server);
    const session = await open(upstream);
    start(upstream, { jsonrpc: '2.0', method: 'notifications/x' }, { session });
    const witness = new Listener();
    upstream.send(
      {
        ...messageOf('legacy', INITIALIZE),
        verb: 'DELETE',
        body: new Uint8Array(0),
        envelope: null,
        session,
      },
      witness,
    );
    await until(() => witness.over);
    expect(witness.head?.status).toBe(200);
    await until(() => server.sessions.size === 0);
    expect(methods(server.posts).at(-1)).toBe('notifications/x');
    expect(upstream.stats().sessions).toBe(0);
  });

  test('an idle session ends; one that listens does not', async () => {
    const server = await serve();
    const upstream = overSse(server, { sessionIdleMs: 60 });
    const idle = await open(upstream);
    const busy = await open(upstream);
    listen(upstream, busy);
    await until(() => !upstream.has(idle));
    await until(() => server.sessions.size === 1);
    expect(upstream.has(busy)).toBe(true);
  });

  test('close() lets calls finish and leaves no connection', async () => {
    const server = await serve();
    const upstream = overSse(server);
    const session = await open(upstream);
    const stream = listen(upstream, session);
    await until(() => stream.witness.head !== null);
    const finish: (() => void)[] = [];
    server.onMessage = (to, { message }) =>
      finish.push(() => to.say({ jsonrpc: '2.0', id: message.id, result: { said: 'late' } }));
    const started = call(upstream, session, 'late');
    await until(() => finish.length === 1);
    const closed = upstream.close(2_000);
    await until(() => stream.witness.ended);
    expect((await initialize(upstream)).error?.code).toBe('GW_UPSTREAM_CLOSING');
    finish[0]?.();
    await expectSaid(started, 'late');
    await closed;
    await until(() => server.sessions.size === 0);
    expect(upstream.stats()).toMatchObject({ total: 0, busy: 0, sessions: 0 });
  });
});
