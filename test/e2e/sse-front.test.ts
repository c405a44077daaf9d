// HTTP+SSE (2024-11-05) towards clients: the SSE client of @modelcontextprotocol/sdk 1.32.2 at every way to the fixture, through planes in this process.
// Run by `bun test`. Promises: each way gives everything that a client of that transport can be given; what two clients say to one server never mixes; nothing
// is left under way when they have gone.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import {
  Client as CurrentClient,
  SSEClientTransport as CurrentTransport,
} from '@modelcontextprotocol/client';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
  LoggingMessageNotificationSchema,
  ResourceUpdatedNotificationSchema,
  ToolListChangedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { fixtureCommand, type Served, startFixture, startGateway, stopAll } from '../fixtures/harness.ts';
import { LegacyServer, type Rpc } from '../fixtures/legacy-server.ts';
import { eventually } from '../fixtures/places.ts';
import { type Plane, startByteServer, startPlane } from '../fixtures/plane.ts';
import { Planes } from '../fixtures/planes.ts';

const TEST_MS_MAX = 20_000;
const CALL = { timeout: 8_000 };

let fixture: Served;
/** One server each, and both behind one endpoint. */
let plane: Plane;
beforeAll(async () => {
  fixture = await startFixture('legacy');
  const near = fixtureCommand('legacy');
  plane = startPlane({
    servers: { far: { url: fixture.url }, near: { command: near.command, args: near.args } },
    spec: { era: 'legacy' },
  });
}, TEST_MS_MAX);
afterAll(async () => {
  await plane.stop();
  await stopAll();
});

/** A way to the fixture, and how it spells names and URIs. */
interface Way {
  readonly path: string;
  readonly server: string;
  readonly prefix: string | null;
}

const WAYS: readonly Way[] = [
  { path: '/mcp/far/sse', server: 'far', prefix: null },
  { path: '/mcp/near/sse', server: 'near', prefix: null },
  { path: '/sse', server: 'far', prefix: 'far' },
  { path: '/sse', server: 'near', prefix: 'near' },
];

/** A connected client, and what it was asked and told. */
class Visitor {
  readonly client = new Client(
    { name: 'e2e', version: '1' },
    { capabilities: { sampling: {}, elicitation: {}, roots: {} } },
  );
  readonly heard: string[] = [];
  readonly faults: Error[] = [];
  readonly #way: Way;
  readonly #name: string;

