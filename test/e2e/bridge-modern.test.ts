// The client of @modelcontextprotocol/client 2.4.0, pinned to the modern era, at the strictly legacy fixture behind the gateway, over HTTP and over stdio.
// Called by `bun test`. Promises: what a modern client does at a modern server works here too: lists, calls, progress, logging, questions in rounds, cancellation.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { Client, type ClientOptions, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { fixtureCommand, startFixture, stopAll } from '../fixtures/harness.ts';
import { eventually } from '../fixtures/places.ts';
import { type Plane, startPlane } from '../fixtures/plane.ts';

const TEST_MS_MAX = 20_000;
const BIG_BYTES = 1_000_000;
const ANSWERING: ClientOptions = { capabilities: { elicitation: { form: {} }, sampling: {}, roots: {} } };

let plane: Plane;
beforeAll(async () => {
  const fixture = await startFixture('legacy');
  const { command, args } = fixtureCommand('legacy');
  plane = startPlane({
    servers: { far: { url: fixture.url }, near: { command, args } },
    spec: { era: 'legacy' },
  });
}, TEST_MS_MAX);
afterAll(async () => {
  await plane.stop();
  await stopAll();
}, TEST_MS_MAX);

/** A way to the fixture: the endpoint, and how names and URIs are spelled there. */
interface Way {
  readonly label: string;
  readonly path: string;
  readonly name: (own: string) => string;
  readonly uri: (own: string) => string;
}

const plain = (server: string): Way => ({
  label: `/mcp/${server}`,
  path: `/mcp/${server}`,
  name: (own) => own,
  uri: (own) => own,
});
const merged = (server: string): Way => ({
  label: `/mcp, server ${server}`,
  path: '/mcp',
  name: (own) => `${server}__${own}`,
  uri: (own) => `${server}+${own}`,
});
const WAYS = [plain('far'), plain('near'), merged('far'), merged('near')];

async function withClient(
  way: Way,
  more: ClientOptions,
  use: (client: Client) => Promise<void>,
): Promise<void> {
  const client = new Client(
    { name: 'e2e', version: '1' },
    { versionNegotiation: { mode: { pin: '2026-07-28' } }, ...more },
  );
  await client.connect(new StreamableHTTPClientTransport(new URL(`${plane.url}${way.path}`)));
  try {
    await use(client);
  } finally {
    await client.close();
  }
}

function textOf(result: { content: unknown }): string {
  return (result.content as { text?: string }[])[0]?.text ?? '';
}

/** Answers every question: with a value for each field it asks for, a sentence, one root. */
function answerAll(client: Client): void {
  client.setRequestHandler('elicitation/create', async (request) => {
    const { requestedSchema } = request.params as {
      requestedSchema: { properties: Record<string, { type: string }> };
    };
    const content = Object.entries(requestedSchema.properties).map(
      ([key, field]) => [key, field.type === 'boolean' ? true : `my ${key}`] as const,
    );
    return { action: 'accept', content: Object.fromEntries(content) };
  });
  client.setRequestHandler('sampling/createMessage', async () => ({
    role: 'assistant',
    content: { type: 'text', text: 'Paris' },
    model: 'm',
  }));
  client.setRequestHandler('roots/list', async () => ({ roots: [{ uri: 'file:///home/e2e' }] }));
}

/** How many calls of `slow` ended by a cancellation, as the server tells it. */
async function cancelled(client: Client, way: Way): Promise<number> {
  const { structuredContent } = await client.callTool({ name: way.name('stats'), arguments: {} });
  const { calls } = structuredContent as { calls: Record<string, { cancelled: number }> };
  return calls.slow?.cancelled ?? 0;
}

