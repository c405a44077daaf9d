// The inspector's command line (2.12.0) in each of its protocol eras, against the fixture and through the gateway.
// Called by `bun test`. Promises: the inspector runs on Bun with a home of its own, keeps no secrets, and leaves nothing behind.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packageCommand, runToEnd, stopAll } from '../fixtures/harness.ts';
import { PLACES, type Place, type Running, startPlaces } from '../fixtures/places.ts';

const ERAS = ['auto', 'modern', 'legacy'] as const;
const TEST_MS_MAX = 30_000;
const LAUNCHER = '@modelcontextprotocol/inspector/clients/launcher/build/index.js';

let running: Running;
const home = mkdtempSync(join(tmpdir(), 'sluice-inspector-'));

beforeAll(async () => {
  running = await startPlaces();
}, TEST_MS_MAX);
afterAll(async () => {
  await stopAll();
  rmSync(home, { recursive: true, force: true });
});

/** Runs one method; returns its result, parsed. */
async function inspect(place: Place, era: string, ...flags: string[]): Promise<Record<string, unknown>> {
  const config = join(home, `${crypto.randomUUID()}.json`);
  const entry = { type: 'streamable-http', url: place.url(running), protocolEra: era };
  writeFileSync(config, JSON.stringify({ mcpServers: { it: entry } }));
  const { code, stdout, stderr } = await runToEnd({
    ...packageCommand(LAUNCHER, '--cli', '--config', config, '--server', 'it', '--format', 'json', ...flags),
    env: { HOME: home, MCP_INSPECTOR_SECRET_STORE: 'memory' },
  });
  if (code !== 0) throw new Error(`the inspector ended with ${code}: ${stdout}\n${stderr}`);
  const { result } = JSON.parse(stdout) as { result: Record<string, unknown> };
  return result;
}

for (const place of PLACES) {
  describe(`inspector 2.12.0 at ${place.label}`, () => {
    for (const era of ERAS) {
      test(
        `${era}: lists and calls`,
        async () => {
          const [listed, called] = await Promise.all([
            inspect(place, era, '--method', 'tools/list'),
            inspect(
              place,
              era,
              '--method',
              'tools/call',
              '--tool-name',
              place.name('echo'),
              '--tool-arg',
              'text=hello world',
            ),
          ]);
          const tools = listed.tools as { name: string }[];
          expect(tools.map((tool) => tool.name)).toContain(place.name('echo'));
          expect(called.structuredContent).toEqual({ text: 'hello world' });
        },
        TEST_MS_MAX,
      );
    }

    test(
      'reads a resource and gets a prompt',
      async () => {
        const [read, got] = await Promise.all([
          inspect(place, 'auto', '--method', 'resources/read', '--uri', place.uri('test://static-text')),
          inspect(
            place,
            'auto',
            '--method',
            'prompts/get',
            '--prompt-name',
            place.name('test_prompt_with_arguments'),
            '--prompt-args',
            'arg1=one',
            'arg2=two',
          ),
        ]);
        expect(JSON.stringify(read)).toContain('This is the content of the static text resource.');
        expect(JSON.stringify(got)).toContain("arg1='one', arg2='two'");
      },
      TEST_MS_MAX,
    );
  });
}