  constructor(way: Way, name = 'ada') {
    this.#way = way;
    this.#name = name;
    const { client, heard } = this;
    client.onerror = (error) => void this.faults.push(error);
    client.setRequestHandler(CreateMessageRequestSchema, async () => ({
      role: 'assistant',
      model: 'm',
      content: { type: 'text', text: this.#name },
    }));
    client.setRequestHandler(ElicitRequestSchema, async () => ({
      action: 'accept',
      content: { username: this.#name, email: `${this.#name}@example.org` },
    }));
    client.setRequestHandler(ListRootsRequestSchema, async () => ({
      roots: [{ uri: `file:///${this.#name}` }],
    }));
    client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => {
      heard.push(`log ${String(params.data)}`);
    });
    client.setNotificationHandler(ToolListChangedNotificationSchema, () => void heard.push('tools'));
    client.setNotificationHandler(
      ResourceUpdatedNotificationSchema,
      ({ params }) => void heard.push(params.uri),
    );
  }

  name(own: string): string {
    return this.#way.prefix === null ? own : `${this.#way.prefix}__${own}`;
  }
  uri(own: string): string {
    return this.#way.prefix === null ? own : `${this.#way.prefix}+${own}`;
  }

  async connect(base = plane.url): Promise<this> {
    await this.client.connect(new SSEClientTransport(new URL(base + this.#way.path)));
    return this;
  }

  async call(
    tool: string,
    args: Record<string, unknown> = {},
    options: { signal?: AbortSignal; onprogress?: (step: { progress: number }) => void } = {},
  ): Promise<string> {
    const request = { name: this.name(tool), arguments: args };
    const result = await this.client.callTool(request, undefined, { ...CALL, ...options });
    const [block] = result.content as { text?: string }[];
    return block?.text ?? '';
  }

  async stats(): Promise<{ sessionsOpen: number; calls: Record<string, { cancelled: number }> }> {
    return JSON.parse(await this.call('stats')) as Awaited<ReturnType<Visitor['stats']>>;
  }
}

for (const way of WAYS) {
  describe(`SSE client at ${way.path}, server ${way.server}`, () => {
    const scene = (name: string, use: (visitor: Visitor) => Promise<void>): void => {
      test(
        name,
        async () => {
          const visitor = await new Visitor(way).connect();
          try {
            await use(visitor);
            expect(visitor.faults.filter(({ message }) => !message.includes('unknown token'))).toEqual([]);
          } finally {
            await visitor.client.close();
          }
          await eventually('nothing is under way', () => plane.plane.stats().activeExchanges === 0);
        },
        TEST_MS_MAX,
      );
    };

    scene('lists, calls, gets, reads, completes', async (visitor) => {
      const { client } = visitor;
      expect((await client.listTools()).tools.map((tool) => tool.name)).toContain(visitor.name('echo'));
      const args = { text: 'é \u2028 😀', deep: { list: [1, 2.5, null, true] } };
      expect(JSON.parse(await visitor.call('echo', args))).toEqual(args);
      expect(await visitor.call('big', { bytes: 1_000_000 })).toHaveLength(1_000_000);
      const prompt = await client.getPrompt({ name: visitor.name('test_simple_prompt') });
      expect(JSON.stringify(prompt)).toContain('This is a simple prompt for testing.');
      const { contents } = await client.readResource({ uri: visitor.uri('test://template/7/data') });
      expect(JSON.stringify(contents)).toContain('Data for ID: 7');
      await expect(client.readResource({ uri: visitor.uri('test://nothing') })).rejects.toThrow();
      expect(await client.ping()).toEqual({});
    });

    scene('reports progress and logs', async (visitor) => {
      const steps: number[] = [];
      await visitor.client.setLoggingLevel('info');
      await visitor.call(
        'test_tool_with_progress',
        {},
        { onprogress: ({ progress }) => steps.push(progress) },
      );
      // The SDK loses a notification that comes right before the response on one stream.
      expect(steps.slice(0, 2)).toEqual([0, 50]);
      await visitor.call('test_tool_with_logging');
      await eventually('three log messages came', () => visitor.heard.length >= 3);
    });

    scene('is asked in the middle of a call, also beside it', async (visitor) => {
      for (const way of ['call', 'session']) {
        expect(await visitor.call('test_sampling', { prompt: 'Who?', way })).toBe('LLM response: ada');
        expect(await visitor.call('test_elicitation', { message: 'Who?', way })).toContain('ada@example.org');
      }
    });

    scene('hears of changes', async (visitor) => {
      const { client, heard } = visitor;
      const uri = visitor.uri('test://watched-resource');
      await client.subscribeResource({ uri });
      await visitor.call('test_trigger_tool_change');
      await visitor.call('touch');
      await eventually('both changes are told', () => heard.includes('tools') && heard.includes(uri));
    });

    scene('cancels a call', async (visitor) => {
      const before = (await visitor.stats()).calls.slow?.cancelled ?? 0;
      const abort = new AbortController();
      const call = visitor.call(
        'slow',
        { ms: 15_000, steps: 1_000 },
        { signal: abort.signal, onprogress: () => abort.abort() },
      );
      await expect(call).rejects.toThrow();
      await eventually(
        'the server saw the cancellation',
        async () => ((await visitor.stats()).calls.slow?.cancelled ?? 0) === before + 1,
      );
    });

    scene('does not mix with another that uses the same ids', async (one) => {
      const two = await new Visitor(way, 'bob').connect();
      try {
        const answers = await Promise.all(
          [one, two].flatMap((visitor) => [
            visitor.call('test_sampling', { prompt: 'Who?' }),
            visitor.call('echo', { mine: visitor === one ? 1 : 2 }),
            visitor.call('test_elicitation', { message: 'Who?' }),
          ]),
        );
        expect(answers[0]).toBe('LLM response: ada');
        expect(answers[1]).toBe('{"mine":1}');
        expect(answers[2]).toContain('ada@example.org');
        expect(answers[3]).toBe('LLM response: bob');
        expect(answers[4]).toBe('{"mine":2}');
        expect(answers[5]).toContain('bob@example.org');
        expect(two.faults).toEqual([]);
      } finally {
        await two.client.close();
      }
    });

    if (way.server === 'far') {
      scene(
        'leaves no session behind at the server, not even when it leaves in the middle of a call',
        async (visitor) => {
          const open = async (): Promise<number> => (await visitor.stats()).sessionsOpen;
          const before = await open();
          const other = await new Visitor(way).connect();
          const began = Promise.withResolvers<void>();
          const slow = other
            .call('slow', { ms: 15_000, steps: 1_000 }, { onprogress: () => began.resolve() })
            .catch(() => 'it left');
          await began.promise;
          expect(await open()).toBe(before + 1);
          await other.client.close();
          expect(await slow).toBe('it left');
          await eventually('the session is gone', async () => (await open()) === before);
        },
      );
    }
  });
}

/** A bare client: reads the stream, posts where it is told, to whichever worker. */
class BareClient {
  readonly heard: Rpc[] = [];
  where = '';
  isOver = false;
  readonly #abort = new AbortController();

  async open(url: string, headers: Readonly<Record<string, string>> = {}): Promise<this> {
    const { signal } = this.#abort;
    const response = await fetch(url, { headers: { accept: 'text/event-stream', ...headers }, signal });
    void this.#read(response).catch(() => {
      this.isOver = true;
    });
    await eventually('it is told where to post', () => this.where !== '');
    return this;
  }

  async #read(response: Response): Promise<void> {
    const decoder = new TextDecoder();
    let rest = '';
    for await (const bytes of response.body ?? []) {
      rest += decoder.decode(bytes, { stream: true });
      const events = rest.split('\n\n');
      rest = events.pop() ?? '';
      for (const event of events) this.#take(event);
    }
    this.isOver = true;
  }

  #take(event: string): void {
    const data = /^data: (.*)$/m.exec(event)?.[1] ?? '';
    if (event.startsWith('event: endpoint')) this.where = data;
    else if (data !== '') this.heard.push(JSON.parse(data) as Rpc);
  }

