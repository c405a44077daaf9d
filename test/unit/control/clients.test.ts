// Tests of clients' own files, as they stand.
// Promises: each form is one that a client writes; what is refused names its line and key.
import { describe, expect, test } from 'bun:test';
import { loadConfig } from '../../../src/control/load.ts';
import { memoryFiles } from './memory-files.ts';

const ENV = { HOME: '/home/me', API_KEY: 'abc' };

async function load(value: unknown, path = '/p/.mcp.json') {
  const text = typeof value === 'string' ? value : JSON.stringify(value, null, 1);
  return loadConfig(memoryFiles({ [path]: text }), { path, shown: '.mcp.json', env: ENV });
}

async function servers(value: unknown, path?: string) {
  const outcome = await load(value, path);
  if (!outcome.ok) throw new TypeError(JSON.stringify(outcome.problems));
  return { ...outcome, servers: outcome.config.servers };
}

describe('clients', () => {
  test('Claude Desktop: stdio servers, other settings of the program beside them', async () => {
    const outcome = await servers({
      globalShortcut: 'Ctrl+Space',
      mcpServers: { filesystem: { command: 'npx', args: ['-y', 'server', '/tmp'], env: { KEY: 'v' } } },
    });
    expect(outcome.servers.filesystem).toMatchObject({
      command: 'npx',
      args: ['-y', 'server', '/tmp'],
      env: { KEY: 'v' },
      cwd: '/p',
    });
    expect(outcome.notes).toMatchObject([{ key: 'globalShortcut', line: 2 }]);
  });

  test('Claude Code: http with headers from the environment', async () => {
    const outcome = await servers({
      mcpServers: {
        api: { type: 'http', url: 'https://x/mcp', headers: { Authorization: 'Bearer ${API_KEY}' } },
      },
    });
    expect(outcome.servers.api).toMatchObject({
      url: 'https://x/mcp',
      headers: { Authorization: 'Bearer abc' },
    });
    expect(outcome.notes).toEqual([]);
  });

  test('Cursor: its variables, and a project folder above .cursor', async () => {
    const outcome = await servers(
      {
        mcpServers: {
          a: { command: 'node', args: ['${workspaceFolder}/s.js', '${userHome}', '${env:API_KEY}'] },
        },
      },
      '/p/.cursor/mcp.json',
    );
    expect(outcome.servers.a).toMatchObject({ args: ['/p/s.js', '/home/me', 'abc'] });
  });

  test('Windsurf, Gemini and others: other names for the URL', async () => {
    const outcome = await servers({
      mcpServers: { a: { serverUrl: 'http://a/' }, b: { httpUrl: 'http://b/' } },
    });
    expect(outcome.servers).toMatchObject({ a: { url: 'http://a/' }, b: { url: 'http://b/' } });
  });

  test('Cline: keys that only it needs are left out with a note; disabled is kept', async () => {
    const outcome = await servers({
      mcpServers: {
        a: {
          command: 'x',
          disabled: true,
          alwaysAllow: ['t'],
          autoApprove: [],
          timeout: 60,
          description: 'd',
          icon: 'i',
        },
        b: { command: 'y', enabled: false },
      },
    });
    expect(outcome.servers.a?.disabled).toBe(true);
    expect(outcome.servers.b?.disabled).toBe(true);
    expect(outcome.notes.map((note) => note.key)).toEqual(
      ['alwaysAllow', 'autoApprove', 'timeout', 'description', 'icon'].map((key) => `mcpServers.a.${key}`),
    );
  });

  test('Copilot: its list of tools is left out with a note, our mapping of tools is kept', async () => {
    const outcome = await servers({
      mcpServers: {
        a: { command: 'x', tools: ['*'] },
        b: { command: 'y', tools: { 'get_*': { idempotent: true } } },
      },
    });
    expect(outcome.notes.map((note) => note.key)).toEqual(['mcpServers.a.tools']);
    expect(outcome.servers.b?.tools).toEqual({ 'get_*': { idempotent: true } });
  });

  test('VS Code: servers with types, comments, inputs beside them', async () => {
    const outcome = await servers(
      '{ // mine\n "inputs": [],\n "servers": { "a": { "type": "stdio", "command": "x" },\n "b": { "type": "streamable-http", "url": "http://b/" }, } }',
      '/p/.vscode/mcp.json',
    );
    expect(outcome.servers).toMatchObject({ a: { command: 'x' }, b: { url: 'http://b/' } });
  });

  test('types of servers behind a URL', async () => {
    const types = ['sse', 'SSE', 'http', 'streamableHttp', 'streamable-http', 'auto'];
    const mcpServers = Object.fromEntries(types.map((type, i) => [`s${i}`, { type, url: 'http://x/' }]));
    const outcome = await servers({ mcpServers: { ...mcpServers, s9: { url: 'http://x/' } } });
    const found = Object.values(outcome.servers).map(
      (server) => (server as { transport?: string }).transport,
    );
    const streamable = 'streamable-http';
    expect(found).toEqual(['sse', 'sse', streamable, streamable, streamable, 'auto', 'auto']);
  });

  test('our own options may stand beside mcpServers', async () => {
    const { config } = await servers({ listen: { port: 1 }, mcpServers: { a: { command: 'x' } } });
    expect(config.listen.port).toBe(1);
  });

  test('mcpServers in YAML and TOML too', async () => {
    expect((await servers('mcpServers:\n  a: { command: x }\n', '/p/s.yaml')).servers.a).toBeDefined();
    expect((await servers('[mcpServers.a]\ncommand = "x"\n', '/p/s.toml')).servers.a).toBeDefined();
  });

  const refused: readonly [string, unknown, string, string][] = [
    ['sse without a url', { type: 'sse', command: 'x' }, 'mcpServers.a.type', 'without a url'],
    ['an unknown transport', { type: 'ws', url: 'ws://x' }, 'mcpServers.a.type', 'allowed: stdio, http'],
    ['a type that does not fit', { type: 'http', command: 'x' }, 'mcpServers.a.type', 'without a url'],
    [
      'another type that does not fit',
      { type: 'stdio', url: 'http://x' },
      'mcpServers.a.type',
      'without a command',
    ],
    [
      'a URL that is none, under its own name',
      { serverUrl: 'nope' },
      'mcpServers.a.serverUrl',
      'a whole http://',
    ],
    ['an input', { command: 'x', env: { K: '${input:key}' } }, 'mcpServers.a.env.K', 'only the client'],
    ['an env file', { command: 'x', envFile: '.env' }, 'mcpServers.a.envFile', 'not read'],
    ['a wrong value', { command: 'x', args: 'no list' }, 'mcpServers.a.args', 'allowed: a list'],
  ];
  test.each(refused)('%s is refused', async (_, server, key, said) => {
    const outcome = await load({ mcpServers: { a: server } });
    expect(outcome.ok).toBe(false);
    if (outcome.ok) return;
    const problem = outcome.problems.find((one) => one.key === key);
    expect(problem?.detail).toContain(said);
    expect(problem?.line).toBeGreaterThan(2);
  });

  test('a name that cannot part server and tool is refused', async () => {
    const outcome = await load({ mcpServers: { 'my server': { command: 'x' } } });
    expect(outcome).toMatchObject({ ok: false, problems: [{ key: 'mcpServers["my server"]' }] });
  });

  test('servers and mcpServers together are refused', async () => {
    const outcome = await load({ mcpServers: { a: { command: 'x' } }, servers: {} });
    expect(outcome).toMatchObject({ ok: false, problems: [{ code: 'GW_CONFIG_KEY', key: 'servers' }] });
  });
});
