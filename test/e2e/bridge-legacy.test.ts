// Legacy clients of both official SDKs at servers of the modern era alone, over HTTP and stdio, each by itself and merged with the other.
// Called by `bun test`. Promises: what a legacy client can do with a server of its own era it can do here; the gateway runs in the test's own process, the servers in theirs.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import {
  StreamableHTTPClientTransport as ModernHttp,
  Client as ModernSdk,
} from '@modelcontextprotocol/client';
import { Client as LegacySdk } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as LegacyHttp } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
  LoggingMessageNotificationSchema,
  PromptListChangedNotificationSchema,
  ResourceUpdatedNotificationSchema,
  ToolListChangedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { fixtureCommand, type Served, startFixture, stopAll } from '../fixtures/harness.ts';
import { eventually } from '../fixtures/places.ts';
import { type Plane, startPlane } from '../fixtures/plane.ts';

const TEST_MS_MAX = 20_000;
const CALL_MS_MAX = 5_000;
const BIG_BYTES = 600_000;
const CAPABILITIES = { elicitation: { form: {} }, sampling: {}, roots: {} };

let fixture: Served;
let plane: Plane;
beforeAll(async () => {
  fixture = await startFixture('modern', { page: 10 });
  plane = startPlane({
    servers: { far: { url: fixture.url }, near: fixtureCommand('modern', { page: 10 }) },
    spec: { era: 'modern' },
  });
}, TEST_MS_MAX);
afterAll(async () => {
  await plane.stop();
  await stopAll();
}, TEST_MS_MAX);

/** One way to a modern server. */
interface Way {
  readonly label: string;
  readonly path: string;
  name(own: string): string;
  uri(own: string): string;
}

const WAYS: readonly Way[] = [
  ...['far', 'near'].map((server) => ({
    label: `/mcp/${server}`,
    path: `/mcp/${server}`,
    name: (own: string) => own,
    uri: (own: string) => own,
  })),
  ...['far', 'near'].map((server) => ({
    label: `/mcp, server ${server}`,
    path: '/mcp',
    name: (own: string) => `${server}__${own}`,
    uri: (own: string) => `${server}+${own}`,
  })),
];

/** What a client was asked and told. */
class Notes {
  readonly asked: string[] = [];
  readonly heard: string[] = [];

  readonly elicit = (message: string) => {
    this.asked.push(message);
    const content = {
      username: 'ada',
      email: 'ada@example.org',
      name: 'Ada',
      color: 'red',
      ok: true,
      context: 'x',
    };
    return { action: 'accept' as const, content };
  };
  readonly sample = () => {
    this.asked.push('sampling');
    return { role: 'assistant' as const, model: 'm', content: { type: 'text' as const, text: 'Paris' } };
  };
  readonly roots = () => ({ roots: [{ uri: 'file:///home/e2e' }] });
}

interface ToolResult {
  readonly content?: unknown;
  readonly structuredContent?: unknown;
  readonly isError?: boolean;
}

interface CallOptions {
  readonly onprogress?: (progress: { progress: number }) => void;
  readonly signal?: AbortSignal;
}

/** A connected client of either SDK, as far as the scenes need it. */
interface Visitor {
  readonly notes: Notes;
  readonly client: LegacySdk | ModernSdk;
  call(name: string, args?: Record<string, unknown>, options?: CallOptions): Promise<ToolResult>;
  close(): Promise<void>;
}

async function visitLegacy(url: string, capabilities: object): Promise<Visitor> {
  const notes = new Notes();
  const client = new LegacySdk({ name: 'e2e', version: '1' }, { capabilities });
  const can = (name: string): boolean => Object.hasOwn(capabilities, name);
  if (can('elicitation'))
    client.setRequestHandler(ElicitRequestSchema, async ({ params }) => notes.elicit(params.message));
  if (can('sampling')) client.setRequestHandler(CreateMessageRequestSchema, async () => notes.sample());
  if (can('roots')) client.setRequestHandler(ListRootsRequestSchema, async () => notes.roots());
  client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => {
    notes.heard.push(`log ${String(params.data)}`);
  });
  client.setNotificationHandler(ToolListChangedNotificationSchema, () => {
    notes.heard.push('tools');
  });
  client.setNotificationHandler(PromptListChangedNotificationSchema, () => {
    notes.heard.push('prompts');
  });
  client.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ params }) => {
    notes.heard.push(params.uri);
  });
  const transport = new LegacyHttp(new URL(url));
  // the SDK's own two declarations of a transport differ in how they spell "absent"
  await client.connect(transport as Parameters<LegacySdk['connect']>[0]);
  return {
    notes,
    client,
    call: async (name, args = {}, options = {}) =>
      (await client.callTool({ name, arguments: args }, undefined, {
        timeout: CALL_MS_MAX,
        ...options,
      })) as ToolResult,
    close: async () => {
      await transport.terminateSession().catch(() => undefined);
      await client.close();
    },
  };
}

