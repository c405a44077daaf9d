// A legacy client at an aggregated endpoint: one session over two servers, with everything that flows in both directions.
// Run by `bun test`, in process, over real sockets.
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { LegacyServer, type Rpc } from '../fixtures/legacy-server.ts';
import { type Plane, startPlane } from '../fixtures/plane.ts';
import { RpcClient, until } from '../fixtures/rpc-client.ts';

const a = new LegacyServer('alpha');
const b = new LegacyServer('beta');
const plane: Plane = startPlane({
  servers: { alpha: { url: a.url }, beta: { url: b.url } },
  front: { sessionsMax: 3 },
});
let client = new RpcClient(`${plane.url}/mcp`);

beforeEach(async () => {
  client = new RpcClient(`${plane.url}/mcp`);
  await client.initialize();
});
afterEach(async () => {
  await client.end();
  client.close();
});
afterAll(async () => {
  await plane.stop();
  a.stop();
  b.stop();
});

const text = (reply: Rpc): string => (reply.result as { content: { text: string }[] }).content[0]?.text ?? '';

describe('a legacy session over two servers', () => {
  test('initialize negotiates, merges capabilities and names the servers in the instructions', async () => {
    const other = new RpcClient(`${plane.url}/mcp`);
    const reply = await other.initialize();
    expect(reply.result).toMatchObject({
      protocolVersion: '2025-06-18',
      serverInfo: { name: 'sluice' },
      capabilities: { tools: { listChanged: true }, resources: { subscribe: true } },
      instructions: 'alpha: use alpha\n\nbeta: use beta',
    });
    expect(other.session).not.toBeNull();
    await other.end();
  });

  test('lists are merged over every page, in the order of the configuration', async () => {
    const tools = (await client.request('tools/list')).result as {
      tools: { name: string }[];
      nextCursor?: string;
    };
    expect(tools.tools.map((tool) => tool.name)).toEqual([
      'alpha__echo',
      'alpha__ask',
      'alpha__second-page 2',
      'beta__echo',
      'beta__ask',
      'beta__second-page 2',
    ]);
    expect(tools.nextCursor).toBeUndefined();
    expect((await client.request('resources/list')).result).toEqual({
      resources: [
        { uri: 'alpha+mem://1', name: 'one' },
        { uri: 'beta+mem://1', name: 'one' },
      ],
    });
    expect((await client.request('resources/templates/list')).result).toMatchObject({
      resourceTemplates: [{ uriTemplate: 'alpha+mem://{id}' }, { uriTemplate: 'beta+mem://{id}' }],
    });
    expect((await client.request('prompts/list')).result).toMatchObject({
      prompts: [{ name: 'alpha__hello' }, { name: 'beta__hello' }],
    });
  });

  test('calls, prompts, reads and completions go to the server they name', async () => {
    expect(text(await client.request('tools/call', { name: 'beta__echo' }))).toBe('beta:echo');
    expect((await client.request('prompts/get', { name: 'alpha__hello' })).result).toMatchObject({
      messages: [{ content: { text: 'hello' } }],
    });
    expect((await client.request('resources/read', { uri: 'beta+mem://1' })).result).toEqual({
      contents: [{ uri: 'beta+mem://1', text: 'beta mem://1' }],
    });
    expect(
      (await client.request('completion/complete', { ref: { type: 'ref/prompt', name: 'beta__hello' } }))
        .result,
    ).toMatchObject({ completion: { values: ['{"type":"ref/prompt","name":"hello"}'] } });
    expect(
      (
        await client.request('completion/complete', {
          ref: { type: 'ref/resource', uri: 'alpha+mem://{id}' },
        })
      ).result,
    ).toMatchObject({ completion: { values: ['{"type":"ref/resource","uri":"mem://{id}"}'] } });
  });

  test('what names no server is refused with the id, over HTTP 200', async () => {
    for (const [method, params] of [
      ['tools/call', { name: 'echo' }],
      ['resources/read', { uri: 'mem://1' }],
      ['prompts/get', { name: 'gamma__x' }],
      ['no/such', {}],
    ] as const) {
      const reply = await client.request(method, params);
      expect(reply.error?.code).toBe(method === 'no/such' ? -32601 : -32602);
      expect(reply.id).toBeDefined();
    }
  });

  test('a server asks the client in the middle of a call, and gets the answer under its own id', async () => {
    const seen: Rpc[] = [];
    const reply = await client.request(
      'tools/call',
      { name: 'alpha__ask', _meta: { progressToken: 'p' } },
      (message) => {
        seen.push(message);
        if (message.method === 'elicitation/create')
          void client.post({
            jsonrpc: '2.0',
            id: message.id,
            result: { action: 'accept', content: { n: 'Ada' } },
          });
      },
    );
    expect(seen.map((message) => message.method)).toEqual(['notifications/progress', 'elicitation/create']);
    expect(text(reply)).toBe('answer {"action":"accept","content":{"n":"Ada"}}');
    expect(a.received.find((message) => message.result !== undefined)?.id).toBe(1);
  });

  test('the session stream carries what servers say by themselves; a second one takes its place', async () => {
    expect((await client.listen()).status).toBe(200);
    await until('both legs stream', () => a.streams === 1 && b.streams === 1);
    expect((await client.listen()).status).toBe(200);
    a.say({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' });
    b.say({ jsonrpc: '2.0', method: 'notifications/resources/updated', params: { uri: 'mem://1' } });
    await until('both heard', () => client.heard.length === 2);
    expect(client.heard).toContainEqual({
      jsonrpc: '2.0',
      method: 'notifications/resources/updated',
      params: { uri: 'beta+mem://1' },
    });
    const answered = b.askClient('q1', 'roots/list');
    await until('the request was heard', () => client.heard.length === 3);
    const asked = client.heard.find((message) => message.method === 'roots/list');
    expect(asked?.id).not.toBe('q1');
    await client.post({ jsonrpc: '2.0', id: asked?.id, result: { roots: [] } });
    expect(await answered).toEqual({ roots: [] });
  });

  test('subscriptions, levels and notifications reach the servers concerned', async () => {
    a.received.length = 0;
    b.received.length = 0;
    await client.request('resources/subscribe', { uri: 'beta+mem://1' });
    expect(b.received.at(-1)).toMatchObject({ method: 'resources/subscribe', params: { uri: 'mem://1' } });
    expect((await client.request('logging/setLevel', { level: 'debug' })).result).toEqual({});
    await client.notify('notifications/roots/list_changed');
    await until('both were told', () =>
      [a, b].every(
        (server) =>
          server.received.filter(
            (message) =>
              message.method === 'logging/setLevel' || message.method === 'notifications/roots/list_changed',
          ).length === 2,
      ),
    );
  });

  test('a cancellation goes to the server that runs the request', async () => {
    a.received.length = 0;
    const running = client.request('tools/call', { name: 'alpha__ask' });
    await until('the call arrived', () => a.received.some((message) => message.method === 'tools/call'));
    const id = a.received.find((message) => message.method === 'tools/call')?.id;
    await client.notify('notifications/cancelled', { requestId: id });
    await until('the cancellation arrived', () =>
      a.received.some((message) => message.method === 'notifications/cancelled'),
    );
    expect(b.received.some((message) => message.method === 'notifications/cancelled')).toBe(false);
    running.catch(() => undefined);
  });

  test('a server that forgot its sessions is initialized again, and the call is executed once', async () => {
    const before = a.initializes;
    a.forget();
    const executions = a.executions;
    const replies = await Promise.all(
      [1, 2, 3].map(() => client.request('tools/call', { name: 'alpha__count' })),
    );
    expect(replies.map(text)).toEqual(['alpha:count', 'alpha:count', 'alpha:count']);
    expect(a.executions - executions).toBe(3);
    expect(a.initializes - before).toBe(1);
  });

  test('DELETE ends every leg; the session is then unknown', async () => {
    const other = new RpcClient(`${plane.url}/mcp`);
    await other.initialize();
    const deleted = a.deleted.length;
    expect((await other.end()).status).toBe(200);
    await until('the leg ended', () => a.deleted.length > deleted);
    const response = await other.post({ jsonrpc: '2.0', id: 1, method: 'tools/list' });
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({ id: 1, error: { code: -32001 } });
  });

  test('without a session there is nothing but initialize and ping; too many sessions are refused', async () => {
    const lost = new RpcClient(`${plane.url}/mcp`);
    expect((await lost.post({ jsonrpc: '2.0', id: 1, method: 'tools/list' })).status).toBe(400);
    expect(await (await lost.post({ jsonrpc: '2.0', id: 'p', method: 'ping' })).json()).toEqual({
      jsonrpc: '2.0',
      id: 'p',
      result: {},
    });
    const others = [1, 2, 3].map(() => new RpcClient(`${plane.url}/mcp`));
    const replies = await Promise.all(
      others.map((one) =>
        one.request('initialize', {
          protocolVersion: '2025-06-18',
          capabilities: {},
          clientInfo: { name: 'x', version: '1' },
        }),
      ),
    );
    expect(replies.filter((reply) => reply.error !== undefined).length).toBe(1);
    await Promise.all(others.map((one) => (one.session === null ? null : one.end())));
  });

  test('an initialize that is too long to be kept is refused, and opens nothing', async () => {
    const before = a.initializes;
    const lost = new RpcClient(`${plane.url}/mcp`);
    const params = {
      protocolVersion: '2025-06-18',
      capabilities: { x: 'x'.repeat(70_000) },
      clientInfo: { name: 'x', version: '1' },
    };
    const response = await lost.post({ jsonrpc: '2.0', id: 1, method: 'initialize', params });
    expect(response.status).toBe(413);
    expect(await response.json()).toMatchObject({ id: 1, error: { data: { gw: 'GW_SERVER_BODY_SIZE' } } });
    expect(a.initializes).toBe(before);
  });

  test('a batch is split over the servers and joined again', async () => {
    const response = await client.post([
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

  test('nothing stays busy', async () => {
    await until(
      'all is idle',
      () =>
        Object.values(plane.plane.stats().upstreams).every((stats) => stats.waiting === 0) &&
        plane.plane.stats().activeExchanges === 0,
    );
  });
});
