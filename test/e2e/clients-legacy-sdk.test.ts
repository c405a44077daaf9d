// The client of @modelcontextprotocol/sdk 1.32.2 over Streamable HTTP against the fixture, directly and through the gateway.
// Called by `bun test`. Promises: the direct place shows that each test is right; the others that the gateway is no obstacle
// to sessions, event streams in both directions, questions in the middle of a call, resumption and cancellation.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  LoggingMessageNotificationSchema,
  PromptListChangedNotificationSchema,
  ResourceUpdatedNotificationSchema,
  ToolListChangedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { stopAll } from '../fixtures/harness.ts';
import { eventually, OLD_PLACES, PLACES, type Place, type Running, startPlaces } from '../fixtures/places.ts';

const TEST_MS_MAX = 20_000;
/** Below the test's own: a test that runs out of time costs the others their gateway, since Bun ends all processes. */
const CALL_MS_MAX = 5_000;
const BIG_BYTES = 1_000_000;

let running: Running;
beforeAll(async () => {
  running = await startPlaces(true);
}, TEST_MS_MAX);
afterAll(stopAll);

/** A connected client at a place, and what it was asked and told. */
class Visitor {
  readonly place: Place;
  readonly client: Client;
  readonly transport: StreamableHTTPClientTransport;
  readonly asked: string[] = [];
  readonly heard: string[] = [];
  /** Whether the session's own event stream is open. */
  isListening = false;

  constructor(place: Place) {
    this.place = place;
    const fetch: typeof globalThis.fetch = Object.assign(
      async (input: string | URL | Request, init?: RequestInit) => {
        const response = await globalThis.fetch(input, init);
        if (init?.method === 'GET' && response.ok) this.isListening = true;
        return response;
      },
      { preconnect: globalThis.fetch.preconnect },
    );
    this.transport = new StreamableHTTPClientTransport(new URL(place.url(running)), { fetch });
    this.client = new Client(
      { name: 'e2e', version: '1' },
      { capabilities: { sampling: {}, elicitation: {}, roots: {} } },
    );
    this.#answerAndListen();
  }

  async connect(): Promise<void> {
    // the SDK's own two declarations of a transport differ in how they spell "absent"
    await this.client.connect(this.transport as Parameters<Client['connect']>[0]);
    await eventually('the event stream of the session is open', () => this.isListening);
  }

  async call(tool: string, args: Record<string, unknown> = {}): Promise<string> {
    const result = await this.client.callTool({ name: this.place.name(tool), arguments: args }, undefined, {
      timeout: CALL_MS_MAX,
    });
    const [block] = result.content as { text?: string }[];
    return block?.text ?? '';
  }

  async stats(): Promise<{ sessionsOpen: number; calls: Record<string, { cancelled: number }> }> {
    return JSON.parse(await this.call('stats')) as Awaited<ReturnType<Visitor['stats']>>;
  }

  #answerAndListen(): void {
    const { client, heard } = this;
    client.setRequestHandler(CreateMessageRequestSchema, async ({ params }) => {
      const [message] = params.messages;
      this.asked.push(JSON.stringify(message?.content));
      return { role: 'assistant', model: 'm', content: { type: 'text', text: 'Paris' } };
    });
    client.setRequestHandler(ElicitRequestSchema, async ({ params }) => {
      this.asked.push(params.message);
      return { action: 'accept', content: { username: 'ada', email: 'ada@example.org' } };
    });
    client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => {
      heard.push(`log ${String(params.data)}`);
    });
    client.setNotificationHandler(ToolListChangedNotificationSchema, () => {
      heard.push('tools');
    });
    client.setNotificationHandler(PromptListChangedNotificationSchema, () => {
      heard.push('prompts');
    });
    client.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ params }) => {
      heard.push(params.uri);
    });
  }
}

async function visit(place: Place, use: (visitor: Visitor) => Promise<void>): Promise<void> {
  const visitor = new Visitor(place);
  await visitor.connect();
  try {
    await use(visitor);
  } finally {
    await visitor.transport.terminateSession().catch(() => undefined);
    await visitor.client.close();
  }
}

