// mcp-remote 0.15.1, the bridge by which stdio-only hosts reach HTTP servers, driven by the sdk's stdio client.
// Called by `bun test`. Promises: it runs on Bun with a folder of its own for what it would remember, which goes with the test.
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import {
  CreateMessageRequestSchema,
  ToolListChangedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { packageCommand, stopAll } from '../fixtures/harness.ts';
import { eventually, PLACES, type Place, type Running, startPlaces } from '../fixtures/places.ts';

const TEST_MS_MAX = 30_000;

let running: Running;
const memory = mkdtempSync(join(tmpdir(), 'sluice-mcp-remote-'));

beforeAll(async () => {
  running = await startPlaces();
}, TEST_MS_MAX);
afterAll(async () => {
  await stopAll();
  rmSync(memory, { recursive: true, force: true });
});

/** Starts mcp-remote towards the place, runs, ends it. */
async function withRemote(place: Place, use: (client: Client) => Promise<void>): Promise<void> {
  const { command, args } = packageCommand(
    'mcp-remote/dist/proxy.js',
    place.url(running),
    '--transport',
    'http-only',
  );
  const transport = new StdioClientTransport({
    command,
    args: [...args],
    env: { PATH: process.env.PATH ?? '', HOME: memory, MCP_REMOTE_CONFIG_DIR: memory },
    stderr: 'ignore',
  });
  const client = new Client({ name: 'e2e', version: '1' }, { capabilities: { sampling: {} } });
  client.setRequestHandler(CreateMessageRequestSchema, async () => ({
    role: 'assistant',
    model: 'm',
    content: { type: 'text', text: 'Paris' },
  }));
  try {
    await client.connect(transport);
    await use(client);
  } finally {
    await client.close();
  }
}

for (const place of PLACES) {
  test(
    `mcp-remote 0.15.1 at ${place.label}: lists, calls, is asked, hears`,
    () =>
      withRemote(place, async (client) => {
        const { tools } = await client.listTools();
        expect(tools.map((tool) => tool.name)).toContain(place.name('echo'));
        const args = { text: 'é \u2028 😀', list: [1, null] };
        const echoed = await client.callTool({ name: place.name('echo'), arguments: args });
        expect(echoed.structuredContent).toEqual(args);
        const sampled = await client.callTool(
          { name: place.name('test_sampling'), arguments: { prompt: 'Which city?' } },
          undefined,
          { timeout: 5_000 },
        );
        expect(JSON.stringify(sampled.content)).toContain('LLM response: Paris');
        const progress: number[] = [];
        await client.callTool({ name: place.name('test_tool_with_progress'), arguments: {} }, undefined, {
          onprogress: (step) => progress.push(step.progress),
        });
        // the sdk's client forgets progress that comes in one chunk with the result, as it does over stdio
        expect(progress.slice(0, 2)).toEqual([0, 50]);
        let heard = 0;
        client.setNotificationHandler(ToolListChangedNotificationSchema, () => {
          heard++;
        });
        await client.callTool({ name: place.name('test_trigger_tool_change'), arguments: {} });
        await eventually('the change is told', () => heard > 0);
      }),
    TEST_MS_MAX,
  );
}
