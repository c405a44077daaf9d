// `sluice stdio` as MCP hosts use it: real clients over their own stdio transports, and a bare one that looks at every line.
// Run by bun test against bin/sluice. Promises: every process has ended when its test has; waits for events, never for an amount of time.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { Client, type ClientOptions } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { Client as LegacyClient } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport as LegacyStdioTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ResourceUpdatedNotificationSchema,
  ToolListChangedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { decode } from '../../src/base/bytes.ts';
import { listenRaw, RawServer } from '../contract/upstream-server.ts';
import { isRunning } from '../fixtures/alive.ts';
import { fixtureCommand, type Served, type ServerEntry, startFixture, stopAll } from '../fixtures/harness.ts';
import { eventually } from '../fixtures/places.ts';
import { forgetFronts, frontCommand, type Line, LineClient } from '../fixtures/stdio-front.ts';

const TEST_MS_MAX = 30_000;
const CALL = { timeout: 10_000 };

let fixture: Served;
/** Servers of one era. */
let modernOnly: Served;
let legacyOnly: Served;
beforeAll(async () => {
  fixture = await startFixture();
  modernOnly = await startFixture('modern');
  legacyOnly = await startFixture('legacy');
}, TEST_MS_MAX);
afterAll(async () => {
  await stopAll();
  forgetFronts();
});

/** What stands behind the front, and how it spells names and URIs. */
interface Behind {
  readonly label: string;
  servers(): Readonly<Record<string, ServerEntry>>;
  /** Servers whose names the client sees; null when there is one, unprefixed. */
  readonly prefixes: readonly (string | null)[];
}

const BEHIND: readonly Behind[] = [
  { label: 'one server over stdio', servers: () => ({ near: fixtureCommand() }), prefixes: [null] },
  { label: 'one server over HTTP', servers: () => ({ far: { url: fixture.url } }), prefixes: [null] },
  {
    label: 'two servers',
    servers: () => ({ far: { url: fixture.url }, near: fixtureCommand() }),
    prefixes: ['far', 'near'],
  },
];

/** The same where only the bridge helps. */
const ACROSS: readonly (Behind & { readonly client: string })[] = [
  {
    client: 'sdk 1.32.2',
    label: 'one modern server over HTTP',
    servers: () => ({ far: { url: modernOnly.url } }),
    prefixes: [null],
  },
  {
    client: 'sdk 1.32.2',
    label: 'two modern servers',
    servers: () => ({ far: { url: modernOnly.url }, near: fixtureCommand('modern') }),
    prefixes: ['far', 'near'],
  },
  {
    client: 'client 2.4.0, pinned',
    label: 'one legacy server over HTTP',
    servers: () => ({ far: { url: legacyOnly.url } }),
    prefixes: [null],
  },
  {
    client: 'client 2.4.0, pinned',
    label: 'two legacy servers',
    servers: () => ({ far: { url: legacyOnly.url }, near: fixtureCommand('legacy') }),
    prefixes: ['far', 'near'],
  },
];

function nameAt(prefix: string | null, own: string): string {
  return prefix === null ? own : `${prefix}__${own}`;
}
function uriAt(prefix: string | null, own: string): string {
  return prefix === null ? own : `${prefix}+${own}`;
}
function textOf(result: object): string {
  const [block] = (result as { content: { text?: string }[] }).content;
  return block?.text ?? '';
}

/** What the tests need of a client, whichever SDK it is of. */
interface Visitor {
  readonly pid: number;
  readonly isLegacy: boolean;
  /** What the transport could not read. */
  readonly faults: readonly Error[];
  readonly heard: readonly string[];
  names(): Promise<string[]>;
  call(
    name: string,
    args: Record<string, unknown>,
    options?: { signal?: AbortSignal; onprogress?: (step: { progress: number }) => void },
  ): Promise<string>;
  read(uri: string): Promise<string>;
  prompt(name: string): Promise<string>;
  /** Asks to be told of changes of tools, and of the resource. */
  watch(uri: string): Promise<void>;
  close(): Promise<void>;
}

