// A modern client at an aggregated endpoint: stateless requests over two servers, one of which may be down.
// Run by `bun test`, in process, over real sockets.
import { afterAll, describe, expect, test } from 'bun:test';
import type { Rpc } from '../fixtures/legacy-server.ts';
import { modernHeaders, modernRequest } from '../fixtures/messages.ts';
import { type ByteServer, startByteServer, startPlane } from '../fixtures/plane.ts';
import { readEvents, until } from '../fixtures/rpc-client.ts';

interface Listening {
  send(message: unknown): void;
  end(): void;
  filter: Record<string, unknown>;
  aborted: boolean;
}

const listens: Listening[] = [];

function modernServer(name: string): ByteServer {
  return startByteServer((body, request) => {
    const message = JSON.parse(new TextDecoder().decode(body)) as {
      id: number;
      method: string;
      params: Record<string, unknown>;
    };
    const reply = (result: Record<string, unknown>): Response =>
      Response.json({ jsonrpc: '2.0', id: message.id, result: { ...result, resultType: 'complete' } });
    const { params } = message;
    switch (message.method) {
      case 'server/discover':
        return reply({
          supportedVersions: ['2026-07-28'],
          capabilities: { tools: { listChanged: true } },
          instructions: `use ${name}`,
          ttlMs: name === 'a' ? 100 : 50,
          cacheScope: 'public',
        });
      case 'tools/list':
        return params.cursor === undefined
          ? reply({ tools: [{ name: 'one', n: 1 }], nextCursor: '', ttlMs: 100, cacheScope: 'public' })
          : reply({ tools: [{ name: 'two' }], ttlMs: 70, cacheScope: 'public' });
      case 'tools/call':
        return reply({
          content: [
            { type: 'text', text: `${name}:${String(params.name)}:${request.headers.get('mcp-name')}` },
          ],
        });
      case 'resources/read':
        return reply({ contents: [{ uri: params.uri, text: name }] });
      case 'subscriptions/listen':
        return listen(message.id, params.notifications as Record<string, unknown>, request);
      default:
        return Response.json(
          { jsonrpc: '2.0', id: message.id, error: { code: -32601, message: 'no' } },
          { status: 404 },
        );
    }
  });
}

function listen(id: number, filter: Record<string, unknown>, request: Request): Response {
  const stream = new ReadableStream<Uint8Array>({
    start: (controller) => {
      const put = (message: unknown): void =>
        controller.enqueue(new TextEncoder().encode(`event: message\ndata: ${JSON.stringify(message)}\n\n`));
      const tag = { 'io.modelcontextprotocol/subscriptionId': id };
      put({
        jsonrpc: '2.0',
        method: 'notifications/subscriptions/acknowledged',
        params: { notifications: filter, _meta: tag },
      });
      const one: Listening = {
        filter,
        aborted: false,
        send: (params) => put(params),
        end: () => {
          put({ jsonrpc: '2.0', id, result: { resultType: 'complete', _meta: tag } });
          controller.close();
        },
      };
      request.signal.addEventListener('abort', () => {
        one.aborted = true;
      });
      listens.push(one);
    },
  });
  return new Response(stream, { headers: { 'content-type': 'text/event-stream' } });
}

const a = modernServer('a');
const b = modernServer('b');
const down = startByteServer(() => new Response('x'));
const downUrl = down.url;
down.stop();
const plane = startPlane({ servers: { a: { url: a.url }, b: { url: b.url } } });
const partial = startPlane({
  servers: { a: { url: a.url }, gone: { url: downUrl } },
  spec: { connectTimeoutMs: 500 },
});

afterAll(async () => {
  await Promise.all([plane.stop(), partial.stop()]);
  a.stop();
  b.stop();
});

async function send(
  base: string,
  method: string,
  params: Record<string, unknown> = {},
  name?: string,
): Promise<{ status: number; body: Rpc & { error?: { code: number; data?: unknown } } }> {
  const response = await fetch(`${base}/mcp`, {
    method: 'POST',
    headers: modernHeaders(method, name),
    body: modernRequest(5, method, params),
  });
  return { status: response.status, body: (await response.json()) as Rpc };
}