  post(base: string, message: object, headers: Readonly<Record<string, string>> = {}): Promise<Response> {
    const body = JSON.stringify({ jsonrpc: '2.0', ...message });
    const init = { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body };
    return fetch(base + this.where, init);
  }

  async ask(base: string, message: Rpc & { id: number }): Promise<Rpc> {
    const reply = await this.post(base, message);
    expect([reply.status, await reply.text()]).toEqual([202, 'Accepted']);
    const found = (): Rpc | undefined =>
      this.heard.find((one) => one.id === message.id && one.method === undefined);
    await eventually(`${message.id} is answered`, () => found() !== undefined);
    return found() ?? {};
  }

  async initialize(base: string): Promise<void> {
    const clientInfo = { name: 'bare', version: '1' };
    const params = { protocolVersion: '2024-11-05', capabilities: { elicitation: {} }, clientInfo };
    await this.ask(base, { id: 0, method: 'initialize', params });
    await this.post(base, { method: 'notifications/initialized' });
  }

  close(): void {
    this.#abort.abort();
  }
}

describe('two workers: the stream is at one, messages reach the other', () => {
  const alpha = new LegacyServer('alpha');
  const beta = new LegacyServer('beta');
  const planes = new Planes({
    servers: { alpha: { url: alpha.url }, beta: { url: beta.url } },
    spec: { era: 'legacy', forwardHeaders: ['x-user'] },
  });
  afterAll(async () => {
    await planes.stop();
    alpha.stop();
    beta.stop();
  });
  const call = (id: number, name: string): Rpc & { id: number } => ({
    id,
    method: 'tools/call',
    params: { name, arguments: {} },
  });

  for (const [path, name] of [
    ['/sse', 'beta__echo'],
    ['/mcp/beta/sse', 'echo'],
  ] as const) {
    test(`${path}: every message gets through, and what comes of it is on the stream`, async () => {
      const client = await new BareClient().open(planes.url(0) + path);
      const there = planes.url(1);
      await client.initialize(there);
      const replies = await Promise.all(
        Array.from({ length: 32 }, (_, i) =>
          client.ask(i % 2 === 0 ? there : planes.url(0), call(i + 1, name)),
        ),
      );
      expect(replies.map((one) => one.id)).toEqual(Array.from({ length: 32 }, (_, i) => i + 1));
      const refused = await client.post(there, { id: 99, method: 5 }, { 'content-type': 'text/plain' });
      expect(refused.status).toBe(415);
      client.close();
      await eventually('nothing is under way', () => planes.active.every((count) => count === 0));
      await eventually('the sessions have ended', () => alpha.sessions + beta.sessions === 0);
      const late = await client.post(there, call(100, name));
      expect(late.status).toBe(404);
      await late.text();
    });
  }

  test('a worker that dies takes its streams along, and its ids with it', async () => {
    const client = await new BareClient().open(`${planes.url(0)}/sse`);
    await client.initialize(planes.url(1));
    planes.die(0);
    await eventually('the stream has ended', () => client.isOver);
    planes.start(0);
    for (const worker of [0, 1]) {
      const late = await client.post(planes.url(worker), call(1, 'beta__echo'));
      expect(late.status).toBe(404);
      await late.text();
    }
  });
});

