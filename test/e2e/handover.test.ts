// Sessions that live in one worker and clients that reach another: nobody can tell.
// Run by `bun test`: planes of several workers in process, over real sockets, the test choosing whom a request reaches; then a gateway of real threads.
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { homeOf } from '../../src/upstream/peer.ts';
import { startGateway, stopAll } from '../fixtures/harness.ts';
import { LegacyServer, type Rpc } from '../fixtures/legacy-server.ts';
import { Planes } from '../fixtures/planes.ts';
import { RpcClient, readEvents, until } from '../fixtures/rpc-client.ts';

const SCRIPTED = `${import.meta.dir}/../fixtures/stdio-scripted.ts`;
const scripted = { command: process.execPath, args: [SCRIPTED] };

const alpha = new LegacyServer('alpha');
const beta = new LegacyServer('beta');
const stops: (() => unknown)[] = [() => alpha.stop(), () => beta.stop()];
afterAll(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

const text = (reply: Rpc): string => (reply.result as { content: { text: string }[] }).content[0]?.text ?? '';

/** A modern call of a tool. */
function modernCall(id: number, name: string, args: object): RequestInit {
  const _meta = {
    progressToken: `p${id}`,
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientCapabilities': {},
  };
  return {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': 'tools/call',
      'mcp-name': name,
    },
    body: JSON.stringify({
      jsonrpc: '2.0',
      id,
      method: 'tools/call',
      params: { name, arguments: args, _meta },
    }),
  };
}

/** The same session at another worker. */
function elsewhere(client: RpcClient, planes: Planes, worker: number, path = '/mcp'): RpcClient {
  const other = new RpcClient(`${planes.url(worker)}${path}`);
  other.session = client.session;
  return other;
}

