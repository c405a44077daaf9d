// The client of @modelcontextprotocol/client 2.4.0 against the fixture, directly and through the gateway: pinned to the modern
// era, choosing by itself, and legacy.
// Called by `bun test`. Promises: the direct place shows that each test is right; the others that the gateway is no obstacle.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { Client, type ClientOptions, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { stopAll } from '../fixtures/harness.ts';
import { eventually, PLACES, type Place, type Running, startPlaces } from '../fixtures/places.ts';

type Mode = NonNullable<NonNullable<ClientOptions['versionNegotiation']>['mode']>;

const MODERN: Mode = { pin: '2026-07-28' };
const TEST_MS_MAX = 20_000;
const BIG_BYTES = 1_000_000;

let running: Running;
beforeAll(async () => {
  running = await startPlaces();
}, TEST_MS_MAX);
afterAll(stopAll);

/** Connects, runs, closes. */
async function withClient(
  place: Place,
  options: ClientOptions,
  use: (client: Client) => Promise<void>,
): Promise<void> {
  const client = new Client({ name: 'e2e', version: '1' }, options);
  await client.connect(new StreamableHTTPClientTransport(new URL(place.url(running))));
  try {
    await use(client);
  } finally {
    await client.close();
  }
}

function options(mode: Mode, more: ClientOptions = {}): ClientOptions {
  return { versionNegotiation: { mode }, ...more };
}

function textOf(result: { content: unknown }): string {
  const block = (result.content as { text?: string }[])[0];
  return block?.text ?? '';
}

/** How calls of a tool ended, as the server tells it. */
async function tally(
  client: Client,
  place: Place,
  tool: string,
): Promise<{ started: number; cancelled: number }> {
  const { structuredContent } = await client.callTool({ name: place.name('stats'), arguments: {} });
  const { calls } = structuredContent as { calls: Record<string, { started: number; cancelled: number }> };
  return calls[tool] ?? { started: 0, cancelled: 0 };
}

const ANSWERING: ClientOptions = { capabilities: { elicitation: { form: {} }, sampling: {}, roots: {} } };

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

