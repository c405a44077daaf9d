// The cache through a whole data plane over real sockets: whose answers are whose, one call for many, and what a server tells of changes.
// Run by `bun test`, in process; figures of the whole program are printed by `npm run bench -- cache`.
import { afterAll, describe, expect, test } from 'bun:test';
import { Caller } from '../../src/cli/bench/caller.ts';
import { FIRST_ID, requestBytes } from '../../src/cli/bench/message.ts';
import { createBunRuntime } from '../../src/runtime/bun.ts';
import type { CacheSettings } from '../../src/upstream/spec.ts';
import type { CacheStats } from '../../src/upstream/upstream.ts';
import { modernHeaders, modernRequest } from '../fixtures/messages.ts';
import { type ByteServer, type Plane, startByteServer, startPlane } from '../fixtures/plane.ts';
import { until } from '../fixtures/rpc-client.ts';

const CACHE: CacheSettings = {
  bytesMax: 1_000_000,
  defaultTtlMs: 0,
  defaultScope: 'private',
  staleOnErrorMs: 60_000,
  tools: [],
};
const TTL_MS = 600_000;

interface Message {
  readonly id: number;
  readonly method: string;
  readonly params: Record<string, unknown>;
}

/** A server whose answers say who asked, and which call it was. */
class Server {
  /** Answers wait for this. */
  gate: Promise<unknown> = Promise.resolve();
  scope = 'private';
  isDown = false;
  calls = 0;
  readonly listens: { tell(method: string, params?: Record<string, unknown>): void; readonly who: string }[] =
    [];
  readonly bytes: ByteServer = startByteServer((body, request) => this.#answer(body, request));

  async #answer(body: Uint8Array, request: Request): Promise<Response> {
    const message = JSON.parse(new TextDecoder().decode(body)) as Message;
    const who = request.headers.get('authorization') ?? 'nobody';
    if (message.method === 'subscriptions/listen') return this.#listen(message, who);
    const call = ++this.calls;
    await this.gate;
    if (this.isDown) return new Response('down', { status: 503 });
    const kept = { resultType: 'complete', ttlMs: TTL_MS, cacheScope: this.scope, call, who };
    const { uri } = message.params;
    const result =
      message.method === 'resources/read'
        ? { contents: [{ uri, text: who }], ...kept }
        : { tools: [{ name: `tool_${call}`, inputSchema: { type: 'object' } }], ...kept };
    return Response.json({ jsonrpc: '2.0', id: message.id, result });
  }

  #listen({ id, params }: Message, who: string): Response {
    const stream = new ReadableStream<Uint8Array>({
      start: (controller) => {
        const tell = (method: string, more: Record<string, unknown> = {}): void => {
          const _meta = { 'io.modelcontextprotocol/subscriptionId': id };
          const data = JSON.stringify({ jsonrpc: '2.0', method, params: { ...more, _meta } });
          controller.enqueue(new TextEncoder().encode(`event: message\ndata: ${data}\n\n`));
        };
        tell('notifications/subscriptions/acknowledged', { notifications: params.notifications });
        this.listens.push({ tell, who });
      },
    });
    return new Response(stream, { headers: { 'content-type': 'text/event-stream' } });
  }
}

const running: { stop(): unknown }[] = [];
afterAll(async () => {
  for (const one of running) await one.stop();
});

/** A server behind a plane that keeps its answers. */
function start(name = 'docs', prefix: 'auto' | 'always' = 'auto'): { server: Server; plane: Plane } {
  const server = new Server();
  const plane = startPlane({
    servers: { [name]: { url: server.bytes.url } },
    spec: { cache: CACHE, forwardHeaders: ['authorization'], era: 'modern' },
    prefix,
    front: { exchangesMax: 2_000 },
  });
  running.push(plane, server.bytes);
  return { server, plane };
}

interface Reply {
  readonly id: number;
  readonly result: {
    readonly call: number;
    readonly who: string;
    readonly ttlMs: number;
    readonly tools: readonly { readonly name: string }[];
    readonly _meta?: Record<string, unknown>;
  };
}

let ids = 0;