describe('a legacy session over two servers, opened at worker 0 and used at worker 1', () => {
  const planes = new Planes({
    servers: { alpha: { url: alpha.url }, beta: { url: beta.url } },
    front: { sessionsMax: 3 },
  });
  stops.push(() => planes.stop());
  let here = new RpcClient('');
  let there = new RpcClient('');

  beforeEach(async () => {
    here = new RpcClient(`${planes.url(0)}/mcp`);
    await here.initialize();
    there = elsewhere(here, planes, 1);
  });
  afterEach(async () => {
    await there.end();
    here.close();
    there.close();
    await until('nothing is under way', () => planes.active.every((count) => count === 0));
  });

  test('lists, calls, prompts and reads', async () => {
    const list = (await there.request('tools/list')).result as { tools: { name: string }[] };
    expect(list.tools.map((tool) => tool.name)).toContain('beta__second-page 2');
    expect(text(await there.request('tools/call', { name: 'beta__echo' }))).toBe('beta:echo');
    expect((await there.request('resources/read', { uri: 'beta+mem://1' })).result).toEqual({
      contents: [{ uri: 'beta+mem://1', text: 'beta mem://1' }],
    });
    expect([planes.plane(0).stats().sessions, planes.plane(1).stats().sessions]).toEqual([1, 0]);
  });

  test('replies are the same to the byte, headers included but for the request’s own', async () => {
    const calls = [
      { jsonrpc: '2.0', id: 'é"1', method: 'tools/call', params: { name: 'alpha__echo' } },
      { jsonrpc: '2.0', id: 7, method: 'tools/call', params: { name: 'nobody' } },
      { jsonrpc: '2.0', id: 7, method: 'no/such' },
      { jsonrpc: '2.0', method: 'notifications/roots/list_changed' },
      { jsonrpc: '2.0', id: [1], method: 'ping' },
      { nothing: true },
    ];
    for (const call of calls) {
      const [near, far] = [await here.post(call), await there.post(call)];
      expect(far.status).toBe(near.status);
      expect(await far.text()).toBe(await near.text());
      const [nearHeaders, farHeaders] = [near, far].map(({ headers }) => {
        const all = Object.fromEntries(headers);
        expect(all['x-request-id']).toBeTruthy();
        delete all['x-request-id'];
        delete all.date;
        return all;
      });
      expect(farHeaders).toEqual(nearHeaders as Record<string, string>);
    }
    const broken = await fetch(there.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'mcp-session-id': there.session ?? '' },
      body: '{"jsonrpc":',
    });
    expect(broken.status).toBe(400);
    expect(await broken.json()).toMatchObject({ error: { code: -32700 } });
  });

  test('a question in the middle of a call, answered through either worker', async () => {
    for (const [asker, answerer] of [
      [there, here],
      [here, there],
      [there, there],
    ] as const) {
      const seen: Rpc[] = [];
      const reply = await asker.request(
        'tools/call',
        { name: 'alpha__ask', _meta: { progressToken: 'p' } },
        (message) => {
          seen.push(message);
          if (message.method === 'elicitation/create')
            void answerer.post({ jsonrpc: '2.0', id: message.id, result: { action: 'accept' } });
        },
      );
      expect(seen.map((message) => message.method)).toEqual(['notifications/progress', 'elicitation/create']);
      expect(text(reply)).toBe('answer {"action":"accept"}');
    }
  });

  test('the session stream, its one place and its questions', async () => {
    const stream = await there.listen();
    expect(stream.status).toBe(200);
    expect(stream.headers.get('content-type')).toBe('text/event-stream');
    await until('both legs stream', () => alpha.streams === 1 && beta.streams === 1);
    // A newer one takes its place, from whichever worker, and gives it back.
    expect((await here.listen()).status).toBe(200);
    expect((await there.listen()).status).toBe(200);
    expect([alpha.streams, beta.streams]).toEqual([1, 1]);
    alpha.say({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' });
    beta.say({ jsonrpc: '2.0', method: 'notifications/resources/updated', params: { uri: 'mem://1' } });
    await until('both heard', () => there.heard.length === 2);
    const answered = beta.askClient('q1', 'roots/list');
    await until('the request was heard', () => there.heard.length === 3);
    const asked = there.heard.find((message) => message.method === 'roots/list');
    await here.post({ jsonrpc: '2.0', id: asked?.id, result: { roots: [] } });
    expect(await answered).toEqual({ roots: [] });
    there.close();
    await until('the home heard that the client left', () => alpha.streams === 0 && beta.streams === 0);
    const again = elsewhere(here, planes, 1);
    expect((await again.listen()).status).toBe(200);
    again.close();
    await until('and again', () => alpha.streams === 0);
  });

  test('a cancellation reaches the server that runs the call of another worker', async () => {
    alpha.received.length = 0;
    const running = here.request('tools/call', { name: 'alpha__ask' });
    running.catch(() => undefined);
    await until('the call arrived', () => alpha.received.some(({ method }) => method === 'tools/call'));
    const id = alpha.received.find(({ method }) => method === 'tools/call')?.id;
    expect((await there.notify('notifications/cancelled', { requestId: id })).status).toBe(202);
    await until('the cancellation arrived', () =>
      alpha.received.some(({ method }) => method === 'notifications/cancelled'),
    );
    here.close();
  });

  test('a batch is handed over whole', async () => {
    const response = await there.post([
      { jsonrpc: '2.0', id: 'x', method: 'tools/call', params: { name: 'beta__echo' } },
      { jsonrpc: '2.0', method: 'notifications/roots/list_changed' },
      { jsonrpc: '2.0', id: 'y', method: 'tools/call', params: { name: 'alpha__echo' } },
    ]);
    const replies = (await response.json()) as Rpc[];
    expect(replies.map((reply) => [reply.id, text(reply)])).toEqual([
      ['x', 'beta:echo'],
      ['y', 'alpha:echo'],
    ]);
  });

  test('a request of 3 MB arrives', async () => {
    const params = { name: 'alpha__echo', arguments: { text: 'é'.repeat(1_500_000) } };
    expect(text(await there.request('tools/call', params))).toBe('alpha:echo');
    const got = alpha.received.at(-1)?.params as { arguments: { text: string } };
    expect(got.arguments.text).toBe(params.arguments.text);
  });

  test('DELETE at one worker ends the session for all', async () => {
    const deleted = alpha.deleted.length;
    expect((await there.end()).status).toBe(200);
    await until('the leg ended', () => alpha.deleted.length > deleted);
    for (const client of [here, there]) {
      const response = await client.post({ jsonrpc: '2.0', id: 1, method: 'tools/list' });
      expect(response.status).toBe(404);
      expect(await response.json()).toMatchObject({ id: 1, error: { code: -32001 } });
    }
  });

  test('a client that leaves is missed by the home', async () => {
    const leaving = elsewhere(here, planes, 1);
    const call = leaving.request('tools/call', { name: 'alpha__ask' });
    call.catch(() => undefined);
    await until('both work on it', () => planes.active.every((count) => count === 1));
    leaving.close();
    await until('nobody works on it', () => planes.active.every((count) => count === 0));
  });

  test('an initialize that shows a session opens a new one', async () => {
    const params = {
      protocolVersion: '2025-06-18',
      capabilities: {},
      clientInfo: { name: 'x', version: '1' },
    };
    const response = await there.post({ jsonrpc: '2.0', id: 1, method: 'initialize', params });
    expect(response.status).toBe(200);
    const opened = new RpcClient(there.url);
    opened.session = response.headers.get('mcp-session-id');
    expect(opened.session).not.toBe(there.session);
    expect(text(await opened.request('tools/call', { name: 'alpha__echo' }))).toBe('alpha:echo');
    await opened.end();
  });
});