async function legacySdk(behind: Behind): Promise<Visitor> {
  const transport = new LegacyStdioTransport({ ...frontCommand(behind.servers()), stderr: 'ignore' });
  const client = new LegacyClient(
    { name: 'e2e', version: '1' },
    { capabilities: { sampling: {}, elicitation: {} } },
  );
  const faults: Error[] = [];
  const heard: string[] = [];
  client.onerror = (error) => void faults.push(error);
  client.setRequestHandler(CreateMessageRequestSchema, async () => ({
    role: 'assistant',
    model: 'm',
    content: { type: 'text', text: 'Paris' },
  }));
  client.setRequestHandler(ElicitRequestSchema, async () => ({
    action: 'accept',
    content: { username: 'ada', email: 'ada@example.org' },
  }));
  client.setNotificationHandler(ToolListChangedNotificationSchema, () => void heard.push('tools'));
  client.setNotificationHandler(
    ResourceUpdatedNotificationSchema,
    ({ params }) => void heard.push(params.uri),
  );
  await client.connect(transport);
  return {
    pid: transport.pid ?? 0,
    isLegacy: true,
    faults,
    heard,
    names: async () => (await client.listTools()).tools.map((tool) => tool.name),
    call: async (name, args, options = {}) =>
      textOf(await client.callTool({ name, arguments: args }, undefined, { ...CALL, ...options })),
    read: async (uri) => JSON.stringify((await client.readResource({ uri })).contents),
    prompt: async (name) => JSON.stringify((await client.getPrompt({ name })).messages),
    watch: async (uri) => void (await client.subscribeResource({ uri })),
    close: () => client.close(),
  };
}

type Mode = NonNullable<NonNullable<ClientOptions['versionNegotiation']>['mode']>;

function currentSdk(mode: Mode): (behind: Behind) => Promise<Visitor> {
  return async (behind) => {
    const transport = new StdioClientTransport({ ...frontCommand(behind.servers()), stderr: 'ignore' });
    const client = new Client(
      { name: 'e2e', version: '1' },
      { versionNegotiation: { mode }, capabilities: { elicitation: { form: {} }, sampling: {} } },
    );
    const faults: Error[] = [];
    const heard: string[] = [];
    client.onerror = (error) => void faults.push(error);
    client.setRequestHandler('sampling/createMessage', async () => ({
      role: 'assistant',
      model: 'm',
      content: { type: 'text', text: 'Paris' },
    }));
    client.setRequestHandler('elicitation/create', async () => ({
      action: 'accept',
      content: { username: 'ada', email: 'ada@example.org' },
    }));
    client.setNotificationHandler('notifications/tools/list_changed', async () => void heard.push('tools'));
    client.setNotificationHandler(
      'notifications/resources/updated',
      async ({ params }) => void heard.push(params.uri),
    );
    await client.connect(transport);
    expect(client.getProtocolEra()).toBe(mode === 'legacy' ? 'legacy' : 'modern');
    return {
      pid: transport.pid ?? 0,
      isLegacy: mode === 'legacy',
      faults,
      heard,
      names: async () => (await client.listTools()).tools.map((tool) => tool.name),
      call: async (name, args, options = {}) =>
        textOf(await client.callTool({ name, arguments: args }, { ...CALL, ...options })),
      read: async (uri) => JSON.stringify((await client.readResource({ uri })).contents),
      prompt: async (name) => JSON.stringify((await client.getPrompt({ name })).messages),
      watch: async (uri) => {
        if (mode === 'legacy') await client.subscribeResource({ uri });
        else await client.listen({ toolsListChanged: true, resourceSubscriptions: [uri] });
      },
      close: () => client.close(),
    };
  };
}

const CLIENTS: readonly { label: string; connect: (behind: Behind) => Promise<Visitor> }[] = [
  { label: 'sdk 1.32.2', connect: legacySdk },
  { label: 'client 2.4.0, legacy', connect: currentSdk('legacy') },
  { label: 'client 2.4.0, auto', connect: currentSdk('auto') },
  { label: 'client 2.4.0, pinned', connect: currentSdk({ pin: '2026-07-28' }) },
];