async function ask(
  plane: Plane,
  method: string,
  { as, params = {}, path = '/mcp' }: { as?: string; params?: Record<string, unknown>; path?: string } = {},
): Promise<Reply> {
  const id = ++ids;
  const name = typeof params.uri === 'string' ? params.uri : undefined;
  const response = await fetch(`${plane.url}${path}`, {
    method: 'POST',
    headers: { ...modernHeaders(method, name), ...(as === undefined ? {} : { authorization: as }) },
    body: modernRequest(id, method, params),
  });
  const reply = (await response.json()) as Reply;
  expect(reply.id).toBe(id);
  return reply;
}

const read = { uri: 'file:///a' };

function cacheOf({ plane }: Plane): CacheStats {
  const { cache } = plane.stats().upstreams.docs ?? {};
  if (cache === undefined) throw new Error('the server has no cache');
  return cache;
}

/** Waits until the server's subscription has begun, and what was asked before is gone. */
function untilCovered(server: Server, plane: Plane): Promise<void> {
  return until('it listens', () => server.listens.length > 0 && cacheOf(plane).entries === 0);
}

/** Waits until the server's subscription has begun and what was asked before is gone, and asks once more. */
async function settled(server: Server, plane: Plane, method: string, params = {}): Promise<Reply> {
  await ask(plane, method, { params });
  await untilCovered(server, plane);
  return ask(plane, method, { params });
}

