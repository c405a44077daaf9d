// Any client with any server: the gateway finds out which eras each server speaks, and listens work where the server has no such thing.
// Run by `bun test`, in process but for the servers. Clients are those of @modelcontextprotocol/client 2.4.0 and plain fetch.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { type FixtureEras, fixtureCommand, startFixture, stopAll } from '../fixtures/harness.ts';
import { MODERN_META, modernHeaders } from '../fixtures/messages.ts';
import { eventually } from '../fixtures/places.ts';
import { type Plane, startPlane, type TestTarget } from '../fixtures/plane.ts';

const TEST_MS_MAX = 30_000;
const ERAS: readonly FixtureEras[] = ['legacy', 'modern', 'dual'];
const NAMES = ERAS.flatMap((era) => [`${era}-http`, `${era}-stdio`]);

let plane: Plane;

beforeAll(async () => {
  const servers: Record<string, TestTarget> = {};
  for (const era of ERAS) {
    servers[`${era}-http`] = { url: (await startFixture(era)).url };
    servers[`${era}-stdio`] = fixtureCommand(era);
  }
  plane = startPlane({ servers });
}, TEST_MS_MAX);

afterAll(async () => {
  await plane.stop();
  await stopAll();
}, TEST_MS_MAX);

async function withClient(
  path: string,
  era: 'legacy' | 'modern',
  use: (client: Client) => Promise<void>,
  at: Plane = plane,
): Promise<void> {
  const mode = era === 'legacy' ? 'legacy' : { pin: '2026-07-28' };
  const client = new Client({ name: 'e2e', version: '1' }, { versionNegotiation: { mode } });
  await client.connect(new StreamableHTTPClientTransport(new URL(`${at.url}${path}`)));
  try {
    expect(client.getProtocolEra()).toBe(era);
    await use(client);
  } finally {
    await client.close();
  }
}

for (const era of ['modern', 'legacy'] as const)
  describe(`a ${era} client`, () => {
    for (const name of NAMES)
      test(
        `uses ${name}`,
        () =>
          withClient(`/mcp/${name}`, era, async (client) => {
            const { tools } = await client.listTools();
            expect(tools.map((tool) => tool.name)).toContain('echo');
            const args = { text: 'é \u2028', list: [1, 2.5, null] };
            const echoed = await client.callTool({ name: 'echo', arguments: args });
            expect(echoed.structuredContent).toEqual(args);
            const { contents } = await client.readResource({ uri: 'test://static-text' });
            expect(contents.length).toBe(1);
          }),
        TEST_MS_MAX,
      );

    test(
      'uses all of them behind one endpoint',
      () =>
        withClient('/mcp', era, async (client) => {
          const { tools } = await client.listTools();
          for (const name of NAMES) {
            expect(tools.map((tool) => tool.name)).toContain(`${name}__echo`);
            const echoed = await client.callTool({ name: `${name}__echo`, arguments: { name } });
            expect(echoed.structuredContent).toEqual({ name });
          }
        }),
      TEST_MS_MAX,
    );
  });

describe('a modern client at processes that take its era ill', () => {
  /** A legacy server with one tool that does this about anything else before `initialize`. */
  const touchy = (answer: string): TestTarget => {
    const script = `
      let ready = false;
      const say = (id, rest) => process.stdout.write(JSON.stringify({ jsonrpc: '2.0', id, ...rest }) + '\\n');
      for await (const line of console) {
        const { id, method, params } = JSON.parse(line);
        if (method === 'initialize') {
          ready = true;
          const serverInfo = { name: 's', version: '1' };
          say(id, { result: { protocolVersion: params.protocolVersion, capabilities: { tools: {} }, serverInfo } });
        } else if (!ready) { ${answer} }
        else if (method === 'tools/list') say(id, { result: { tools: [{ name: 'pid', inputSchema: { type: 'object' } }] } });
        else if (id !== undefined) say(id, { result: { content: [{ type: 'text', text: String(process.pid) }] } });
      }`;
    return { command: process.execPath, args: ['-e', script] };
  };
  const rows: readonly [string, string][] = [
    ['ends', 'process.exit(1);'],
    ['refuses it', "say(id, { error: { code: -32601, message: 'no' } });"],
    [
      'refuses it with a code of its own',
      "say(id, { error: { code: -32000, message: 'initialize first' } });",
    ],
    ['says nothing', ''],
  ];
  for (const [what, answer] of rows)
    test(
      `one that ${what}`,
      async () => {
        const own = startPlane({ servers: { one: touchy(answer) } });
        await withClient(
          '/mcp/one',
          'modern',
          async (client) => {
            const first = await client.callTool({ name: 'pid', arguments: {} });
            expect(first.isError ?? false).toBe(false);
            expect(await client.callTool({ name: 'pid', arguments: {} })).toEqual(first);
          },
          own,
        );
        if (answer !== '')
          await eventually(
            'the process that was asked is gone',
            () => own.plane.stats().upstreams.one?.total === 1,
          );
        await own.stop();
      },
      TEST_MS_MAX,
    );
});

