// Servers that people really use, over stdio behind the gateway: server-everything and server-filesystem, each by itself and
// both as one; and the strictly legacy fixture over HTTP and stdio.
// Called by `bun test`. Promises: files are written to and read from a folder of the test only, which goes with it.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { CreateMessageRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import {
  fixtureCommand,
  packageCommand,
  type Served,
  startFixture,
  startGateway,
  stopAll,
} from '../fixtures/harness.ts';

const TEST_MS_MAX = 30_000;
const CALL = { timeout: 8_000 };

const folder = realpathSync(mkdtempSync(join(tmpdir(), 'sluice-files-')));
const everything = packageCommand('@modelcontextprotocol/server-everything/dist/index.js', 'stdio');
const filesystem = packageCommand('@modelcontextprotocol/server-filesystem/dist/index.js', folder);

let both: Served;
let old: Served;
beforeAll(async () => {
  const legacy = await startFixture('legacy');
  [both, old] = await Promise.all([
    startGateway({ everything, files: filesystem }),
    startGateway({ far: { url: legacy.url }, near: fixtureCommand('legacy') }),
  ]);
}, TEST_MS_MAX);
afterAll(async () => {
  await stopAll();
  rmSync(folder, { recursive: true, force: true });
});

type Connection = Parameters<Client['connect']>[0];

function overHttp(url: string): () => Connection {
  // the SDK's own two declarations of a transport differ in how they spell "absent"
  return () => new StreamableHTTPClientTransport(new URL(url)) as Connection;
}

async function withClient(connection: Connection, use: (client: Client) => Promise<void>): Promise<void> {
  const client = new Client({ name: 'e2e', version: '1' }, { capabilities: { sampling: {}, roots: {} } });
  client.setRequestHandler(CreateMessageRequestSchema, async () => ({
    role: 'assistant',
    model: 'm',
    content: { type: 'text', text: 'Paris' },
  }));
  await client.connect(connection);
  try {
    await use(client);
  } finally {
    await client.close();
  }
}

function textOf(result: Awaited<ReturnType<Client['callTool']>>): string {
  return (result.content as { text?: string }[])[0]?.text ?? '';
}

/** A way to one of the servers: how to connect, and how it spells the names of tools. */
interface Way {
  readonly label: string;
  connect(): Connection;
  name(own: string): string;
}

function ways(server: string, command: { command: string; args: readonly string[] }): Way[] {
  const name = (own: string): string => own;
  return [
    {
      label: 'itself',
      name,
      connect: () => new StdioClientTransport({ ...command, args: [...command.args], stderr: 'ignore' }),
    },
    { label: `/mcp/${server}`, name, connect: () => overHttp(`${both.url}/mcp/${server}`)() },
    { label: '/mcp', name: (own) => `${server}__${own}`, connect: () => overHttp(`${both.url}/mcp`)() },
  ];
}

for (const way of ways('everything', everything)) {
  test(
    `server-everything at ${way.label}: lists, calls, progresses, asks`,
    () =>
      withClient(way.connect(), async (client) => {
        const { tools } = await client.listTools();
        const names = tools.map((tool) => tool.name);
        expect(names).toContain(way.name('echo'));
        const echoed = await client.callTool({ name: way.name('echo'), arguments: { message: 'hello' } });
        expect(textOf(echoed)).toBe('Echo: hello');
        const progress: number[] = [];
        const long = {
          name: way.name('trigger-long-running-operation'),
          arguments: { duration: 0.3, steps: 3 },
        };
        await client.callTool(long, undefined, {
          ...CALL,
          onprogress: (step) => progress.push(step.progress),
        });
        // the sdk's client forgets progress that comes in one chunk with the result, as it does over stdio
        expect(progress.slice(0, 2)).toEqual([1, 2]);
        const { prompts } = await client.listPrompts();
        expect(prompts.length).toBeGreaterThan(0);
        const { resources } = await client.listResources();
        const first = resources[0]?.uri ?? '';
        const { contents } = await client.readResource({ uri: first });
        expect(contents).toHaveLength(1);
        const asking = { name: way.name('trigger-sampling-request'), arguments: { prompt: 'Which city?' } };
        if (names.includes(asking.name))
          expect(textOf(await client.callTool(asking, undefined, CALL))).toContain('Paris');
      }),
    TEST_MS_MAX,
  );
}

for (const [index, way] of ways('files', filesystem).entries()) {
  test(
    `server-filesystem at ${way.label}: writes, reads, lists, refuses`,
    () =>
      withClient(way.connect(), async (client) => {
        const path = join(folder, `note-${index}.txt`);
        const content = 'line one\nline two: "é" \u2028 \\ 😀\n';
        await client.callTool({ name: way.name('write_file'), arguments: { path, content } });
        expect(readFileSync(path, 'utf8')).toBe(content);
        const read = await client.callTool({ name: way.name('read_text_file'), arguments: { path } });
        expect(textOf(read)).toBe(content);
        const listed = await client.callTool({
          name: way.name('list_directory'),
          arguments: { path: folder },
        });
        expect(textOf(listed)).toContain(`note-${index}.txt`);
        const refused = await client.callTool({
          name: way.name('read_text_file'),
          arguments: { path: '/etc/passwd' },
        });
        expect(refused.isError).toBe(true);
      }),
    TEST_MS_MAX,
  );
}

test(
  'both at /mcp: one list, each call to its own',
  () =>
    withClient(overHttp(`${both.url}/mcp`)(), async (client) => {
      const names = (await client.listTools()).tools.map((tool) => tool.name);
      expect(names).toContain('everything__echo');
      expect(names).toContain('files__read_text_file');
      const [echoed, allowed] = await Promise.all([
        client.callTool({ name: 'everything__echo', arguments: { message: 'one' } }),
        client.callTool({ name: 'files__list_allowed_directories', arguments: {} }),
      ]);
      expect(textOf(echoed)).toBe('Echo: one');
      expect(textOf(allowed)).toContain(folder);
    }),
  TEST_MS_MAX,
);

describe('the strictly legacy fixture (sdk 1.32.2)', () => {
  const places = [
    { path: '/mcp/far', name: (own: string) => own },
    { path: '/mcp/near', name: (own: string) => own },
    { path: '/mcp', name: (own: string) => `far__${own}` },
    { path: '/mcp', name: (own: string) => `near__${own}` },
  ];
  for (const { path, name } of places) {
    test(
      `at ${path}: ${name('echo')}, ${name('test_sampling')}`,
      () =>
        withClient(overHttp(`${old.url}${path}`)(), async (client) => {
          const names = (await client.listTools()).tools.map((tool) => tool.name);
          expect(names).toContain(name('echo'));
          expect(names).not.toContain(name('measure_all'));
          const echoed = await client.callTool({
            name: name('echo'),
            arguments: { deep: { list: [1, null] } },
          });
          expect(echoed.structuredContent).toEqual({ deep: { list: [1, null] } });
          const sampling = { name: name('test_sampling'), arguments: { prompt: 'Which city?' } };
          expect(textOf(await client.callTool(sampling, undefined, CALL))).toBe('LLM response: Paris');
        }),
      TEST_MS_MAX,
    );
  }
});