async function visitModern(url: string, capabilities: object): Promise<Visitor> {
  const notes = new Notes();
  const client = new ModernSdk({ name: 'e2e', version: '1' }, { capabilities });
  const can = (name: string): boolean => Object.hasOwn(capabilities, name);
  if (can('elicitation'))
    client.setRequestHandler('elicitation/create', async ({ params }) => notes.elicit(params.message));
  if (can('sampling')) client.setRequestHandler('sampling/createMessage', async () => notes.sample());
  if (can('roots')) client.setRequestHandler('roots/list', async () => notes.roots());
  client.setNotificationHandler('notifications/message', ({ params }) => {
    notes.heard.push(`log ${String(params.data)}`);
  });
  client.setNotificationHandler('notifications/tools/list_changed', () => {
    notes.heard.push('tools');
  });
  client.setNotificationHandler('notifications/prompts/list_changed', () => {
    notes.heard.push('prompts');
  });
  client.setNotificationHandler('notifications/resources/updated', ({ params }) => {
    notes.heard.push(params.uri);
  });
  const transport = new ModernHttp(new URL(url));
  await client.connect(transport);
  expect(client.getProtocolEra()).toBe('legacy');
  return {
    notes,
    client,
    call: async (name, args = {}, options = {}) =>
      (await client.callTool({ name, arguments: args }, { timeout: CALL_MS_MAX, ...options })) as ToolResult,
    close: async () => {
      await transport.terminateSession().catch(() => undefined);
      await client.close();
    },
  };
}

function textOf(result: ToolResult): string {
  const [block] = (result.content ?? []) as { text?: string }[];
  return block?.text ?? '';
}

const SDKS = { 'sdk 1.32.2': visitLegacy, 'client 2.4.0 as it is by default': visitModern };