for (const place of [...PLACES, ...OLD_PLACES]) {
  describe(`sdk 1.32.2 client at ${place.label}`, () => {
    const scene = (name: string, use: (visitor: Visitor) => Promise<void>): void => {
      test(name, () => visit(place, use), TEST_MS_MAX);
    };

    scene('lists, calls, gets, reads, completes', async (visitor) => {
      const { client } = visitor;
      const { tools } = await client.listTools();
      expect(tools.map((tool) => tool.name)).toContain(place.name('echo'));
      const args = { text: 'é \u2028 😀', deep: { list: [1, 2.5, null, true] } };
      const echoed = await client.callTool({ name: place.name('echo'), arguments: args });
      expect(echoed.structuredContent).toEqual(args);
      expect(await visitor.call('big', { bytes: BIG_BYTES })).toHaveLength(BIG_BYTES);
      const { prompts } = await client.listPrompts();
      expect(prompts.map((prompt) => prompt.name)).toContain(place.name('test_simple_prompt'));
      const prompt = await client.getPrompt({ name: place.name('test_simple_prompt') });
      expect(JSON.stringify(prompt)).toContain('This is a simple prompt for testing.');
      const { resources } = await client.listResources();
      expect(resources.map((resource) => resource.uri)).toContain(place.uri('test://static-text'));
      const { contents } = await client.readResource({ uri: place.uri('test://template/7/data') });
      expect(JSON.stringify(contents)).toContain('Data for ID: 7');
      await expect(client.readResource({ uri: place.uri('test://nothing') })).rejects.toThrow();
      const { completion } = await client.complete({
        ref: { type: 'ref/prompt', name: place.name('test_prompt_with_arguments') },
        argument: { name: 'arg1', value: 'par' },
      });
      expect(completion.values).toEqual(['paris', 'park', 'party']);
      expect(await client.ping()).toEqual({});
    });

    scene('reports progress and logs on the stream of the call', async (visitor) => {
      const progress: number[] = [];
      await visitor.client.setLoggingLevel('info');
      await visitor.client.callTool(
        { name: place.name('test_tool_with_progress'), arguments: {} },
        undefined,
        { onprogress: (step) => progress.push(step.progress) },
      );
      expect(progress).toEqual([0, 50, 100]);
      await visitor.call('test_tool_with_logging');
      await eventually('three log messages came', () => visitor.heard.length >= 3);
      expect(visitor.heard).toEqual([
        'log Tool execution started',
        'log Tool processing data',
        'log Tool execution completed',
      ]);
      await visitor.client.setLoggingLevel('error');
      await visitor.call('test_logging_tool');
      expect(visitor.heard).toHaveLength(3);
    });

    scene('is asked in the middle of a call, on the stream of the call', async (visitor) => {
      expect(await visitor.call('test_sampling', { prompt: 'Which city?' })).toBe('LLM response: Paris');
      expect(await visitor.call('test_elicitation', { message: 'Who are you?' })).toContain(
        '"username":"ada"',
      );
      expect(visitor.asked.join()).toContain('Which city?');
      expect(visitor.asked).toContain('Who are you?');
    });

    scene('is asked in the middle of a call, on the stream of the session', async (visitor) => {
      const way = 'session';
      expect(await visitor.call('test_sampling', { prompt: 'Which?', way })).toBe('LLM response: Paris');
      expect(await visitor.call('test_elicitation', { message: 'Who?', way })).toContain('"username":"ada"');
    });

    scene('two calls ask at the same time and get their own answers', async (visitor) => {
      const answers = await Promise.all([
        visitor.call('test_sampling', { prompt: 'one' }),
        visitor.call('test_elicitation', { message: 'two' }),
        visitor.call('echo', { three: 3 }),
      ]);
      expect(answers[0]).toBe('LLM response: Paris');
      expect(answers[1]).toContain('ada@example.org');
      expect(answers[2]).toBe('{"three":3}');
    });

    scene('hears of changes on the stream of the session', async (visitor) => {
      const { client, heard } = visitor;
      await visitor.call('test_trigger_tool_change');
      await visitor.call('test_trigger_prompt_change');
      await eventually('both lists are told', () => heard.includes('tools') && heard.includes('prompts'));
      const uri = place.uri('test://watched-resource');
      await client.subscribeResource({ uri });
      await visitor.call('touch');
      await eventually('the change is told', () => heard.includes(uri));
      await client.unsubscribeResource({ uri });
      const told = heard.filter((one) => one === uri).length;
      await visitor.call('touch');
      await visitor.call('test_trigger_tool_change');
      await eventually('a later change is told', () => heard.filter((one) => one === 'tools').length > 1);
      expect(heard.filter((one) => one === uri)).toHaveLength(told);
    });

    scene('cancels a call with a notification', async (visitor) => {
      const before = (await visitor.stats()).calls.slow?.cancelled ?? 0;
      const abort = new AbortController();
      const call = visitor.client.callTool(
        { name: place.name('slow'), arguments: { ms: 15_000, steps: 1_000 } },
        undefined,
        { signal: abort.signal, onprogress: () => abort.abort() },
      );
      await expect(call).rejects.toThrow();
      await eventually(
        'the server saw the cancellation',
        async () => ((await visitor.stats()).calls.slow?.cancelled ?? 0) === before + 1,
      );
    });

    scene('ends its session: the next request is told so', async (visitor) => {
      const { transport } = visitor;
      const session = transport.sessionId ?? '';
      expect(session).not.toBe('');
      await transport.terminateSession();
      const reply = await fetch(place.url(running), {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          accept: 'application/json, text/event-stream',
          'mcp-session-id': session,
          'mcp-protocol-version': '2025-11-25',
        },
        body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping' }),
      });
      expect(reply.status).toBe(404);
      await reply.body?.cancel();
    });

    if (place.upstream === 'http') {
      scene('takes a closed stream up again', async (visitor) => {
        expect(await visitor.call('test_reconnection')).toBe('The stream was closed and taken up again.');
      });
    }

    if (place.upstream !== 'stdio') {
      scene('leaves no session behind at the server', async (visitor) => {
        const open = async (): Promise<number> => (await visitor.stats()).sessionsOpen;
        const before = await open();
        await visit(place, async (other) => {
          await other.call('echo', {});
          expect(await open()).toBe(before + 1);
        });
        await eventually('the session is gone', async () => (await open()) === before);
      });
    }
  });
}