/** A server whose call sends one event with an id and closes; the answer is on the stream that resumes from there. */
function startPolling(): { readonly url: string; readonly asked: string[]; stop(): void } {
  const asked: string[] = [];
  let answer: Rpc = {};
  const events = (...lines: string[]): Response =>
    new Response(lines.join(''), { headers: { 'content-type': 'text/event-stream' } });
  const event = (id: string, message: object): string =>
    `id: ${id}\nevent: message\ndata: ${JSON.stringify({ jsonrpc: '2.0', ...message })}\n\n`;
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch: async (request) => {
      if (request.method === 'GET') {
        asked.push(request.headers.get('last-event-id') ?? '');
        return events(event('e2', answer));
      }
      if (request.method === 'DELETE') return new Response(null);
      const { id, method } = (await request.json()) as Rpc;
      const head = { headers: { 'mcp-session-id': 'polling' } };
      if (id === undefined) return new Response(null, { status: 202 });
      if (method === 'tools/call') {
        answer = { id, result: { content: [{ type: 'text', text: 'at last' }] } };
        const params = { progressToken: 'p', progress: 1 };
        return events(event('e1', { method: 'notifications/progress', params }));
      }
      const serverInfo = { name: 'polling', version: '1' };
      const result = { protocolVersion: '2025-06-18', capabilities: { tools: {} }, serverInfo };
      return Response.json({ jsonrpc: '2.0', id, result }, head);
    },
  });
  return { url: `${server.url}mcp`, asked, stop: () => void server.stop(true) };
}