test(
  'a gateway of three threads: each client has its stream at one and posts to whichever',
  async () => {
    const gateway = await startGateway(
      { far: { url: fixture.url, era: 'legacy' } },
      { workers: 3, limits: { drainMs: 2_000 } },
    );
    const visitors: Visitor[] = [];
    try {
      const way = { path: '/sse', server: 'far', prefix: null };
      for (let i = 0; i < 12; i++) visitors.push(await new Visitor(way, `v${i}`).connect(gateway.url));
      const answers = await Promise.all(
        visitors.flatMap((visitor) => [
          visitor.call('test_sampling', { prompt: 'Who?' }),
          visitor.call('echo', { mine: visitors.indexOf(visitor) }),
        ]),
      );
      expect(answers).toEqual(visitors.flatMap((_, i) => [`LLM response: v${i}`, `{"mine":${i}}`]));
      // Open streams do not keep it from ending.
      expect(await gateway.stop()).toBe(0);
    } finally {
      for (const { client } of visitors) await client.close();
    }
  },
  TEST_MS_MAX,
);

describe('a server that loses its sessions', () => {
  test(
    'a process of a session dies: the next call has another',
    async () => {
      const near = fixtureCommand('legacy');
      const own = startPlane({
        servers: { near: { command: near.command, args: near.args } },
        spec: { era: 'legacy' },
      });
      const visitor = new Visitor({ path: '/mcp/near/sse', server: 'near', prefix: null });
      try {
        await visitor.connect(own.url);
        const pidOf = async (): Promise<number> => JSON.parse(await visitor.call('stats')).pid;
        const pid = await pidOf();
        process.kill(pid, 'SIGKILL');
        await eventually('its end is known', () => own.plane.stats().upstreams.near?.total === 0);
        expect(await pidOf()).not.toBe(pid);
        expect(await visitor.call('test_elicitation', { message: 'Who?' })).toContain('ada@example.org');
      } finally {
        await visitor.client.close();
        await own.stop();
      }
    },
    TEST_MS_MAX,
  );

  test(
    '16 clients go on as if nothing had happened, and nothing is executed twice',
    async () => {
      const server = new LegacyServer('only');
      const own = startPlane({ servers: { only: { url: server.url } }, spec: { era: 'legacy' } });
      const clients = await Promise.all(
        Array.from({ length: 16 }, () => new BareClient().open(`${own.url}/mcp/only/sse`)),
      );
      try {
        await Promise.all(clients.map((client) => client.initialize(own.url)));
        await eventually('all listen', () => server.streams === 16);
        for (let round = 1; round <= 3; round++) {
          server.restart();
          const count = { id: round, method: 'tools/call', params: { name: 'count', arguments: {} } };
          const replies = await Promise.all(clients.map((client) => client.ask(own.url, count)));
          expect(replies.every((reply) => reply.result !== undefined)).toBe(true);
          expect([server.executions, server.initializes, server.sessions]).toEqual([
            16 * round,
            16 * (round + 1),
            16,
          ]);
        }
        await eventually('all listen again', () => server.streams === 16);
        server.say({ jsonrpc: '2.0', method: 'notifications/tools/list_changed' });
        await eventually('all have heard', () =>
          clients.every((client) => client.heard.some((one) => one.method?.includes('list_changed'))),
        );
      } finally {
        for (const client of clients) client.close();
        await eventually('the sessions have ended', () => server.sessions === 0);
        await own.stop();
        server.stop();
      }
    },
    TEST_MS_MAX,
  );
});