describe('a cache of answers', () => {
  test('the server is asked once, with what is left of the time outwards', async () => {
    const { server, plane } = start();
    const first = await settled(server, plane, 'tools/list');
    await Bun.sleep(5);
    for (let i = 0; i < 20; i++) {
      const reply = await ask(plane, 'tools/list');
      expect(reply.result.call).toBe(first.result.call);
      expect(reply.result.ttlMs).toBeLessThan(TTL_MS);
    }
    expect(server.calls).toBe(2);
    expect(cacheOf(plane)).toMatchObject({ hits: 20, misses: 2, entries: 1 });
  });

  for (const [method, params] of [
    ['tools/list', {}],
    ['resources/read', read],
  ] as const)
    test(`two principals: a private answer to ${method} never crosses`, async () => {
      const { server, plane } = start();
      const users = ['Bearer ann', 'Bearer bob'];
      for (let round = 0; round < 10; round++)
        for (const as of users)
          for (const reply of await Promise.all([
            ask(plane, method, { as, params }),
            ask(plane, method, { as, params }),
          ]))
            expect(reply.result.who).toBe(as);
      await until('both listen', () => server.listens.length >= 2);
      expect(new Set(server.listens.map(({ who }) => who))).toEqual(new Set(users));
      for (const as of users) expect((await ask(plane, method, { as, params })).result.who).toBe(as);
      expect((await ask(plane, method, { params })).result.who).toBe('nobody');
      // At most: at first, once more when each subscription begins, and the one without credentials.
      expect(server.calls).toBeLessThanOrEqual(5);
    });

  test('a public answer is everyone’s', async () => {
    const { server, plane } = start();
    server.scope = 'public';
    await ask(plane, 'tools/list', { as: 'Bearer ann' });
    await untilCovered(server, plane);
    const { who } = (await ask(plane, 'tools/list', { as: 'Bearer ann' })).result;
    for (const as of ['Bearer bob', 'Bearer cid'])
      expect((await ask(plane, 'tools/list', { as })).result.who).toBe(who);
  });

  test('a thousand misses at once make one call', async () => {
    const { server, plane } = start();
    const gate = Promise.withResolvers<void>();
    server.gate = gate.promise;
    const place = { host: `127.0.0.1:${plane.port}`, path: '/mcp' };
    const speech = { era: 'modern', version: '2026-07-28', headers: [], client: '1' } as const;
    const route = {
      runtime: createBunRuntime(),
      address: { host: '127.0.0.1', port: plane.port },
      tls: null,
    };
    // fetch() has no more than 256 requests under way.
    const callers = Array.from({ length: 1_000 }, () => new Caller(route, () => performance.now()));
    const answers = callers.map(
      (caller, at) =>
        new Promise<string | null>((resolve) => {
          const request = requestBytes(place, speech, { method: 'tools/list', params: {} }, null);
          // Its reader judges whether the reply is an answer to this very id.
          caller.send(request, FIRST_ID + at, 0, ({ reader }) => resolve(reader.fault));
        }),
    );
    await until('all wait', () => cacheOf(plane).shared === 999);
    gate.resolve();
    expect((await Promise.all(answers)).filter((fault) => fault !== null)).toEqual([]);
    for (const caller of callers) caller.close();
    expect(server.calls).toBe(1);
    console.log(`1,000 misses at once: ${server.calls} call upstream`);
  });

  test('what the server tells of a change counts before the next request', async () => {
    const { server, plane } = start();
    const tookMs: number[] = [];
    let last = await settled(server, plane, 'tools/list');
    for (let round = 0; round < 50; round++) {
      expect((await ask(plane, 'tools/list')).result.call).toBe(last.result.call);
      const from = performance.now();
      server.listens.at(-1)?.tell('notifications/tools/list_changed');
      while (cacheOf(plane).entries > 0) await new Promise(setImmediate);
      tookMs.push(performance.now() - from);
      const next = await ask(plane, 'tools/list');
      expect(next.result.call).toBe(last.result.call + 1);
      last = next;
    }
    tookMs.sort((a, b) => a - b);
    const shown = [0.5, 0.98].map((share) => (tookMs[Math.floor(share * tookMs.length)] ?? 0).toFixed(1));
    console.log(
      `list_changed, from the server’s word until the answer is forgotten: median ${shown[0]} ms, p98 ${shown[1]} ms`,
    );
  });

  test('a resource that is told to have changed is read again, others are not', async () => {
    const { server, plane } = start();
    const other = { uri: 'file:///b' };
    await settled(server, plane, 'resources/read', read);
    await ask(plane, 'resources/read', { params: other });
    // The longer subscription takes over, and what was read before it is read again.
    await until('it listens for both', () => server.listens.length > 1 && cacheOf(plane).entries === 1);
    const a = (await ask(plane, 'resources/read', { params: read })).result.call;
    const b = (await ask(plane, 'resources/read', { params: other })).result.call;
    server.listens.at(-1)?.tell('notifications/resources/updated', read);
    await until('one is forgotten', () => cacheOf(plane).entries === 1);
    expect((await ask(plane, 'resources/read', { params: read })).result.call).toBeGreaterThan(a);
    expect((await ask(plane, 'resources/read', { params: other })).result.call).toBe(b);
  });

  test('an aggregate is served from it as well', async () => {
    const { server, plane } = start('docs', 'always');
    const first = await settled(server, plane, 'tools/list');
    expect(first.result.tools[0]?.name).toStartWith('docs__tool_');
    expect((await ask(plane, 'tools/list')).result.tools).toEqual(first.result.tools);
    const before = server.calls;
    const uri = 'docs+file:///a';
    const { call } = (await ask(plane, 'resources/read', { params: { uri } })).result;
    expect((await ask(plane, 'resources/read', { params: { uri } })).result.call).toBe(call);
    expect(server.calls).toBe(before + 1);
  });

  test('a server that is down: what it said before stands in', async () => {
    const { server, plane } = start();
    const { call } = (await settled(server, plane, 'tools/list')).result;
    server.isDown = true;
    server.listens.at(-1)?.tell('notifications/prompts/list_changed');
    server.bytes.stop();
    // The end of the subscription is a gap: from then on the server is asked, and cannot be reached.
    const stale = await untilStale(plane);
    expect(stale.result).toMatchObject({ call, ttlMs: 0, _meta: { 'sluice/stale': true } });
    expect(cacheOf(plane).stale).toBeGreaterThan(0);
  });
});

async function untilStale(plane: Plane): Promise<Reply> {
  for (let i = 0; i < 500; i++) {
    const reply = await ask(plane, 'tools/list');
    if (reply.result._meta?.['sluice/stale'] === true) return reply;
    await Bun.sleep(10);
  }
  throw new Error('nothing stood in for the server within five seconds');
}