/** Everything that one server offers, under its names. */
async function useServer(visitor: Visitor, prefix: string | null, isAcross = false): Promise<void> {
  const name = (own: string): string => nameAt(prefix, own);
  const uri = (own: string): string => uriAt(prefix, own);
  expect(await visitor.names()).toContain(name('echo'));
  const args = { text: 'é \u2028 😀', deep: { list: [1, 2.5, null, true] } };
  expect(JSON.parse(await visitor.call(name('echo'), args))).toEqual(args);
  expect(await visitor.call(name('big'), { bytes: 1_000_000 })).toHaveLength(1_000_000);
  expect(await visitor.read(uri('test://static-text'))).toContain('static text resource');
  expect(await visitor.prompt(name('test_simple_prompt'))).toContain('This is a simple prompt for testing.');
  await expect(visitor.call(name('no_such_tool'), {})).rejects.toThrow();
  const steps: number[] = [];
  await visitor.call(
    name('test_tool_with_progress'),
    {},
    { onprogress: ({ progress }) => steps.push(progress) },
  );
  // SDKs lose a notification that comes right before the response; the bare client below sees all three.
  expect(steps.slice(0, 2)).toEqual([0, 50]);
  // Modern servers ask in their replies alone.
  const ways = visitor.isLegacy && !isAcross ? ['call', 'session'] : ['call'];
  for (const way of ways) {
    expect(await visitor.call(name('test_sampling'), { prompt: 'Where?', way })).toBe('LLM response: Paris');
    expect(await visitor.call(name('test_elicitation'), { message: 'Who?', way })).toContain(
      '"username":"ada"',
    );
  }
}

/** Changes are told and calls are cancelled. */
async function watchAndCancel(visitor: Visitor, prefix: string | null): Promise<void> {
  const name = (own: string): string => nameAt(prefix, own);
  const watched = uriAt(prefix, 'test://watched-resource');
  await visitor.watch(watched);
  const before = visitor.heard.length;
  await visitor.call(name('test_trigger_tool_change'), {});
  await visitor.call(name('touch'), {});
  await eventually('both changes are told', () => {
    const news = visitor.heard.slice(before);
    return news.includes('tools') && news.includes(watched);
  });
  const cancelled = async (): Promise<number> =>
    JSON.parse(await visitor.call(name('stats'), {})).calls.slow?.cancelled ?? 0;
  const already = await cancelled();
  const abort = new AbortController();
  const slow = visitor.call(
    name('slow'),
    { ms: 15_000, steps: 1_000 },
    { signal: abort.signal, onprogress: () => abort.abort() },
  );
  await expect(slow).rejects.toThrow();
  await eventually('the server saw the cancellation', async () => (await cancelled()) === already + 1);
}

for (const { label, connect } of CLIENTS) {
  describe(`stdio front: ${label}`, () => {
    for (const behind of BEHIND) {
      test(
        behind.label,
        async () => {
          const visitor = await connect(behind);
          const pids = [visitor.pid];
          try {
            for (const prefix of behind.prefixes) {
              await useServer(visitor, prefix);
              await watchAndCancel(visitor, prefix);
              const { pid } = JSON.parse(await visitor.call(nameAt(prefix, 'stats'), {}));
              if (pid !== fixture.pid) pids.push(pid);
            }
          } finally {
            await visitor.close();
          }
          // What SDKs complain of when the response overtakes the notification before it, inside themselves.
          const faults = visitor.faults.filter(({ message }) => !message.includes('unknown token'));
          expect(faults).toEqual([]);
          expect(pids.length).toBe(behind.label === 'one server over HTTP' ? 1 : 2);
          await eventually('front and children have ended', () => !pids.some(isRunning));
        },
        TEST_MS_MAX,
      );
    }
  });
}

describe('stdio front, across the eras', () => {
  for (const behind of ACROSS) {
    test(
      `${behind.client}: ${behind.label}`,
      async () => {
        const connect = CLIENTS.find(({ label }) => label === behind.client)?.connect;
        if (connect === undefined) throw new Error(`no client ${behind.client}`);
        const visitor = await connect(behind);
        try {
          for (const prefix of behind.prefixes) {
            await useServer(visitor, prefix, true);
            await watchAndCancel(visitor, prefix);
          }
        } finally {
          await visitor.close();
        }
        await eventually('the front has ended', () => !isRunning(visitor.pid));
      },
      TEST_MS_MAX,
    );
  }
});