describe('a modern client over two servers', () => {
  test('discover is merged', async () => {
    const { body } = await send(plane.url, 'server/discover');
    expect(body).toMatchObject({
      id: 5,
      result: {
        supportedVersions: ['2026-07-28'],
        capabilities: { tools: { listChanged: true } },
        instructions: 'a: use a\n\nb: use b',
        ttlMs: 50,
        cacheScope: 'public',
        resultType: 'complete',
        _meta: { 'io.modelcontextprotocol/serverInfo': { name: 'sluice' } },
      },
    });
  });

  test('lists follow every page, the empty cursor included', async () => {
    const { body } = await send(plane.url, 'tools/list');
    expect(body.result).toMatchObject({
      tools: [{ name: 'a__one', n: 1 }, { name: 'a__two' }, { name: 'b__one' }, { name: 'b__two' }],
      ttlMs: 70,
      cacheScope: 'public',
    });
  });

  test('a call reaches its server under its own name, header included', async () => {
    const { status, body } = await send(
      plane.url,
      'tools/call',
      { name: 'b__é', arguments: {} },
      '=?base64?Yl9fw6k=?=',
    );
    expect(status).toBe(200);
    expect(body.result).toMatchObject({ content: [{ text: 'b:é:=?base64?w6k=?=' }] });
  });

  test('a read goes by its mark and comes back with it', async () => {
    const { body } = await send(plane.url, 'resources/read', { uri: 'b+x://1' }, 'b+x://1');
    expect(body.result).toMatchObject({ contents: [{ uri: 'b+x://1', text: 'b' }] });
  });

  test('an unknown tool, method, version or cursor is refused with the id', async () => {
    expect(await send(plane.url, 'tools/call', { name: 'nobody' }, 'nobody')).toMatchObject({
      status: 200,
      body: { id: 5, error: { code: -32602 } },
    });
    expect(await send(plane.url, 'no/such')).toMatchObject({
      status: 404,
      body: { id: 5, error: { code: -32601 } },
    });
    expect(await send(plane.url, 'tools/list', { cursor: 'mine' })).toMatchObject({
      body: { id: 5, error: { code: -32602 } },
    });
    const future = modernRequest(5, 'tools/list').replace('2026-07-28', '2099-01-01');
    const response = await fetch(`${plane.url}/mcp`, {
      method: 'POST',
      headers: { ...modernHeaders('tools/list'), 'mcp-protocol-version': '2099-01-01' },
      body: future,
    });
    expect([response.status, await response.json()]).toMatchObject([
      400,
      { id: 5, error: { code: -32022, data: { supported: ['2026-07-28'], requested: '2099-01-01' } } },
    ]);
  });

  test('a server that is down is named in the list, and does not hurt the other', async () => {
    const { body } = await send(partial.url, 'tools/list');
    const result = body.result as {
      tools: { name: string }[];
      ttlMs: number;
      _meta: Record<string, Record<string, string>>;
    };
    expect(result.tools.map((tool) => tool.name)).toEqual(['a__one', 'a__two']);
    expect(result.ttlMs).toBe(0);
    expect(Object.keys(result._meta['sluice/missing'] ?? {})).toEqual(['gone']);
    expect(await send(partial.url, 'tools/call', { name: 'gone__x' }, 'gone__x')).toMatchObject({
      status: 502,
      body: { id: 5, error: { code: -32603 } },
    });
  });

  test('listen: filters are split, acknowledgements merged, notifications marked, and the client leaving reaches every server', async () => {
    listens.length = 0;
    const heard: Rpc[] = [];
    const abort = new AbortController();
    const response = await fetch(`${plane.url}/mcp`, {
      method: 'POST',
      headers: modernHeaders('subscriptions/listen'),
      body: modernRequest(9, 'subscriptions/listen', {
        notifications: { toolsListChanged: true, resourceSubscriptions: ['a+x://1', 'b+y://1', 'b+y://2'] },
      }),
      signal: abort.signal,
    });
    void readEvents(response, (message) => heard.push(message)).catch(() => undefined);
    await until('acknowledged', () => heard.length === 1);
    expect(listens.map((one) => one.filter.resourceSubscriptions)).toEqual(
      expect.arrayContaining([['x://1'], ['y://1', 'y://2']]),
    );
    expect(heard[0]).toEqual({
      jsonrpc: '2.0',
      method: 'notifications/subscriptions/acknowledged',
      params: {
        notifications: {
          toolsListChanged: true,
          resourceSubscriptions: expect.arrayContaining(['a+x://1', 'b+y://1', 'b+y://2']),
        },
        _meta: { 'io.modelcontextprotocol/subscriptionId': 9 },
      },
    });
    listens
      .find((one) => (one.filter.resourceSubscriptions as string[]).length === 1)
      ?.send({
        jsonrpc: '2.0',
        method: 'notifications/resources/updated',
        params: { uri: 'x://1', _meta: { 'io.modelcontextprotocol/subscriptionId': 9 } },
      });
    await until('updated', () => heard.length === 2);
    expect(heard[1]?.params).toMatchObject({ uri: 'a+x://1' });
    abort.abort();
    await until('both servers saw the client leave', () => listens.every((one) => one.aborted));
    await until('idle', () => plane.plane.stats().activeExchanges === 0);
  });

  test('listen ends with a result when every server ended it', async () => {
    listens.length = 0;
    const heard: Rpc[] = [];
    const response = await fetch(`${plane.url}/mcp`, {
      method: 'POST',
      headers: modernHeaders('subscriptions/listen'),
      body: modernRequest(9, 'subscriptions/listen', { notifications: { toolsListChanged: true } }),
    });
    const over = readEvents(response, (message) => heard.push(message));
    await until('acknowledged', () => heard.length === 1);
    for (const one of listens) one.end();
    await over;
    expect(heard.at(-1)).toMatchObject({
      id: 9,
      result: { resultType: 'complete', _meta: { 'io.modelcontextprotocol/subscriptionId': 9 } },
    });
  });

  test('nothing stays busy', async () => {
    await until('all is idle', () =>
      Object.values(plane.plane.stats().upstreams).every((stats) => stats.waiting === 0 && stats.busy === 0),
    );
  });
});