for (const way of WAYS) {
  for (const [sdk, visit] of Object.entries(SDKS)) {
    describe(`${sdk} at ${way.label}`, () => {
      const scene = (
        name: string,
        use: (visitor: Visitor) => Promise<void>,
        capabilities: object = CAPABILITIES,
      ): void => {
        test(
          name,
          async () => {
            const visitor = await visit(`${plane.url}${way.path}`, capabilities);
            try {
              await use(visitor);
            } finally {
              await visitor.close();
            }
          },
          TEST_MS_MAX,
        );
      };

      scene('lists in pages, gets, reads, completes, pings', async ({ client }) => {
        const tools: string[] = [];
        let cursor: string | undefined;
        do {
          const page = await client.listTools(cursor === undefined ? {} : { cursor });
          tools.push(...page.tools.map((tool) => tool.name));
          cursor = page.nextCursor;
        } while (cursor !== undefined);
        expect(tools).toContain(way.name('echo'));
        expect(tools).toContain(way.name('test_input_required_result_multi_round'));
        expect(new Set(tools).size).toBe(tools.length);
        const prompt = await client.getPrompt({ name: way.name('test_simple_prompt') });
        expect(JSON.stringify(prompt)).toContain('This is a simple prompt for testing.');
        const { contents } = await client.readResource({ uri: way.uri('test://template/7/data') });
        expect(JSON.stringify(contents)).toContain('Data for ID: 7');
        await expect(client.readResource({ uri: way.uri('test://nothing') })).rejects.toThrow('not found');
        const { completion } = await client.complete({
          ref: { type: 'ref/prompt', name: way.name('test_prompt_with_arguments') },
          argument: { name: 'arg1', value: 'par' },
        });
        expect(completion.values).toEqual(['paris', 'park', 'party']);
        expect(await client.ping()).toEqual({});
      });

      scene('calls tools, with structured output and mirrored arguments', async (visitor) => {
        const args = { text: 'é \u2028 😀', deep: { list: [1, 2.5, null, true] } };
        const echoed = await visitor.call(way.name('echo'), args);
        expect(echoed.structuredContent).toEqual(args);
        expect(textOf(await visitor.call(way.name('big'), { bytes: BIG_BYTES }))).toHaveLength(BIG_BYTES);
        const { structuredContent } = await visitor.call(way.name('measure_all'));
        expect(structuredContent).toEqual({ result: [21.5, -3] });
        const mirrored = await visitor.call(way.name('test_mirrored_headers'), { region: 'é x', count: 3 });
        expect(textOf(mirrored)).toContain('é x');
        expect((await visitor.call(way.name('test_error_handling'))).isError).toBe(true);
        await expect(visitor.call(way.name('no_such_tool'))).rejects.toThrow();
      });

      scene('hears of progress, and of log messages once it asked', async (visitor) => {
        const progress: number[] = [];
        const onprogress = (step: { progress: number }): void => {
          progress.push(step.progress);
        };
        await visitor.call(way.name('test_tool_with_progress'), {}, { onprogress });
        expect(progress).toEqual([0, 50, 100]);
        await visitor.call(way.name('test_tool_with_logging'));
        expect(visitor.notes.heard).toEqual([]);
        await visitor.client.setLoggingLevel('info');
        await visitor.call(way.name('test_tool_with_logging'));
        await eventually('three messages came', () => visitor.notes.heard.length >= 3);
        expect(visitor.notes.heard[0]).toBe('log Tool execution started');
      });

      scene('is asked in the middle of a call, in one round and in several', async (visitor) => {
        const text = async (tool: string, args = {}): Promise<string> =>
          textOf(await visitor.call(way.name(tool), args));
        expect(await text('test_elicitation', { message: 'Who?' })).toContain('"username":"ada"');
        expect(await text('test_sampling', { prompt: 'Which?' })).toBe('LLM response: Paris');
        expect(await text('test_input_required_result_list_roots')).toContain('file:///home/e2e');
        expect(await text('test_input_required_result_multiple_inputs')).toContain('Paris');
        expect(await text('test_input_required_result_multi_round')).toBe('Ada likes red.');
        expect(await text('test_streaming_elicitation')).toContain('action=accept');
        const prompt = await visitor.client.getPrompt({
          name: way.name('test_input_required_result_prompt'),
        });
        expect(prompt.messages.length).toBeGreaterThan(0);
        expect(visitor.notes.asked).toContain('Who?');
      });

      scene('many calls ask at once, and each gets its own answer', async (visitor) => {
        const asked = Array.from({ length: 12 }, (_, i) => `question ${i}`);
        const answers = await Promise.all(
          asked.map((message) => visitor.call(way.name('test_elicitation'), { message })),
        );
        for (const answer of answers) expect(textOf(answer)).toContain('ada@example.org');
        expect(visitor.notes.asked.toSorted()).toEqual(asked.toSorted());
      });

      scene(
        'is not asked for what it has not declared',
        async (visitor) => {
          const refused = await visitor.call(way.name('test_elicitation'), { message: 'Who?' });
          expect(refused.isError).toBe(true);
          expect(textOf(refused)).not.toBe('');
          const prompt = visitor.client.getPrompt({ name: way.name('test_input_required_result_prompt') });
          await expect(prompt).rejects.toThrow();
          expect(visitor.notes.asked).toEqual([]);
        },
        {},
      );

      scene('hears of changes of lists and of what it subscribed to', async (visitor) => {
        const { client, notes } = visitor;
        const uri = way.uri('test://watched-resource');
        await client.subscribeResource({ uri });
        await visitor.call(way.name('touch'));
        await eventually('the change is told', () => notes.heard.includes(uri));
        await visitor.call(way.name('test_trigger_tool_change'));
        await visitor.call(way.name('test_trigger_prompt_change'));
        await eventually(
          'both lists are told',
          () => notes.heard.includes('tools') && notes.heard.includes('prompts'),
        );
        await client.unsubscribeResource({ uri });
      });

      scene('cancels a call', async (visitor) => {
        const cancelled = async (): Promise<number> => {
          const { structuredContent } = await visitor.call(way.name('stats'));
          return (
            (structuredContent as { calls: Record<string, { cancelled: number }> }).calls.slow?.cancelled ?? 0
          );
        };
        const before = await cancelled();
        const abort = new AbortController();
        const call = visitor.call(
          way.name('slow'),
          { ms: 15_000, steps: 1_000 },
          { signal: abort.signal, onprogress: () => abort.abort() },
        );
        await expect(call).rejects.toThrow();
        await eventually('the server saw it', async () => (await cancelled()) > before);
      });
    });
  }
}