describe('streams that end and go on', () => {
  test('a call’s stream is taken up again through another worker', async () => {
    const server = startPolling();
    const planes = new Planes({ servers: { polling: { url: server.url } }, prefix: 'always', workers: 3 });
    try {
      const first = new RpcClient(`${planes.url(0)}/mcp`);
      await first.initialize();
      const params = { name: 'polling__any', _meta: { progressToken: 'p' } };
      const call = { jsonrpc: '2.0', id: 'long', method: 'tools/call', params };
      const begun = await (await elsewhere(first, planes, 1).post(call)).text();
      const eventId = /^id: (.+)$/m.exec(begun)?.[1] ?? '';
      expect(begun).toContain('"progress":1');
      expect(begun).not.toContain('at last');
      const rest = await fetch(`${planes.url(2)}/mcp`, {
        headers: {
          accept: 'text/event-stream',
          'mcp-session-id': first.session ?? '',
          'last-event-id': eventId,
        },
      });
      expect(await rest.text()).toContain(
        '"id":"long","result":{"content":[{"type":"text","text":"at last"}]}',
      );
      expect(server.asked).toEqual(['e1']);
    } finally {
      await planes.stop();
      server.stop();
    }
  });

  test('a home that drains ends event streams properly, and lets calls of other workers finish', async () => {
    const planes = new Planes({ servers: { alpha: { url: alpha.url }, beta: { url: beta.url } } });
    try {
      const home = new RpcClient(`${planes.url(0)}/mcp`);
      await home.initialize();
      const there = elsewhere(home, planes, 1);
      const stream = await fetch(there.url, {
        headers: { accept: 'text/event-stream', 'mcp-session-id': there.session ?? '' },
      });
      const ended = stream.text();
      const running = there.post({
        jsonrpc: '2.0',
        id: 'r',
        method: 'tools/call',
        params: { name: 'beta__ask' },
      });
      const call = await running;
      const reply = call.text();
      const draining = planes.plane(0).drain();
      expect(await ended).toStartWith(':');
      const refused = await there.post({ jsonrpc: '2.0', id: 'new', method: 'tools/list' });
      expect(refused.status).toBe(503);
      expect(await refused.json()).toMatchObject({
        id: 'new',
        error: { data: { gw: 'GW_SERVER_DRAINING' } },
      });
      beta.answer(1, { action: 'accept' });
      expect(await reply).toContain('answer {');
      await draining;
    } finally {
      await planes.stop();
    }
  });
});

describe('servers on stdio behind two workers', () => {
  const planes = new Planes({ servers: { files: scripted, other: scripted }, ringBytes: 16 * 1024 });
  stops.push(() => planes.stop());

  const modern = (worker: number, id: number, name: string, args: object = {}): Promise<Response> =>
    fetch(`${planes.url(worker)}/mcp/files`, modernCall(id, name, args));
  const pidOf = async (response: Response): Promise<number> =>
    ((await response.json()) as { result: { pid: number } }).result.pid;

  test('modern calls of every worker reach one process', async () => {
    const pids = await Promise.all(
      Array.from({ length: 24 }, async (_, id) => pidOf(await modern(id % 2, id, 'echo', { id }))),
    );
    expect(new Set(pids).size).toBe(1);
    const totals = [0, 1].map((worker) => planes.plane(worker).stats().upstreams.files?.total);
    const home = homeOf('files', 2);
    expect([totals[home], totals[1 - home]]).toEqual([1, 0]);
  });

  test('a streamed modern call arrives event by event, large answers whole', async () => {
    for (const worker of [0, 1]) {
      const events: Rpc[] = [];
      const stream = await modern(worker, 50 + worker, 'work', { steps: 5, ms: 2 });
      expect(stream.headers.get('content-type')).toBe('text/event-stream');
      await readEvents(stream, (message) => events.push(message));
      expect(events.map(({ method, id }) => method ?? id)).toEqual([
        ...Array.from({ length: 5 }, () => 'notifications/progress'),
        50 + worker,
      ]);
      const large = (await (await modern(worker, 60, 'fill', { bytes: 700_000 })).json()) as {
        result: { text: string };
      };
      expect(large.result.text).toHaveLength(700_000);
    }
  });

  test('a modern call that shows a session of another worker is served where it is', async () => {
    const client = new RpcClient(`${planes.url(0)}/mcp/files`);
    await client.initialize();
    for (const worker of [0, 1]) {
      const { headers, ...call } = modernCall(70, 'echo', {});
      const shown = { ...(headers as Record<string, string>), 'mcp-session-id': client.session ?? '' };
      const reply = await fetch(`${planes.url(worker)}/mcp/files`, { ...call, headers: shown });
      expect(reply.status).toBe(200);
      expect((await reply.json()) as object).toMatchObject({ id: 70 });
    }
    await client.end();
  });

  test('a legacy session has its process where it was opened', async () => {
    const clients = [0, 1].map((worker) => new RpcClient(`${planes.url(worker)}/mcp/files`));
    for (const [worker, client] of clients.entries()) {
      await client.initialize();
      const other = elsewhere(client, planes, 1 - worker, '/mcp/files');
      const near = await client.request('tools/call', { name: 'echo' });
      const far = await other.request('tools/call', { name: 'echo' });
      expect((far.result as { pid: number }).pid).toBe((near.result as { pid: number }).pid);
      expect((await other.end()).status).toBe(200);
      expect((await client.post({ jsonrpc: '2.0', id: 9, method: 'tools/list' })).status).toBe(404);
    }
  });
});