describe('across the eras', () => {
  let modernOnly: Served;
  beforeAll(async () => {
    modernOnly = await startFixture('modern');
  }, TEST_MS_MAX);
  /** One plane over one server of one era, whose era it finds out itself. */
  async function withServer(url: string, use: (own: Plane) => Promise<void>): Promise<void> {
    const own = startPlane({ servers: { only: { url } } });
    try {
      await use(own);
      await eventually('nothing is under way', () => own.plane.stats().activeExchanges === 0);
    } finally {
      await own.stop();
    }
  }

  test(
    'a client of the first transport at a server of the newest revision',
    () =>
      withServer(modernOnly.url, async (own) => {
        const visitor = await new Visitor({ path: '/mcp/only/sse', server: 'only', prefix: null }).connect(
          own.url,
        );
        try {
          const uri = 'test://watched-resource';
          await visitor.client.subscribeResource({ uri });
          expect(JSON.parse(await visitor.call('echo', { a: 1 }))).toEqual({ a: 1 });
          expect(await visitor.call('test_sampling', { prompt: 'Who?' })).toBe('LLM response: ada');
          expect(await visitor.call('test_elicitation', { message: 'Who?' })).toContain('ada@example.org');
          await visitor.call('touch');
          await eventually('the change is told', () => visitor.heard.includes(uri));
        } finally {
          await visitor.client.close();
        }
      }),
    TEST_MS_MAX,
  );

  for (const [era, urlOf] of [
    ['legacy', () => fixture.url],
    ['modern', () => modernOnly.url],
  ] as const) {
    for (const mode of ['legacy', 'auto', { pin: '2026-07-28' }] as const) {
      test(
        `client 2.4.0, ${JSON.stringify(mode)}, over HTTP+SSE at a ${era} server`,
        () =>
          withServer(urlOf(), async (own) => {
            const client = new CurrentClient(
              { name: 'e2e', version: '1' },
              { versionNegotiation: { mode }, capabilities: { elicitation: { form: {} } } },
            );
            client.setRequestHandler('elicitation/create', async () => ({
              action: 'accept',
              content: { username: 'ada', email: 'ada@example.org' },
            }));
            await client.connect(new CurrentTransport(new URL(`${own.url}/mcp/only/sse`)));
            try {
              expect(client.getProtocolEra()).toBe(mode === 'legacy' ? 'legacy' : 'modern');
              const asked = await client.callTool(
                { name: 'test_elicitation', arguments: { message: 'Who?' } },
                CALL,
              );
              expect(JSON.stringify(asked)).toContain('ada@example.org');
            } finally {
              await client.close();
            }
          }),
        TEST_MS_MAX,
      );
    }
  }
});

describe.each(['uwebsockets', 'sockets'] as const)('a client that reads nothing: %s', (transport) => {
  test(
    'loses its stream once too much waits, and nothing is left of it',
    async () => {
      const text = 'x'.repeat(1_000_000);
      let ended = 0;
      const server = startByteServer((body, request) => {
        if (request.method === 'DELETE') ended++;
        if (request.method !== 'POST')
          return new Response(null, { status: request.method === 'GET' ? 405 : 200 });
        const { id, method } = JSON.parse(new TextDecoder().decode(body)) as Rpc;
        if (id === undefined) return new Response(null, { status: 202 });
        const result = method === 'initialize' ? { protocolVersion: '2024-11-05' } : { text };
        return Response.json({ jsonrpc: '2.0', id, result }, { headers: { 'mcp-session-id': 's' } });
      });
      const own = startPlane({ servers: { only: { url: server.url } }, spec: { era: 'legacy' }, transport });
      const told = Promise.withResolvers<string>();
      let head = '';
      const socket = await Bun.connect({
        hostname: '127.0.0.1',
        port: own.port,
        socket: {
          data: (self, data) => {
            head += new TextDecoder().decode(data);
            const where = /^data: (\S+)/m.exec(head)?.[1];
            if (where === undefined) return;
            self.pause();
            told.resolve(where);
          },
          close: () => undefined,
          error: () => undefined,
        },
      });
      try {
        socket.write('GET /mcp/only/sse HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n');
        socket.flush();
        const where = await told.promise;
        const post = async (message: object): Promise<number> => {
          const body = JSON.stringify({ jsonrpc: '2.0', ...message });
          const headers = { 'content-type': 'application/json' };
          const reply = await fetch(own.url + where, { method: 'POST', headers, body });
          await reply.text();
          return reply.status;
        };
        const params = {
          protocolVersion: '2024-11-05',
          capabilities: {},
          clientInfo: { name: 'x', version: '1' },
        };
        expect(await post({ id: 0, method: 'initialize', params })).toBe(202);
        // The kernel takes some megabytes for itself.
        let id = 1;
        while (id < 200 && (await post({ id, method: 'tools/list' })) === 202) id++;
        expect(id).toBeGreaterThan(4);
        expect(id).toBeLessThan(200);
        expect(await post({ id, method: 'tools/list' })).toBe(404);
        await eventually('nothing is under way', () => own.plane.stats().activeExchanges === 0);
        expect(ended).toBe(1);
      } finally {
        socket.terminate();
        await own.stop();
        server.stop();
      }
    },
    TEST_MS_MAX,
  );
});