const LEGACY_HEADERS = {
  'content-type': 'application/json',
  accept: 'application/json, text/event-stream',
  'mcp-protocol-version': '2025-11-25',
};

/** A session over plain fetch. */
async function openSession(path: string): Promise<Record<string, string>> {
  const response = await fetch(`${plane.url}${path}`, {
    method: 'POST',
    headers: LEGACY_HEADERS,
    body: JSON.stringify({
      jsonrpc: '2.0',
      id: 0,
      method: 'initialize',
      params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'e2e', version: '1' } },
    }),
  });
  await response.text();
  return { ...LEGACY_HEADERS, 'mcp-session-id': response.headers.get('mcp-session-id') ?? '' };
}

for (const way of WAYS) {
  describe(`a broken stream at ${way.label}`, () => {
    test(
      'is taken up again behind the last event, and the call is executed once',
      async () => {
        const headers = await openSession(way.path);
        const url = `${plane.url}${way.path}`;
        const abort = new AbortController();
        const params = {
          name: way.name('slow'),
          arguments: { ms: 600, steps: 6, key: `taken-up ${way.label}` },
          _meta: { progressToken: 'p' },
        };
        const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params });
        const call = await fetch(url, { method: 'POST', headers, body, signal: abort.signal });
        expect(call.headers.get('content-type')).toContain('text/event-stream');
        let seen = '';
        const decoder = new TextDecoder();
        const reader = call.body?.getReader();
        while (reader !== undefined && seen.split('notifications/progress').length < 3)
          seen += decoder.decode((await reader.read()).value);
        abort.abort();
        const ids = [...seen.matchAll(/^id: (.+)$/gm)].map(([, id]) => id ?? '');
        await Bun.sleep(200);
        const again = await fetch(url, {
          headers: { ...headers, accept: 'text/event-stream', 'last-event-id': ids.at(-1) ?? '' },
        });
        expect(again.status).toBe(200);
        const rest = await again.text();
        expect(rest).toContain('Took 6 steps.');
        const steps = [...(seen + rest).matchAll(/"progress":(\d)/g)].map(([, step]) => Number(step));
        expect(steps).toEqual([1, 2, 3, 4, 5, 6]);
        await fetch(url, { method: 'DELETE', headers });
      },
      TEST_MS_MAX,
    );
  });
}

test(
  'a batch of an old client is split, run and joined',
  async () => {
    const headers = await openSession('/mcp/far');
    const call = (id: number, a: number): object => ({
      jsonrpc: '2.0',
      id,
      method: 'tools/call',
      params: { name: 'echo', arguments: { a } },
    });
    const post = (body: unknown, more = headers): Promise<Response> =>
      fetch(`${plane.url}/mcp/far`, { method: 'POST', headers: more, body: JSON.stringify(body) });
    const batch = [call(1, 1), { jsonrpc: '2.0', method: 'notifications/x' }, call(2, 2)];
    const reply = (await (await post(batch)).json()) as {
      id: number;
      result: { structuredContent: unknown };
    }[];
    expect(reply.map(({ id, result }) => [id, result.structuredContent])).toEqual([
      [1, { a: 1 }],
      [2, { a: 2 }],
    ]);
    const alone = await post(batch, LEGACY_HEADERS as typeof headers);
    expect(alone.status).toBe(400);
    await alone.text();
    await (await fetch(`${plane.url}/mcp/far`, { method: 'DELETE', headers })).text();
    const late = await post(call(3, 3));
    expect(late.status).toBe(404);
    await late.text();
  },
  TEST_MS_MAX,
);
