// The inspector's command line as a driver: a process a command, so it keeps nothing between two of them.
// Called by scripts/compatibility.ts. Promises: runs with a home of its own, keeps no secrets.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packageCommand, runToEnd } from '../../test/fixtures/harness.ts';
import type { ClientKind, Driver } from './driver.ts';

const LAUNCHER = '@modelcontextprotocol/inspector/clients/launcher/build/index.js';

type Named = { readonly name: string };

interface CallOutput {
  readonly content: readonly { readonly text?: string }[];
  readonly structuredContent?: unknown;
}

async function drive(url: string): Promise<Driver> {
  const home = mkdtempSync(join(tmpdir(), 'sluice-inspector-'));
  const config = join(home, 'mcp.json');
  writeFileSync(config, JSON.stringify({ mcpServers: { it: { type: 'streamable-http', url } } }));
  const run = async <Result>(...flags: string[]): Promise<Result> => {
    const always = ['--cli', '--config', config, '--server', 'it', '--format', 'json'];
    const { code, stdout, stderr } = await runToEnd({
      ...packageCommand(LAUNCHER, ...always, ...flags),
      env: { HOME: home, MCP_INSPECTOR_SECRET_STORE: 'memory' },
    });
    if (code !== 0) throw new Error(`the inspector ended with ${code}: ${stdout} ${stderr}`);
    // what it prints is one object with the result of the method that the flags name
    return (JSON.parse(stdout) as { result: Result }).result;
  };
  const cannot = async (): Promise<never> => {
    throw new Error('the command line has no such command');
  };
  return {
    heard: [],
    call: async (tool, args = {}) => {
      const pairs = Object.entries(args).flatMap(([key, value]) => ['--tool-arg', `${key}=${String(value)}`]);
      const { content, structuredContent } = await run<CallOutput>(
        '--method',
        'tools/call',
        '--tool-name',
        tool,
        ...pairs,
      );
      return { text: content[0]?.text ?? '', structuredContent };
    },
    toolNames: async () => {
      const { tools } = await run<{ tools: Named[] }>('--method', 'tools/list');
      return tools.map((tool) => tool.name);
    },
    promptPage: async () => {
      const { prompts } = await run<{ prompts: Named[] }>('--method', 'prompts/list');
      return { names: prompts.map((prompt) => prompt.name), nextCursor: undefined };
    },
    wantLogs: cannot,
    watch: cannot,
    close: async () => rmSync(home, { recursive: true, force: true }),
  };
}

const PRINTS = 'the command line prints the result of one command and nothing that comes before it';

/** The inspector, `--cli`. */
export const INSPECTOR: ClientKind = {
  title: 'Inspector (`@modelcontextprotocol/inspector` 2.12.0), command line',
  name: 'inspector',
  limits: {
    progress: PRINTS,
    logging: PRINTS,
    elicitation: 'the command line has no user to ask: it declines',
    sampling: 'the command line has no model to ask: it declines',
    subscriptions: 'the command line ends after one command',
    list_changed: 'the command line ends after one command',
    cancellation: 'the command line has no way to cancel',
  },
  connect: drive,
};