describe('a home that dies', () => {
  const planes = new Planes({ servers: { alpha: { url: alpha.url }, beta: { url: beta.url } } });
  stops.push(() => planes.stop());

  test('breaks streams and refuses what runs; the session is gone with it, and a new one can be had', async () => {
    const here = new RpcClient(`${planes.url(0)}/mcp`);
    await here.initialize();
    const there = elsewhere(here, planes, 1);
    const stream = await fetch(there.url, {
      headers: { accept: 'text/event-stream', 'mcp-session-id': there.session ?? '' },
    });
    const cut = stream.text().then(
      () => 'complete',
      () => 'cut',
    );
    const running = there.post({
      jsonrpc: '2.0',
      id: 'running',
      method: 'tools/call',
      params: { name: 'alpha__ask' },
    });
    const asked = await running;
    const cutCall = asked.text().then(
      () => 'complete',
      () => 'cut',
    );
    await until('both run at home', () => planes.active[0] === 2);
    planes.die(0);
    expect(await cut).toBe('cut');
    expect(await cutCall).toBe('cut');
    // Not known to be over for good until the next life begins: this waits for it.
    const waiting = there.post({ jsonrpc: '2.0', id: 'waiting', method: 'tools/list' });
    planes.start(0);
    const lost = await waiting;
    expect(lost.status).toBe(404);
    expect(await lost.json()).toMatchObject({ id: 'waiting', error: { code: -32001 } });
    const late = await there.post({ jsonrpc: '2.0', id: 'late', method: 'tools/list' });
    expect(late.status).toBe(404);
    await there.initialize();
    const fresh = new RpcClient(there.url);
    await fresh.initialize();
    expect(text(await fresh.request('tools/call', { name: 'beta__echo' }))).toBe('beta:echo');
    await until('nothing is under way', () => planes.active.every((count) => count === 0));
  });

  /** A call of a client at worker 1, in a session of worker 0, that its server never answers; `meanwhile` decides how it ends. */
  async function unanswered(
    meanwhile: (planes: Planes) => void,
    drainMs: number,
  ): Promise<[number, unknown]> {
    let calls = 0;
    const silent = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      idleTimeout: 0,
      fetch: async (request) => {
        const { id, method } = (await request.json()) as Rpc;
        if (method !== 'tools/call') {
          const result = { protocolVersion: '2025-06-18', capabilities: {}, serverInfo: { name: 's' } };
          return Response.json({ jsonrpc: '2.0', id, result }, { headers: { 'mcp-session-id': 'only' } });
        }
        calls++;
        return new Promise<Response>(() => undefined);
      },
    });
    const servers = { silent: { url: `${silent.url}mcp` } };
    const quiet = new Planes({ servers, prefix: 'always', front: { drainMs } });
    try {
      const here = new RpcClient(`${quiet.url(0)}/mcp`);
      await here.initialize();
      const there = elsewhere(here, quiet, 1);
      const params = { name: 'silent__any' };
      const running = there.post({ jsonrpc: '2.0', id: 'é1', method: 'tools/call', params });
      await until('the server has it', () => calls === 1);
      meanwhile(quiet);
      const reply = await running;
      return [reply.status, await reply.json()];
    } finally {
      await quiet.stop();
      silent.stop(true);
    }
  }

  test('a call that had no answer yet gets an error with its id', async () => {
    const [status, reply] = await unanswered((quiet) => quiet.die(0), 2_000);
    expect(status).toBe(502);
    expect(reply).toMatchObject({ id: 'é1', error: { code: -32603, data: { gw: 'GW_PEER_LOST' } } });
  });

  test('regression: so does one that the end of its own worker cuts short, which never looked at it', async () => {
    const [status, reply] = await unanswered((quiet) => void quiet.plane(1).drain(), 50);
    expect(status).toBe(500);
    expect(reply).toMatchObject({ id: 'é1', error: { code: -32603, data: { gw: 'GW_SERVER_STOPPED' } } });
  });
});

