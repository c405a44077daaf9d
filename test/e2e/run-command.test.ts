// `sluice run -- COMMAND`: any stdio server on HTTP without a configuration.
// Run by bun test against bin/sluice. Promises: every process has ended when its test has.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, type ClientOptions, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { isRunning } from '../fixtures/alive.ts';
import { fixtureCommand, ROOT } from '../fixtures/harness.ts';
import { eventually } from '../fixtures/places.ts';

const TEST_MS_MAX = 30_000;
const FIXTURE = fixtureCommand();

let folder = '';
beforeAll(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'sluice-run-')));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A running `sluice run`. */
class Runner {
  readonly child: Bun.Subprocess<'ignore', 'pipe', 'pipe'>;
  /** Resolves with the address, without a path. */
  readonly url: Promise<string>;
  stderr = '';
  #out = '';

  constructor(...args: readonly string[]) {
    this.child = Bun.spawn([join(ROOT, 'bin', 'sluice'), 'run', '--port', '0', ...args], {
      cwd: folder,
      env: { PATH: process.env.PATH ?? '', HOME: folder, MARK_OF_TEST: 'passed on' },
      stdin: 'ignore',
      stdout: 'pipe',
      stderr: 'pipe',
    });
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    this.url = promise;
    promise.catch(() => undefined);
    void this.#follow(this.child.stdout, (text) => {
      this.#out += text;
    });
    this.#follow(this.child.stderr, (text) => {
      this.stderr += text;
      const ready = this.stderr
        .split('\n')
        .find((line) => line.includes('"msg":"ready"') && line.endsWith('}'));
      if (ready !== undefined) resolve(JSON.parse(ready).url);
    }).then(() => reject(new Error(`it ended before it was ready: ${this.stderr}`)));
    running.add(this);
  }

  get stdout(): string {
    return this.#out;
  }
  /** Sends a signal and resolves with the exit code. */
  stop(signal: NodeJS.Signals): Promise<number> {
    this.child.kill(signal);
    return this.child.exited;
  }

  async #follow(stream: ReadableStream<Uint8Array>, add: (text: string) => void): Promise<void> {
    const decoder = new TextDecoder();
    for await (const bytes of stream) add(decoder.decode(bytes, { stream: true }));
  }
}

const running = new Set<Runner>();
afterEach(async () => {
  for (const one of running) await one.stop('SIGKILL');
  running.clear();
});

type Mode = NonNullable<NonNullable<ClientOptions['versionNegotiation']>['mode']>;

async function withClient<T>(url: string, mode: Mode, use: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ name: 'e2e', version: '1' }, { versionNegotiation: { mode } });
  await client.connect(new StreamableHTTPClientTransport(new URL(url)));
  try {
    return await use(client);
  } finally {
    await client.close();
  }
}

async function textOf(client: Client, name: string, args: Record<string, unknown> = {}): Promise<string> {
  const { content } = await client.callTool({ name, arguments: args });
  return (content as { text?: string }[])[0]?.text ?? '';
}

/** Pid of the child that serves modern clients. */
function pidAt(url: string): Promise<number> {
  return withClient(url, { pin: '2026-07-28' }, async (client) => {
    return JSON.parse(await textOf(client, 'stats')).pid;
  });
}

describe('sluice run', () => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    test(
      `serves the fixture on /mcp, unprefixed, for clients of both eras, until ${signal}; the child ends with it`,
      async () => {
        const runner = new Runner('--', FIXTURE.command, ...FIXTURE.args);
        const url = `${await runner.url}/mcp`;
        const pids: number[] = [];
        for (const mode of ['legacy', 'auto', { pin: '2026-07-28' }] as const) {
          await withClient(url, mode, async (client) => {
            expect(client.getProtocolEra()).toBe(mode === 'legacy' ? 'legacy' : 'modern');
            const { tools } = await client.listTools();
            expect(tools.map((tool) => tool.name)).toContain('echo');
            expect(await textOf(client, 'echo', { a: [1] })).toBe('{"a":[1]}');
            pids.push(JSON.parse(await textOf(client, 'stats')).pid);
          });
        }
        expect(await pidAt(`${await runner.url}/mcp/everything`)).toBe(pids.at(-1) ?? 0);
        expect(await runner.stop(signal)).toBe(0);
        await eventually('the children have ended', () => !pids.some(isRunning));
        expect(runner.stdout).toBe('');
      },
      TEST_MS_MAX,
    );
  }

  test(
    'gives the command its environment, working directory and arguments as they are; --name names it',
    async () => {
      const script = `
        const { cwd, env, argv } = process;
        const told = JSON.stringify({ cwd: cwd(), mark: env.MARK_OF_TEST, args: argv.slice(2) });
        let rest = '';
        process.stdin.on('data', (bytes) => {
          const lines = (rest + bytes).split('\\n');
          rest = lines.pop();
          for (const line of lines) {
            const { id } = JSON.parse(line);
            if (id === undefined) continue;
            const result = { content: [{ type: 'text', text: told }], resultType: 'complete' };
            process.stdout.write(JSON.stringify({ jsonrpc: '2.0', id, result }) + '\\n');
          }
        }).on('end', () => process.exit(0));`;
      const path = join(folder, 'tell.cjs');
      await Bun.write(path, script);
      const args = ['--port', '1', 'a b', '$HOME', '*', '--', ''];
      const runner = new Runner('--name', 'teller', '--', process.execPath, './tell.cjs', ...args);
      const reply = await fetch(`${await runner.url}/mcp/teller`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          accept: 'application/json, text/event-stream',
          'mcp-protocol-version': '2026-07-28',
          'mcp-method': 'tools/call',
          'mcp-name': 'tell',
        },
        body: JSON.stringify({
          jsonrpc: '2.0',
          id: 1,
          method: 'tools/call',
          params: {
            name: 'tell',
            _meta: {
              'io.modelcontextprotocol/protocolVersion': '2026-07-28',
              'io.modelcontextprotocol/clientCapabilities': {},
            },
          },
        }),
      });
      const { result } = (await reply.json()) as { result: { content: { text: string }[] } };
      expect(JSON.parse(result.content[0]?.text ?? '')).toEqual({ cwd: folder, mark: 'passed on', args });
      expect(await runner.stop('SIGTERM')).toBe(0);
    },
    TEST_MS_MAX,
  );

  test(
    'a child that is killed is replaced at the next call; kill -9 of the gateway ends the child',
    async () => {
      const runner = new Runner('--', FIXTURE.command, ...FIXTURE.args);
      const url = `${await runner.url}/mcp`;
      const first = await pidAt(url);
      process.kill(first, 'SIGKILL');
      let second = first;
      // a call that comes before the gateway has noticed fails with the old child
      await eventually('a new child serves', async () => {
        second = await pidAt(url).catch(() => first);
        return second !== first;
      });
      expect(isRunning(first)).toBe(false);
      expect(await runner.stop('SIGKILL')).toBe(137);
      await eventually('the child has ended', () => !isRunning(second));
    },
    TEST_MS_MAX,
  );

  test(
    'a command that does not exist is told to whoever calls, with what to do',
    async () => {
      const runner = new Runner('--', '/no/such/command');
      const reply = await fetch(`${await runner.url}/mcp`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
        body: '{"jsonrpc":"2.0","id":5,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{}}}',
      });
      const { id, error } = (await reply.json()) as { id: number; error: { message: string } };
      expect([reply.status, id]).toEqual([502, 5]);
      expect(error.message).toContain('"/no/such/command" was not found: install it or give its full path');
      expect(await runner.stop('SIGTERM')).toBe(0);
    },
    TEST_MS_MAX,
  );
});