for (const way of WAYS) {
  describe(`modern client at ${way.label}, a legacy server`, () => {
    test(
      'lists, calls, prompts, resources, completion',
      () =>
        withClient(way, {}, async (client) => {
          expect(client.getProtocolEra()).toBe('modern');
          const { tools } = await client.listTools();
          expect(tools.map((tool) => tool.name)).toContain(way.name('echo'));
          const args = { text: 'é \u2028 😀', deep: { list: [1, 2.5, null, true] } };
          const echoed = await client.callTool({ name: way.name('echo'), arguments: args });
          expect(echoed.structuredContent).toEqual(args);
          const failed = await client.callTool({ name: way.name('test_error_handling'), arguments: {} });
          expect(failed.isError).toBe(true);
          await expect(client.callTool({ name: way.name('no_such_tool'), arguments: {} })).rejects.toThrow();
          const prompt = await client.getPrompt({
            name: way.name('test_prompt_with_arguments'),
            arguments: { arg1: 'one', arg2: 'two' },
          });
          expect(JSON.stringify(prompt.messages)).toContain("arg1='one', arg2='two'");
          const { contents } = await client.readResource({ uri: way.uri('test://static-text') });
          expect(contents[0]).toMatchObject({ text: 'This is the content of the static text resource.' });
          await expect(client.readResource({ uri: way.uri('test://nothing') })).rejects.toMatchObject({
            code: -32602,
          });
          const { completion } = await client.complete({
            ref: { type: 'ref/prompt', name: way.name('test_prompt_with_arguments') },
            argument: { name: 'arg1', value: 'par' },
          });
          expect(completion.values).toEqual(['paris', 'park', 'party']);
        }),
      TEST_MS_MAX,
    );

    test(
      'progress, logging, a large result, mirrored arguments',
      () =>
        withClient(way, {}, async (client) => {
          const progress: number[] = [];
          const logs: unknown[] = [];
          client.setNotificationHandler('notifications/message', async ({ params }) => {
            logs.push(params.data);
          });
          const call = (tool: string, level?: string): Promise<unknown> =>
            client.callTool(
              {
                name: way.name(tool),
                arguments: {},
                ...(level === undefined ? {} : { _meta: { 'io.modelcontextprotocol/logLevel': level } }),
              },
              { onprogress: (step) => progress.push(step.progress) },
            );
          await call('test_tool_with_logging');
          await call('test_tool_with_logging', 'error');
          expect(logs).toHaveLength(0);
          await call('test_tool_with_logging', 'info');
          expect(logs).toHaveLength(3);
          await call('test_tool_with_progress');
          expect(progress).toEqual([0, 50, 100]);
          const big = await client.callTool({ name: way.name('big'), arguments: { bytes: BIG_BYTES } });
          expect(textOf(big)).toHaveLength(BIG_BYTES);
        }),
      TEST_MS_MAX,
    );

    test(
      'answers questions in rounds',
      () =>
        withClient(way, ANSWERING, async (client) => {
          answerAll(client);
          const ask = async (tool: string, args = {}): Promise<string> =>
            textOf(await client.callTool({ name: way.name(tool), arguments: args }));
          expect(await ask('test_elicitation', { message: 'who?' })).toContain('my username');
          expect(await ask('test_elicitation', { message: 'who?', way: 'session' })).toContain('my username');
          expect(await ask('test_sampling', { prompt: 'where?' })).toBe('LLM response: Paris');
          expect(await ask('test_input_required_result_list_roots')).toContain('file:///home/e2e');
          expect(await ask('test_input_required_result_multi_round')).toBe('my name likes my color.');
          expect(await ask('test_input_required_result_multiple_inputs')).toBe('Paris my name, of 1 roots');
          const prompt = await client.getPrompt({ name: way.name('test_input_required_result_prompt') });
          expect(JSON.stringify(prompt.messages)).toContain('my context');
        }),
      TEST_MS_MAX,
    );

    test(
      'cancels a call by closing its stream',
      () =>
        withClient(way, {}, async (client) => {
          const before = await cancelled(client, way);
          const abort = new AbortController();
          const call = client.callTool(
            { name: way.name('slow'), arguments: { ms: 15_000, steps: 1_000 } },
            { signal: abort.signal, onprogress: () => abort.abort() },
          );
          await expect(call).rejects.toThrow();
          await eventually(
            'the server saw the cancellation',
            async () => (await cancelled(client, way)) === before + 1,
          );
        }),
      TEST_MS_MAX,
    );
  });
}