describe('a modern client’s listen', () => {
  for (const name of ['legacy-http', 'legacy-stdio'])
    test(
      `at ${name}: acknowledged, told of what it asked for, and ended by its client`,
      () =>
        withClient(`/mcp/${name}`, 'modern', async (client) => {
          const heard: string[] = [];
          client.setNotificationHandler('notifications/tools/list_changed', () => void heard.push('tools'));
          client.setNotificationHandler(
            'notifications/prompts/list_changed',
            () => void heard.push('prompts'),
          );
          client.setNotificationHandler(
            'notifications/resources/updated',
            (one) => void heard.push(one.params.uri),
          );
          const uri = 'test://watched-resource';
          const stream = await client.listen({ toolsListChanged: true, resourceSubscriptions: [uri] });
          await client.callTool({ name: 'test_trigger_prompt_change', arguments: {} });
          await client.callTool({ name: 'test_trigger_tool_change', arguments: {} });
          await client.callTool({ name: 'touch', arguments: {} });
          await eventually('the client heard of both', () => heard.includes('tools') && heard.includes(uri));
          expect(heard).not.toContain('prompts');
          await stream.close();
          heard.length = 0;
          await client.callTool({ name: 'touch', arguments: {} });
          await client.callTool({ name: 'test_trigger_tool_change', arguments: {} });
          expect(heard).toEqual([]);
        }),
      TEST_MS_MAX,
    );

  for (const name of ['legacy-http', 'legacy-stdio'])
    test(
      `at ${name}: every message bears its id, and two at once do not mix`,
      async () => {
        const uri = 'test://watched-resource';
        const one = await Listen.open(`/mcp/${name}`, 'a "1"', { resourceSubscriptions: [uri] });
        const two = await Listen.open(`/mcp/${name}`, 2, {
          toolsListChanged: true,
          promptsListChanged: true,
        });
        expect(one.messages[0]?.params?.notifications).toEqual({ resourceSubscriptions: [uri] });
        expect(two.messages[0]?.params?.notifications).toEqual({
          toolsListChanged: true,
          promptsListChanged: true,
        });
        await withClient(`/mcp/${name}`, 'modern', async (client) => {
          await client.callTool({ name: 'touch', arguments: {} });
          await client.callTool({ name: 'test_trigger_prompt_change', arguments: {} });
        });
        await eventually('both heard', () => one.messages.length > 1 && two.messages.length > 1);
        expect(one.messages.map(({ method }) => method)).toEqual([
          'notifications/subscriptions/acknowledged',
          'notifications/resources/updated',
        ]);
        expect(two.messages.map(({ method }) => method)).toEqual([
          'notifications/subscriptions/acknowledged',
          'notifications/prompts/list_changed',
        ]);
        expect(one.tags).toEqual(['a "1"', 'a "1"']);
        expect(two.tags).toEqual([2, 2]);
        one.leave();
        two.leave();
      },
      TEST_MS_MAX,
    );

  test(
    'behind an endpoint of many servers',
    async () => {
      const uri = (name: string): string => `${name}+test://watched-resource`;
      const listen = await Listen.open('/mcp', 'all', { resourceSubscriptions: NAMES.map(uri) });
      const { resourceSubscriptions } = listen.messages[0]?.params?.notifications ?? {};
      expect([...(resourceSubscriptions as string[])].sort()).toEqual(NAMES.map(uri).sort());
      await withClient('/mcp', 'modern', async (client) => {
        for (const name of NAMES) await client.callTool({ name: `${name}__touch`, arguments: {} });
      });
      await eventually('every server was heard', () =>
        NAMES.every((name) => listen.messages.some(({ params }) => params?.uri === uri(name))),
      );
      listen.leave();
    },
    TEST_MS_MAX,
  );

  test(
    'survives a server that is started anew: subscribed again, and told that everything may have changed',
    async () => {
      const uri = 'test://watched-resource';
      const first = await startFixture('legacy');
      const port = Number(new URL(first.url).port);
      const own = startPlane({ servers: { one: { url: first.url } } });
      const asked = { toolsListChanged: true, resourceSubscriptions: [uri] };
      const listen = await Listen.open('/mcp/one', 1, asked, own);
      await first.stop();
      await startFixture('legacy', { port });
      const told = (method: string): number => listen.messages.filter((one) => one.method === method).length;
      await eventually(
        'both are told to have changed',
        () => told('notifications/tools/list_changed') > 0 && told('notifications/resources/updated') > 0,
      );
      const before = told('notifications/resources/updated');
      await withClient(
        '/mcp/one',
        'modern',
        async (client) => {
          await client.callTool({ name: 'touch', arguments: {} });
        },
        own,
      );
      await eventually('the new one is heard', () => told('notifications/resources/updated') > before);
      expect(listen.isOver).toBe(false);
      listen.leave();
      await own.stop();
    },
    TEST_MS_MAX,
  );

  test(
    'ends with its result when the gateway drains',
    async () => {
      const own = startPlane({
        servers: { http: { url: (await startFixture('legacy')).url }, stdio: fixtureCommand('legacy') },
      });
      const listens = await Promise.all(
        ['http', 'stdio'].map((name) => Listen.open(`/mcp/${name}`, name, { toolsListChanged: true }, own)),
      );
      await own.stop();
      await eventually('both ended', () => listens.every(({ isOver }) => isOver));
      for (const [i, name] of ['http', 'stdio'].entries())
        expect(listens[i]?.messages.at(-1)).toMatchObject({ id: name, result: { resultType: 'complete' } });
    },
    TEST_MS_MAX,
  );
});

