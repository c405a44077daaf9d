// The client of @modelcontextprotocol/sdk 1.x as a driver: over HTTP by itself, over stdio through mcp-remote.
// Called by scripts/compatibility.ts and its test. Promises: what mcp-remote remembers goes into a folder of its own, which goes with the driver.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
  LoggingMessageNotificationSchema,
  PromptListChangedNotificationSchema,
  ResourceUpdatedNotificationSchema,
  ToolListChangedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { packageCommand } from '../../test/fixtures/harness.ts';
import { CALL_MS_MAX, type ClientKind, type Driver, ROOT_URI } from './driver.ts';

type Connection = Parameters<Client['connect']>[0];

function answerAll(client: Client): void {
  client.setRequestHandler(CreateMessageRequestSchema, async () => ({
    role: 'assistant',
    model: 'm',
    content: { type: 'text', text: 'Paris' },
  }));
  client.setRequestHandler(ElicitRequestSchema, async () => ({
    action: 'accept',
    content: { username: 'ada', email: 'ada@example.org' },
  }));
  client.setRequestHandler(ListRootsRequestSchema, async () => ({ roots: [{ uri: ROOT_URI }] }));
}

function listenTo(client: Client, heard: string[]): void {
  client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => {
    heard.push(`log ${String(params.data)}`);
  });
  client.setNotificationHandler(ToolListChangedNotificationSchema, () => void heard.push('tools'));
  client.setNotificationHandler(PromptListChangedNotificationSchema, () => void heard.push('prompts'));
  client.setNotificationHandler(
    ResourceUpdatedNotificationSchema,
    ({ params }) => void heard.push(params.uri),
  );
}

async function drive(connection: Connection, cleanUp: () => void): Promise<Driver> {
  const capabilities = { sampling: {}, elicitation: {}, roots: {} };
  const client = new Client({ name: 'compatibility', version: '1' }, { capabilities });
  const heard: string[] = [];
  answerAll(client);
  listenTo(client, heard);
  await client.connect(connection);
  return {
    heard,
    call: async (name, args = {}, { onProgress, signal } = {}) => {
      const result = await client.callTool({ name, arguments: args }, undefined, {
        timeout: CALL_MS_MAX,
        ...(onProgress === undefined ? {} : { onprogress: ({ progress }) => onProgress(progress) }),
        ...(signal === undefined ? {} : { signal }),
      });
      // without a task in the request, a call has content
      const [block] = result.content as { text?: string }[];
      return { text: block?.text ?? '', structuredContent: result.structuredContent };
    },
    toolNames: async () => (await client.listTools()).tools.map((tool) => tool.name),
    promptPage: async (cursor) => {
      const { prompts, nextCursor } = await client.listPrompts(cursor === undefined ? {} : { cursor });
      return { names: prompts.map((prompt) => prompt.name), nextCursor };
    },
    wantLogs: async () => void (await client.setLoggingLevel('info')),
    watch: async (uris) => {
      for (const uri of uris) await client.subscribeResource({ uri });
    },
    close: async () => {
      if (connection instanceof StreamableHTTPClientTransport)
        await connection.terminateSession().catch(() => undefined);
      await client.close();
      cleanUp();
    },
  };
}

/** The SDK's client over Streamable HTTP. */
export const OLD_SDK: ClientKind = {
  title: 'SDK v1 (`@modelcontextprotocol/sdk` 1.32.2)',
  name: 'sdk-v1',
  limits: {},
  connect: (url) =>
    drive(
      // the SDK's own two declarations of a transport differ in how they spell "absent"
      new StreamableHTTPClientTransport(new URL(url)) as Connection,
      () => undefined,
    ),
};

/** The bridge by which hosts that know stdio alone reach HTTP servers. */
export const MCP_REMOTE: ClientKind = {
  title: '`mcp-remote` 0.15.1, driven over stdio by SDK v1',
  name: 'mcp-remote',
  limits: {},
  connect: (url) => {
    const memory = mkdtempSync(join(tmpdir(), 'sluice-mcp-remote-'));
    const { command, args } = packageCommand('mcp-remote/dist/proxy.js', url, '--transport', 'http-only');
    const env = { PATH: process.env.PATH ?? '', HOME: memory, MCP_REMOTE_CONFIG_DIR: memory };
    const transport = new StdioClientTransport({ command, args: [...args], env, stderr: 'ignore' });
    return drive(transport, () => rmSync(memory, { recursive: true, force: true }));
  },
};