describe('a gateway of two threads', () => {
  /** A connection of its own for each request: the kernel gives it to either worker. */
  const fresh = (url: string, init: RequestInit): Promise<Response> =>
    fetch(url, { ...init, keepalive: false });
  const headersOf = (session: string | null): Record<string, string> => ({
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
    ...(session !== null && { 'mcp-session-id': session, 'mcp-protocol-version': '2025-06-18' }),
  });
  const post = (url: string, session: string | null, message: object): Promise<Response> =>
    fresh(url, { method: 'POST', headers: headersOf(session), body: JSON.stringify(message) });
  const initialize = {
    jsonrpc: '2.0',
    id: 0,
    method: 'initialize',
    params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 't', version: '1' } },
  };
  /** Opens a session; resolves with its id. */
  const open = async (url: string): Promise<string> => {
    const opened = await post(url, null, initialize);
    await opened.text();
    const session = opened.headers.get('mcp-session-id') ?? '';
    await (await post(url, session, { jsonrpc: '2.0', method: 'notifications/initialized' })).text();
    return session;
  };

  test('sessions are served whoever is reached, and modern calls find the one process', async () => {
    const gateway = await startGateway({ alpha: { url: alpha.url }, files: scripted }, { workers: 2 });
    try {
      for (const [path, name] of [
        ['/mcp', 'files__echo'],
        ['/mcp/files', 'echo'],
      ] as const) {
        const url = `${gateway.url}${path}`;
        const session = await open(url);
        const replies = await Promise.all(
          Array.from({ length: 40 }, async (_, id) => {
            const params = { name, arguments: { id } };
            const reply = await post(url, session, { jsonrpc: '2.0', id, method: 'tools/call', params });
            return (await reply.json()) as { id: number; result: { pid: number; args: { id: number } } };
          }),
        );
        expect(replies.map((reply) => [reply.id, reply.result.args.id])).toEqual(
          replies.map((_, id) => [id, id]),
        );
        expect(new Set(replies.map((reply) => reply.result.pid)).size).toBe(1);
        for (let id = 0; id < 6; id++) {
          const stream = await post(url, session, {
            jsonrpc: '2.0',
            id,
            method: 'tools/call',
            params: {
              name: name.replace('echo', 'work'),
              arguments: { steps: 3 },
              _meta: { progressToken: `t${id}` },
            },
          });
          expect(
            (await stream.text()).split('\n\n').filter((event) => event.includes('progress')),
          ).toHaveLength(3);
        }
        const ended = await fresh(url, { method: 'DELETE', headers: headersOf(session) });
        expect(ended.status).toBe(200);
        for (let id = 0; id < 6; id++)
          expect((await post(url, session, { jsonrpc: '2.0', id, method: 'ping' })).status).toBe(404);
      }
      const pids = await Promise.all(
        Array.from({ length: 30 }, async (_, id) => {
          const reply = await fresh(`${gateway.url}/mcp/files`, modernCall(id, 'echo', { id }));
          return ((await reply.json()) as { result: { pid: number } }).result.pid;
        }),
      );
      expect(new Set(pids).size).toBe(1);
    } finally {
      await stopAll();
    }
  }, 30_000);
});
