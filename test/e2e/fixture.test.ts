// The fixture's strictly legacy form, without a gateway: what it asks in the middle of calls, under which ids, and what its journal counts.
// Called by `bun test`. Promises: the tests of the bridge can rely on it: questions go out at once, names are used once at a time.
import { afterAll, afterEach, beforeEach, expect, test } from 'bun:test';
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
} from '@modelcontextprotocol/sdk/types.js';
import { fixtureCommand, type Served, startFixture, stopAll } from '../fixtures/harness.ts';
import { readJournal } from '../fixtures/journal.ts';
import { eventually } from '../fixtures/places.ts';

const TEST_MS_MAX = 20_000;
type Connection = Parameters<Client['connect']>[0];

let folder: string;
let journal: string;
let served: Served | null = null;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-fixture-'));
  journal = join(folder, 'journal');
});
afterEach(async () => {
  await served?.stop();
  served = null;
  rmSync(folder, { recursive: true, force: true });
});
afterAll(stopAll);

/** Both transports of the form; each starts a process of its own. */
const TRANSPORTS: Readonly<Record<string, () => Promise<Connection>>> = {
  http: async () => {
    served = await startFixture('legacy', { journal });
    // the SDK's own two declarations of a transport differ in how they spell "absent"
    return new StreamableHTTPClientTransport(new URL(served.url)) as Connection;
  },
  stdio: async () => {
    const { command, args } = fixtureCommand('legacy', { journal });
    return new StdioClientTransport({ command, args: [...args], stderr: 'ignore' });
  },
};

/** A client that answers everything but elicitations, which wait until they are let go. */
async function connect(
  connection: Connection,
): Promise<{ client: Client; ids: unknown[]; letGo: () => void }> {
  const capabilities = { sampling: {}, roots: {}, elicitation: {} };
  const client = new Client({ name: 'e2e', version: '1' }, { capabilities });
  const free = Promise.withResolvers<void>();
  client.setRequestHandler(CreateMessageRequestSchema, async () => ({
    role: 'assistant',
    model: 'm',
    content: { type: 'text', text: 'Paris' },
  }));
  client.setRequestHandler(ListRootsRequestSchema, async () => ({ roots: [{ uri: 'file:///home' }] }));
  client.setRequestHandler(ElicitRequestSchema, async () => {
    await free.promise;
    return { action: 'accept', content: { name: 'Ada', ok: true, color: 'blue' } };
  });
  await client.connect(connection);
  const ids: unknown[] = [];
  const hear = connection.onmessage;
  connection.onmessage = (message, extra) => {
    if ('method' in message && 'id' in message) ids.push(message.id);
    hear?.(message, extra);
  };
  return { client, ids, letGo: free.resolve };
}

function nameOf(id: unknown): string {
  return String(id).replace(/#\d+$/, '');
}

function textOf(result: Awaited<ReturnType<Client['callTool']>>): string {
  return (result.content as { text?: string }[])[0]?.text ?? '';
}

for (const [label, transport] of Object.entries(TRANSPORTS)) {
  test(
    `${label}: all questions of a round go out before any is answered, under their names`,
    async () => {
      const { client, ids, letGo } = await connect(await transport());
      const call = client.callTool({ name: 'test_input_required_result_multiple_inputs', arguments: {} });
      await eventually('all are asked', () => ids.length === 3);
      expect(new Set(ids.map(nameOf))).toEqual(new Set(['greeting', 'user_name', 'client_roots']));
      letGo();
      expect(textOf(await call)).toBe('Paris Ada, of 1 roots');
      await client.close();
    },
    TEST_MS_MAX,
  );

  test(
    `${label}: ids in flight differ, and each answer finds its call`,
    async () => {
      const { client, ids, letGo } = await connect(await transport());
      const name = 'test_input_required_result_elicitation';
      const calls = [1, 2, 3].map(() => client.callTool({ name, arguments: {} }));
      await eventually('all are asked', () => ids.length === 3);
      expect(new Set(ids).size).toBe(3);
      expect(ids.map(nameOf)).toEqual(Array(3).fill('user_name'));
      letGo();
      expect((await Promise.all(calls)).map(textOf)).toEqual(Array(3).fill('Hello, Ada!'));
      await client.close();
    },
    TEST_MS_MAX,
  );

  test(
    `${label}: the journal counts executions by key and tells which were cancelled`,
    async () => {
      const { client } = await connect(await transport());
      await client.callTool({ name: 'echo', arguments: { key: 'a' } });
      await client.callTool({ name: 'echo', arguments: { key: 'a' } });
      const abort = new AbortController();
      const call = client.callTool(
        { name: 'slow', arguments: { ms: 10_000, steps: 100, key: 'b' } },
        undefined,
        {
          signal: abort.signal,
          onprogress: () => abort.abort(),
        },
      );
      await expect(call).rejects.toThrow();
      await eventually('the cancellation is told', () => readJournal(journal).cancelled.has('slow b'));
      expect(Object.fromEntries(readJournal(journal).executions)).toEqual({ 'echo a': 2, 'slow b': 1 });
      await client.close();
    },
    TEST_MS_MAX,
  );
}