describe('what a server is asked', () => {
  const result = (id: unknown, value: object): Response =>
    Response.json({ jsonrpc: '2.0', id, result: value });
  const refusal = (id: unknown, code: number, status: number): Response =>
    Response.json({ jsonrpc: '2.0', id, error: { code, message: 'no' } }, { status });

  /** A server that records the methods it is asked for. */
  function serve(answer: (id: unknown, method: string) => Response): {
    url: string;
    methods: string[];
    stop(): void;
  } {
    const methods: string[] = [];
    const server = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      fetch: async (request) => {
        const { id, method } = (await request.json()) as { id: unknown; method: string };
        methods.push(method);
        return answer(id, method);
      },
    });
    return { url: `http://127.0.0.1:${server.port}/mcp`, methods, stop: () => void server.stop(true) };
  }

  async function initialize(url: string): Promise<Response> {
    const params = {
      protocolVersion: '2025-11-25',
      capabilities: {},
      clientInfo: { name: 't', version: '1' },
    };
    return fetch(`${url}/mcp/one`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize', params }),
    });
  }

  test('a legacy client costs a legacy server nothing', async () => {
    const server = serve((id) =>
      result(id, {
        protocolVersion: '2025-11-25',
        capabilities: {},
        serverInfo: { name: 's', version: '1' },
      }),
    );
    const one = startPlane({ servers: { one: { url: server.url } } });
    expect((await initialize(one.url)).status).toBe(200);
    expect(server.methods).toEqual(['initialize']);
    await one.stop();
    server.stop();
  });

  test('no tool of a server is called to find out, and 401 reaches the client with what it needs', async () => {
    let isOpen = false;
    const server = serve((id) => {
      const headers = { 'www-authenticate': 'Bearer resource_metadata="https://x/y"' };
      return isOpen
        ? refusal(id, -32601, 200)
        : new Response('{"error":"invalid_token"}', { status: 401, headers });
    });
    const one = startPlane({ servers: { one: { url: server.url } } });
    const call = (): Promise<Response> =>
      fetch(`${one.url}/mcp/one`, {
        method: 'POST',
        headers: modernHeaders('tools/call', 'x'),
        body: JSON.stringify({
          ...{ jsonrpc: '2.0', id: 1, method: 'tools/call' },
          params: { name: 'x', arguments: {}, _meta: MODERN_META },
        }),
      });
    const first = await call();
    expect([first.status, first.headers.get('www-authenticate')]).toEqual([
      401,
      'Bearer resource_metadata="https://x/y"',
    ]);
    isOpen = true;
    await (await call()).arrayBuffer();
    expect(server.methods.slice(0, 2)).toEqual(['server/discover', 'server/discover']);
    expect(server.methods).not.toContain('tools/call');
    await one.stop();
    server.stop();
  });
});

interface Rpc {
  readonly id?: unknown;
  readonly method?: string;
  readonly params?: {
    readonly notifications?: Record<string, unknown>;
    readonly uri?: string;
    readonly _meta?: unknown;
  };
  readonly result?: unknown;
}

/** A listen over plain fetch. */
class Listen {
  readonly messages: Rpc[] = [];
  isOver = false;
  readonly #abort = new AbortController();

  /** Resolves once it is acknowledged. */
  static async open(
    path: string,
    id: string | number,
    notifications: unknown,
    at: Plane = plane,
  ): Promise<Listen> {
    const listen = new Listen();
    const params = { notifications, _meta: MODERN_META };
    const response = await fetch(`${at.url}${path}`, {
      method: 'POST',
      headers: modernHeaders('subscriptions/listen'),
      body: JSON.stringify({ jsonrpc: '2.0', id, method: 'subscriptions/listen', params }),
      signal: listen.#abort.signal,
    });
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'text/event-stream']);
    void listen.#read(response);
    await eventually('it is acknowledged', () => listen.messages.length > 0);
    return listen;
  }

  get tags(): readonly unknown[] {
    return this.messages.map(
      ({ params }) =>
        (params?._meta as Record<string, unknown> | undefined)?.['io.modelcontextprotocol/subscriptionId'],
    );
  }

  leave(): void {
    this.#abort.abort();
  }

  async #read(response: Response): Promise<void> {
    const decoder = new TextDecoder();
    let rest = '';
    try {
      for await (const chunk of response.body ?? []) {
        rest += decoder.decode(chunk, { stream: true });
        const lines = rest.split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines)
          if (line.startsWith('data: {')) this.messages.push(JSON.parse(line.slice(6)) as Rpc);
      }
    } catch {
      // Its client left.
    }
    this.isOver = true;
  }
}