const META = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientCapabilities': {},
};

/** Runs a bare client; in the end nothing but messages has been on stdout, and everything has ended with stdin. */
async function withLines(
  command: ReturnType<typeof frontCommand>,
  use: (client: LineClient) => Promise<readonly number[]>,
): Promise<void> {
  const client = new LineClient(command);
  try {
    const pids = await use(client);
    expect(await client.end()).toBe(0);
    expect(client.complaints).toEqual([]);
    await eventually('front and children have ended', () => ![client.pid, ...pids].some(isRunning));
  } finally {
    await client.stop();
  }
}

function textIn(line: Line): string {
  return textOf(line.result ?? { content: [] });
}

function toolCall(name: string, args: object = {}, meta: object = {}): object {
  return { name, arguments: args, _meta: { ...META, ...meta } };
}

async function pidOf(client: LineClient): Promise<number> {
  const reply = await client.ask(`pid ${client.heard.length}`, 'tools/call', toolCall('stats'));
  return JSON.parse(textIn(reply)).pid;
}

describe('stdio front, line by line', () => {
  const one = () => frontCommand({ near: fixtureCommand() });
  const scene = (name: string, use: () => Promise<void>): void => {
    test(name, use, TEST_MS_MAX);
  };

  scene('a bad line costs one error, and life goes on', () =>
    withLines(one(), async (client) => {
      const errors = (): Line[] => client.heard.filter((line) => line.error !== undefined);
      const bad = ['{"jsonrpc":"2.0",', 'hello', '{"a":1}}', '[]', '\uFEFF{}', '17', '{"jsonrpc":"2.0"}'];
      for (const [index, line] of bad.entries()) {
        client.write(`${line}\n`);
        await client.hear(`error ${index}`, () => errors().length > index);
      }
      client.write(new Uint8Array([0x22, 0xff, 0x22, 0x0a]));
      await client.hear('the error for what is not UTF-8', () => errors().length === bad.length + 1);
      client.write('\n\r\n\n');
      const pid = await pidOf(client);
      expect(errors()).toHaveLength(bad.length + 1);
      for (const { id, error } of errors()) {
        expect(id).toBeUndefined();
        expect([-32700, -32600]).toContain(error?.code ?? 0);
      }
      return [pid];
    }),
  );

  scene('lines are told apart however the bytes are cut, ends are LF or CR LF', () =>
    withLines(one(), async (client) => {
      const message = (id: string): string =>
        JSON.stringify({ jsonrpc: '2.0', id, method: 'tools/call', params: toolCall('echo', { é: '😀' }) });
      for (const byte of new TextEncoder().encode(`${message('bytes')}\r\n`)) {
        client.write(new Uint8Array([byte]));
      }
      client.write(`${['a', 'b', 'c'].map(message).join('\r\n')}\n${message('d').slice(0, 40)}`);
      client.write(`${message('d').slice(40)}\n`);
      for (const id of ['bytes', 'a', 'b', 'c', 'd'])
        expect(textIn(await client.hear(id, (line) => line.id === id))).toBe('{"é":"😀"}');
      return [await pidOf(client)];
    }),
  );

  scene('a line beyond the limit costs one error, however it comes; the next is served', () =>
    withLines(
      frontCommand({ near: fixtureCommand() }, { limits: { bodyBytesMax: 2_000 } }),
      async (client) => {
        const errors = (): Line[] => client.heard.filter((line) => line.error !== undefined);
        const long = JSON.stringify({
          jsonrpc: '2.0',
          id: 'long',
          method: 'tools/call',
          params: toolCall('echo', { text: 'x'.repeat(20_000) }),
        });
        client.write(`${long}\n`);
        await client.hear('the first error', () => errors().length === 1);
        for (let at = 0; at < long.length; at += 1_500) {
          client.write(long.slice(at, at + 1_500));
          await Bun.sleep(1);
        }
        client.write('\n');
        const pid = await pidOf(client);
        expect(errors().map((line) => line.error?.message)).toEqual([
          expect.stringContaining('2000 bytes'),
          expect.stringContaining('2000 bytes'),
        ]);
        return [pid];
      },
    ),
  );

  scene('all progress comes before the answer; ids keep their kind', () =>
    withLines(one(), async (client) => {
      for (const id of [7, '7']) {
        const meta = { progressToken: id };
        const reply = await client.ask(id, 'tools/call', toolCall('test_tool_with_progress', {}, meta));
        const at = client.heard.indexOf(reply);
        const steps = client.heard.slice(0, at).filter((line) => line.params?.progressToken === id);
        expect(steps.map((line) => line.params?.progress)).toEqual([0, 50, 100]);
      }
      return [await pidOf(client)];
    }),
  );

  scene('a notification is never answered, not even one that is refused', () =>
    withLines(one(), async (client) => {
      client.send({ method: 'notifications/initialized' });
      client.send({ method: 'notifications/cancelled', params: { requestId: 'nothing', _meta: META } });
      client.send({ method: 'notifications/none-such', params: {} });
      client.send({ id: 'unasked', result: {} });
      const pid = await pidOf(client);
      expect(client.heard).toHaveLength(1);
      return [pid];
    }),
  );

  scene('what runs when stdin closes is still answered', () =>
    withLines(one(), async (client) => {
      const pid = await pidOf(client);
      client.send({ id: 'late', method: 'tools/call', params: toolCall('slow', { ms: 300, steps: 3 }) });
      client.closeStdin();
      expect(textIn(await client.hear('late', (line) => line.id === 'late'))).toBe('Took 3 steps.');
      return [pid];
    }),
  );

  scene('a subscription does not keep it alive', () =>
    withLines(
      frontCommand({ near: fixtureCommand(), far: { url: fixture.url } }, { limits: { drainMs: 3_600_000 } }),
      async (client) => {
        const params = { notifications: { toolsListChanged: true }, _meta: META };
        client.send({ id: 'listen', method: 'subscriptions/listen', params });
        await client.hear(
          'the acknowledgement',
          (line) => line.method === 'notifications/subscriptions/acknowledged',
        );
        await client.ask('change', 'tools/call', toolCall('near__test_trigger_tool_change'));
        await client.hear('the change', (line) => line.method === 'notifications/tools/list_changed');
        const reply = await client.ask('pid', 'tools/call', toolCall('near__stats'));
        return [JSON.parse(textIn(reply)).pid];
      },
    ),
  );

  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    scene(
      `${signal}: what runs is answered, new requests are refused, the children end, the code is 0`,
      async () => {
        const client = new LineClient(one());
        try {
          const pid = await pidOf(client);
          const params = toolCall('slow', { ms: 600, steps: 6 }, { progressToken: 'p' });
          client.send({ id: 'late', method: 'tools/call', params });
          await client.hear('it runs', (line) => line.params?.progressToken === 'p');
          client.signal(signal);
          let refused: Line | undefined;
          for (let i = 0; refused === undefined; i++) {
            const reply = await client.ask(`more ${i}`, 'tools/call', toolCall('echo'));
            if (reply.error !== undefined) refused = reply;
          }
          expect(refused.error).toMatchObject({ code: -32603, data: { gw: 'GW_SERVER_DRAINING' } });
          expect(textIn(await client.hear('late', (line) => line.id === 'late'))).toBe('Took 6 steps.');
          expect(await client.exited).toBe(0);
          await eventually('the child has ended', () => !isRunning(pid));
        } finally {
          await client.stop();
        }
      },
    );
  }

  scene('a second signal ends it at once, children too', async () => {
    const client = new LineClient(one());
    try {
      const pid = await pidOf(client);
      const params = toolCall('slow', { ms: 60_000, steps: 6_000 }, { progressToken: 'p' });
      client.send({ id: 'late', method: 'tools/call', params });
      await client.hear('it runs', (line) => line.params?.progressToken === 'p');
      client.signal('SIGTERM');
      for (let i = 0; ; i++) {
        if ((await client.ask(`more ${i}`, 'tools/call', toolCall('echo'))).error !== undefined) break;
      }
      client.signal('SIGTERM');
      expect(await client.exited).toBe(143);
      await eventually('the child has ended', () => !isRunning(pid));
    } finally {
      await client.stop();
    }
  });

  scene('kill -9 of the front leaves no child', async () => {
    const client = new LineClient(one());
    try {
      const pids = [client.pid, await pidOf(client)];
      await client.stop();
      await eventually('nothing is left', () => !pids.some(isRunning));
    } finally {
      await client.stop();
    }
  });
});