for (const place of PLACES) {
  describe(`client 2.4.0 at ${place.label}`, () => {
    for (const mode of ['auto', MODERN, 'legacy'] as const) {
      const label = typeof mode === 'string' ? mode : 'pinned';
      test(
        `${label}: lists and calls`,
        () =>
          withClient(place, options(mode), async (client) => {
            expect(client.getProtocolEra()).toBe(mode === 'legacy' ? 'legacy' : 'modern');
            const { tools } = await client.listTools();
            expect(tools.map((tool) => tool.name)).toContain(place.name('echo'));
            const args = { text: 'é \u2028 😀', deep: { list: [1, 2.5, null, true] } };
            const echoed = await client.callTool({ name: place.name('echo'), arguments: args });
            expect(echoed.structuredContent).toEqual(args);
            const failed = await client.callTool({ name: place.name('test_error_handling'), arguments: {} });
            expect(failed.isError).toBe(true);
            await expect(
              client.callTool({ name: place.name('no_such_tool'), arguments: {} }),
            ).rejects.toThrow();
          }),
        TEST_MS_MAX,
      );
    }

    test(
      'prompts, resources, templates, completion',
      () =>
        withClient(place, options(MODERN), async (client) => {
          const { prompts } = await client.listPrompts();
          expect(prompts.map((prompt) => prompt.name)).toContain(place.name('test_simple_prompt'));
          const prompt = await client.getPrompt({
            name: place.name('test_prompt_with_arguments'),
            arguments: { arg1: 'one', arg2: 'two' },
          });
          expect(JSON.stringify(prompt.messages)).toContain("arg1='one', arg2='two'");
          const { resources } = await client.listResources();
          expect(resources.map((resource) => resource.uri)).toContain(place.uri('test://static-text'));
          const { contents } = await client.readResource({ uri: place.uri('test://static-text') });
          expect(contents[0]).toMatchObject({ text: 'This is the content of the static text resource.' });
          const { resourceTemplates } = await client.listResourceTemplates();
          expect(resourceTemplates.map((template) => template.uriTemplate)).toContain(
            place.uri('test://template/{id}/data'),
          );
          const filled = await client.readResource({ uri: place.uri('test://template/42/data') });
          expect(JSON.stringify(filled.contents)).toContain('Data for ID: 42');
          await expect(client.readResource({ uri: place.uri('test://nothing') })).rejects.toMatchObject({
            code: -32602,
          });
          const { completion } = await client.complete({
            ref: { type: 'ref/prompt', name: place.name('test_prompt_with_arguments') },
            argument: { name: 'arg1', value: 'par' },
          });
          expect(completion.values).toEqual(['paris', 'park', 'party']);
        }),
      TEST_MS_MAX,
    );

    test(
      'progress, logging, a large result, mirrored arguments',
      () =>
        withClient(place, options(MODERN), async (client) => {
          const progress: number[] = [];
          const logs: unknown[] = [];
          client.setNotificationHandler('notifications/message', async ({ params }) => {
            logs.push(params.data);
          });
          const meta = { 'io.modelcontextprotocol/logLevel': 'info' };
          await client.callTool(
            { name: place.name('test_tool_with_logging'), arguments: {}, _meta: meta },
            { onprogress: () => undefined },
          );
          expect(logs).toHaveLength(3);
          await client.callTool(
            { name: place.name('test_tool_with_progress'), arguments: {} },
            { onprogress: (step) => progress.push(step.progress) },
          );
          expect(progress).toEqual([0, 50, 100]);
          const big = await client.callTool({ name: place.name('big'), arguments: { bytes: BIG_BYTES } });
          expect(textOf(big)).toHaveLength(BIG_BYTES);
          await client.listTools();
          const mirrored = { region: 'Zürich ', priority: 3 };
          const answer = await client.callTool({
            name: place.name('test_mirrored_headers'),
            arguments: mirrored,
          });
          expect(JSON.parse(textOf(answer))).toEqual(mirrored);
        }),
      TEST_MS_MAX,
    );

    test(
      'answers questions in rounds',
      () =>
        withClient(place, options(MODERN, ANSWERING), async (client) => {
          answerAll(client);
          const ask = async (tool: string, args = {}): Promise<string> =>
            textOf(await client.callTool({ name: place.name(tool), arguments: args }));
          expect(await ask('test_elicitation', { message: 'who?' })).toContain('my username');
          expect(await ask('test_sampling', { prompt: 'where?' })).toBe('LLM response: Paris');
          expect(await ask('test_input_required_result_list_roots')).toContain('file:///home/e2e');
          expect(await ask('test_input_required_result_request_state')).toBe('state-ok');
          expect(await ask('test_input_required_result_multi_round')).toBe('my name likes my color.');
          expect(await ask('test_input_required_result_multiple_inputs')).toBe('Paris my name, of 1 roots');
          const prompt = await client.getPrompt({ name: place.name('test_input_required_result_prompt') });
          expect(JSON.stringify(prompt.messages)).toContain('my context');
        }),
      TEST_MS_MAX,
    );

    test(
      'is refused what it cannot answer',
      () =>
        withClient(place, options(MODERN), async (client) => {
          const call = client.callTool({ name: place.name('test_missing_capability'), arguments: {} });
          await expect(call).rejects.toMatchObject({ code: -32021 });
        }),
      TEST_MS_MAX,
    );

    test(
      'hears of changes on a listen stream, and of nothing else',
      () =>
        withClient(place, options(MODERN), async (client) => {
          const heard: string[] = [];
          client.setNotificationHandler('notifications/tools/list_changed', async () => {
            heard.push('tools');
          });
          client.setNotificationHandler('notifications/prompts/list_changed', async () => {
            heard.push('prompts');
          });
          client.setNotificationHandler('notifications/resources/updated', async ({ params }) => {
            heard.push(params.uri);
          });
          const uri = place.uri('test://watched-resource');
          const stream = await client.listen({ toolsListChanged: true, resourceSubscriptions: [uri] });
          expect(stream.honoredFilter).toMatchObject({
            toolsListChanged: true,
            resourceSubscriptions: [uri],
          });
          await client.callTool({ name: place.name('test_trigger_prompt_change'), arguments: {} });
          await client.callTool({ name: place.name('touch'), arguments: { uri: 'test://static-text' } });
          await client.callTool({ name: place.name('touch'), arguments: {} });
          await client.callTool({ name: place.name('test_trigger_tool_change'), arguments: {} });
          await eventually('both changes are told', () => heard.includes('tools') && heard.includes(uri));
          expect(heard).not.toContain('prompts');
          expect(heard).not.toContain(place.uri('test://static-text'));
          await stream.close();
          expect(await stream.closed).toBe('local');
        }),
      TEST_MS_MAX,
    );

    test(
      'cancels a call by closing its stream',
      () =>
        withClient(place, options(MODERN), async (client) => {
          const before = await tally(client, place, 'slow');
          const abort = new AbortController();
          const call = client.callTool(
            { name: place.name('slow'), arguments: { ms: 15_000, steps: 1_000 } },
            { signal: abort.signal, onprogress: () => abort.abort() },
          );
          await expect(call).rejects.toThrow();
          await eventually(
            'the server saw the cancellation',
            async () => (await tally(client, place, 'slow')).cancelled === before.cancelled + 1,
          );
        }),
      TEST_MS_MAX,
    );
  });
}