describe('stdio front: replies of HTTP servers that go wrong', () => {
  const progress = 'data: {"jsonrpc":"2.0","method":"notifications/progress","params":{}}\n\n';
  const head = (status: string, type: string, rest: string): string =>
    `HTTP/1.1 ${status}\r\ncontent-type: ${type}\r\n${rest}\r\n`;
  const whole = (status: string, type: string, body: string): string =>
    head(status, type, `content-length: ${body.length}\r\n`) + body;
  const events = (chunk: string): string =>
    `${head('200 OK', 'text/event-stream', 'transfer-encoding: chunked\r\n')}${chunk.length.toString(16)}\r\n${chunk}\r\n`;

  /** What a server answers to a call of the tool of that name; then it ends the connection. */
  const REPLIES: Readonly<Record<string, string>> = {
    'stream breaks': events(progress),
    'stream ends': `${events(progress)}0\r\n\r\n`,
    'stream talks nonsense': `${events('data: nonsense\n\n')}0\r\n\r\n`,
    'json breaks': `${head('200 OK', 'application/json', 'content-length: 100\r\n')}{"jsonrpc":"2.0","result":{`,
    'long json breaks':
      head('200 OK', 'application/json', 'content-length: 9000000\r\n') + ' '.repeat(300_000),
    'json nonsense': whole('200 OK', 'application/json', '{"hello":'),
    'error of its own': whole('401 Unauthorized', 'application/json', '{"error":"unauthorized"}'),
    'no such session': whole(
      '404 Not Found',
      'application/json',
      '{"jsonrpc":"2.0","error":{"code":-32001,"message":"Session not found"},"id":null}',
    ),
    html: whole('500 Internal Server Error', 'text/html', '<html>'),
    accepted: 'HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n',
  };

  for (const era of ['modern', 'legacy'] as const) {
    test(
      `${era}: every request is answered, with its own id`,
      async () => {
        const server = new RawServer();
        server.onRequest = (request, connection) => {
          const { params } = JSON.parse(decode(request.body));
          connection.send(REPLIES[params?.name] ?? '');
          connection.end();
        };
        const listener = listenRaw(server);
        const servers = { odd: { url: `http://127.0.0.1:${listener.port}/mcp`, era } };
        try {
          await withLines(frontCommand(servers), async (client) => {
            for (const name of Object.keys(REPLIES)) {
              const reply = await client.ask(
                name,
                'tools/call',
                era === 'modern' ? toolCall(name) : { name, arguments: {} },
              );
              expect([reply.id, typeof reply.error?.code]).toEqual([name, 'number']);
              if (name === 'no such session') expect(reply.error?.code).toBe(-32001);
            }
            const answers = client.heard.filter((line) => line.id !== undefined);
            expect(answers).toHaveLength(Object.keys(REPLIES).length);
            return [];
          });
        } finally {
          listener.stop();
        }
      },
      TEST_MS_MAX,
    );
  }

  test(
    'legacy: a stream that its server closes on purpose is taken up again',
    async () => {
      for (const [servers, name] of [
        [{ far: { url: fixture.url } }, 'test_reconnection'],
        [{ far: { url: fixture.url }, near: fixtureCommand() }, 'far__test_reconnection'],
      ] as const) {
        await withLines(frontCommand(servers), async (client) => {
          await client.initialize();
          const reply = await client.ask(1, 'tools/call', { name, arguments: {} });
          expect(textIn(reply)).toBe('The stream was closed and taken up again.');
          return [];
        });
      }
    },
    TEST_MS_MAX,
  );
});
