// The operators' commands against a real gateway: servers, top, tail, doctor.
// Called by `bun test`. Promises: one gateway for all; commands run in this process except where the process itself matters (a token from its file, a terminal, a pipe
// that is closed, signals): those run bin/sluice; every wait is bounded.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test';
import { statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { runProgram } from '../../src/cli/program.ts';
import { adminUrlOf } from '../fixtures/admin.ts';
import { fixtureCommand, ROOT, type ServedGateway, startGateway, stopAll } from '../fixtures/harness.ts';
import { fakeWorld } from '../unit/cli/fake-world.ts';

setDefaultTimeout(90_000);
const WAIT_MS = 30_000;
const SLUICE = join(ROOT, 'bin', 'sluice');
// biome-ignore lint/suspicious/noControlCharactersInRegex: what a terminal is steered by
const CONTROL = /\u001b\[\??[\d;]*[a-zA-Z]/g;
const TOOL_CALL = {
  jsonrpc: '2.0',
  id: 7,
  method: 'tools/call',
  params: {
    name: 'test_simple_text',
    arguments: {},
    _meta: {
      'io.modelcontextprotocol/protocolVersion': '2026-07-28',
      'io.modelcontextprotocol/clientCapabilities': {},
    },
  },
};

let gateway: ServedGateway;
let adminUrl = '';
/** Where the gateway keeps its data. */
let state = '';

beforeAll(async () => {
  gateway = await startGateway({ near: fixtureCommand() });
  adminUrl = adminUrlOf(gateway);
  state = dirname(gateway.config);
});
afterAll(stopAll);

/** One command in this process, with the token that the gateway made. */
async function run(...args: string[]) {
  const token = await Bun.file(join(state, 'sluice', 'admin.token')).text();
  const fake = fakeWorld({ env: { SLUICE_ADMIN_TOKEN: token.trim() } });
  const [command = '', ...rest] = args;
  const code = await runProgram([command, '--admin', adminUrl, ...rest], fake.world);
  return { code, out: fake.out(), err: fake.err() };
}

/** A tool call through the data listener. */
async function call(): Promise<void> {
  const reply = await fetch(`${gateway.url}/mcp/near`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': 'tools/call',
      'mcp-name': 'test_simple_text',
    },
    body: JSON.stringify(TOOL_CALL),
  });
  expect(reply.status).toBe(200);
  await reply.text();
}

/** Looks until the claim holds, WAIT_MS at most. */
async function within(claim: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + WAIT_MS;
  while (performance.now() < end) {
    if (await holds()) return;
    await Bun.sleep(50);
  }
  throw new Error(`never came true: ${claim}`);
}

interface Row {
  readonly name: string;
  readonly isEnabled: boolean;
  readonly settings: Readonly<Record<string, unknown>>;
}

async function rows(): Promise<Row[]> {
  const { code, out } = await run('servers', '--json');
  expect(code).toBe(0);
  return JSON.parse(out) as Row[];
}

describe('servers', () => {
  test('one is planned, added, edited, left out, served again and removed', async () => {
    const add = [
      'servers',
      'add',
      'docs',
      '--url',
      'http://127.0.0.1:9/mcp',
      '--header',
      'X-Key=very secret',
    ];
    const planned = await run(...add, '--plan');
    expect(planned).toMatchObject({ code: 0, err: '' });
    expect(planned.out).toContain('Nothing is changed. It would be so:\n  starts: docs\n');
    expect((await rows()).map(({ name }) => name)).toEqual(['near']);

    expect((await run(...add)).out).toStartWith("'docs' is added and served at /mcp/docs\n  starts: docs\n");
    const again = await run(...add);
    expect(again.code).toBe(1);
    expect(again.err).toContain('`sluice servers edit docs` changes it [GW_REGISTRY_EXISTS]');

    const edited = await run(
      'servers',
      'edit',
      'docs',
      '--set',
      'breaker.failures=5',
      '--set',
      'queueDepthMax=7',
    );
    expect(edited.out).toContain('changes: docs (breaker.failures, queueDepthMax)');
    await run('servers', 'edit', 'docs', '--unset', 'queueDepthMax');
    const docs = (await rows()).find(({ name }) => name === 'docs');
    expect(docs?.settings).toMatchObject({ breaker: { failures: 5 }, headers: { 'X-Key': '•••' } });
    expect(docs?.settings.queueDepthMax).toBeUndefined();

    expect((await run('servers', 'disable', 'docs')).out).toContain("'docs' is disabled\n  stops: docs");
    expect((await rows()).find(({ name }) => name === 'docs')?.isEnabled).toBe(false);
    expect((await run('servers', 'enable', 'docs', '--json')).out).toContain('"starts"');

    // The change is durable when the answer comes; that it is in force follows.
    let table = await run('servers', '--search', 'docs');
    while (table.out.includes('disabled')) table = await run('servers', '--search', 'docs');
    expect(table.out).toMatch(
      /^NAME .*\ndocs +waiting +- +\w+ +registry +0 +0 +closed +http:\/\/127\.0\.0\.1:9\/mcp\n$/,
    );
    expect(table.out).not.toContain('very secret');

    expect((await run('servers', 'rm', 'docs', '--plan')).out).toContain('stops: docs');
    expect((await run('servers', 'rm', 'docs', '--yes')).out).toStartWith("'docs' is removed\n");
    expect((await rows()).map(({ name }) => name)).toEqual(['near']);
  });

  test('a program is added with its arguments, as they are written', async () => {
    const { command, args } = fixtureCommand();
    const added = await run('servers', 'add', 'more', '--', command, ...args);
    expect(added).toMatchObject({ code: 0, err: '' });
    const more = (await rows()).find(({ name }) => name === 'more');
    expect(more?.settings).toMatchObject({ command, args: [...args] });
    expect((await run('servers', 'rm', 'more', '--yes')).code).toBe(0);
  });

  test('a person is asked before one is removed', async () => {
    expect((await run('servers', 'add', 'asked', '--url', 'http://127.0.0.1:9/mcp')).code).toBe(0);
    const token = (await Bun.file(join(state, 'sluice', 'admin.token')).text()).trim();
    for (const [answer, code] of [
      ['n\n', 1],
      ['\n', 1],
      ['yes\n', 0],
    ] as const) {
      const fake = fakeWorld({ stdin: answer });
      const world = { ...fake.world, isStdinTerminal: () => true };
      const line = ['servers', 'rm', 'asked', '--admin', adminUrl, '--token', token];
      expect(await runProgram(line, world)).toBe(code);
      expect(fake.err()).toContain("Remove 'asked'? [y/N] ");
      expect((await rows()).some(({ name }) => name === 'asked')).toBe(code === 1);
    }
  });

  test('what cannot be done says why, and what can', async () => {
    const file = await run('servers', 'edit', 'near', '--set', 'era=modern');
    expect(file.code).toBe(1);
    expect(file.err).toContain('edit the file');
    expect(file.err).toContain(gateway.config);
    const near = await run('servers', 'restart', 'naer');
    expect(near.code).toBe(1);
    expect(near.err).toContain("did you mean 'near'?");
    const refused = await run(
      'servers',
      'add',
      'x',
      '--url',
      'http://127.0.0.1:9/mcp',
      '--set',
      'queueDepth=1',
    );
    expect(refused.err).toContain("queueDepth: did you mean 'queueDepthMax'?");
    expect((await run('servers', 'restart', 'near')).out).toStartWith("'near' begins anew");
  });
});

describe('which gateway', () => {
  test('none there, none of ours there, and a wrong token are told apart', async () => {
    const probe = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data: () => undefined } });
    const { port } = probe;
    probe.stop(true);
    const attempt = async (admin: string, token: string) => {
      const fake = fakeWorld();
      const code = await runProgram(['servers', '--admin', admin, '--token', token], fake.world);
      return { code, err: fake.err() };
    };
    const none = await attempt(`http://127.0.0.1:${port}`, 'some-token-0000000');
    expect(none.code).toBe(1);
    expect(none.err).toBe(
      `sluice: cannot reach a gateway at http://127.0.0.1:${port}: nothing listens there; start one with \`sluice serve\`, or say where its admin listener is with --admin\n`,
    );
    const stranger = await attempt(gateway.url, 'some-token-0000000');
    expect(stranger.err).toContain('is not the admin listener of a Sluice gateway');
    const wrong = await attempt(adminUrl, 'some-token-0000000');
    expect(wrong.err).toContain('does not accept the token given with --token');
    expect(wrong.err).toEndWith('[GW_ADMIN_TOKEN]\n');
  });

  test('bin/sluice finds the token where the gateway keeps it, whatever proxy is set', async () => {
    const child = Bun.spawn([SLUICE, 'servers', '--json', '--admin', adminUrl], {
      cwd: state,
      env: { ...process.env, XDG_STATE_HOME: state, HTTP_PROXY: 'http://127.0.0.1:1', NO_PROXY: '' },
      stdout: 'pipe',
      stderr: 'pipe',
      timeout: WAIT_MS,
    });
    const [out, err] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
    ]);
    // The configuration that lies there takes any port: it is asked for nothing but the data.
    expect([await child.exited, err]).toEqual([0, '']);
    expect((JSON.parse(out) as Row[]).map(({ name }) => name)).toEqual(['near']);
  });
});

describe('traffic', () => {
  test('the last exchanges, through filters', async () => {
    await call();
    const wanted = ['tail', '--no-follow', '--json', '--server', 'near', '--method', 'tools/call'];
    await within('the call is in the journal', async () => (await run(...wanted)).out !== '');
    const { code, out } = await run(...wanted, '--lines', '1');
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ name: 'test_simple_text', endpoint: '/mcp/near', outcome: 'ok' });
    const line = await run('tail', '--no-follow', '--lines', '1', '--endpoint', '/mcp/near');
    expect(line.out).toMatch(/^[\d:.]+Z {2}ok +200 {2}tools\/call test_simple_text +\/mcp\/near > near {2}/);
    for (const none of [
      ['--slow', '999999'],
      ['--server', 'other'],
      ['--outcome', 'refused'],
      ['--lines', '0'],
    ])
      expect(await run('tail', '--no-follow', ...none)).toEqual({ code: 0, out: '', err: '' });
  });

  test('follows: each exchange once, and ends when nobody reads any more', async () => {
    const child = Bun.spawn([SLUICE, 'tail', '--lines', '0', '--json', '--admin', adminUrl], {
      cwd: state,
      env: { ...process.env, XDG_STATE_HOME: state },
      stdout: 'pipe',
      stderr: 'inherit',
    });
    try {
      const reader = child.stdout.getReader();
      const decoder = new TextDecoder();
      let text = '';
      const reading = (async () => {
        while (text.split('\n').length <= 3) {
          const { done, value } = await reader.read();
          if (done) break;
          text += decoder.decode(value, { stream: true });
        }
      })();
      // It may be that it has not begun to look: what comes before that is not shown.
      await within('three exchanges are shown', async () => {
        await call();
        return text.split('\n').length > 3;
      });
      await reading;
      const keys = text
        .split('\n')
        .slice(0, 3)
        .map((line) => (JSON.parse(line) as { key: string }).key);
      expect(new Set(keys).size).toBe(3);
      await reader.cancel();
      await within('it has ended', async () => {
        await call();
        return child.exitCode !== null;
      });
      expect(child.exitCode).toBe(0);
    } finally {
      child.kill('SIGKILL');
      await child.exited;
    }
  });
});

describe('top', () => {
  test('without a terminal: one table', async () => {
    const { code, out } = await run('top', '--once');
    expect(code).toBe(0);
    expect(out).toStartWith('sluice ');
    expect(out).toMatch(/\ncalls\/s [\d.]+ {3}errors\/s /);
    expect(out).toMatch(/\nnear +serving +modern +stdio +\d+\/\d+ +closed /);
  });

  test('on a terminal: drawn again and again, at its width, and given back by q', async () => {
    let seen = '';
    const decoder = new TextDecoder();
    const child = Bun.spawn([SLUICE, 'top', '--admin', adminUrl], {
      cwd: state,
      env: { ...process.env, XDG_STATE_HOME: state, TERM: 'xterm-256color' },
      terminal: {
        cols: 90,
        rows: 20,
        data: (_terminal, bytes) => {
          seen += decoder.decode(bytes, { stream: true });
        },
      },
    });
    try {
      await within('it shows the server', () => /near.*serving/.test(seen));
      expect(seen).toStartWith('\u001b[?1049h');
      const frames = seen.split('\u001b[H').length;
      await within('it is drawn again', () => seen.split('\u001b[H').length > frames);
      seen = '';
      child.terminal?.resize(40, 10);
      await within('it is drawn at the new size', () => seen.includes('\u001b[J'));
      const [, frame = ''] = seen.split('\u001b[H');
      const lines = (frame.split('\u001b[J')[0] ?? '').replace(CONTROL, '').split(/\r+\n/);
      expect(lines.length).toBeLessThanOrEqual(10);
      expect(lines.filter((line) => line.length > 40)).toEqual([]);
      child.terminal?.write('q');
      await within('it has ended', () => child.exitCode !== null);
      expect(child.exitCode).toBe(0);
      await within('the terminal is as before', () => seen.endsWith('\u001b[?1049l'));
    } finally {
      child.kill('SIGKILL');
      await child.exited;
    }
  });
});

test('doctor finds the gateway at its ports, and its data private', async () => {
  // The ports that the gateway took are written down here, as they would be in a real configuration.
  const config = join(state, 'doctor.json');
  const port = (url: string): number => Number(new URL(url).port);
  await Bun.write(
    config,
    JSON.stringify({
      listen: { port: port(gateway.url) },
      admin: { port: port(adminUrl) },
      servers: { near: fixtureCommand() },
    }),
  );
  const child = Bun.spawn([SLUICE, 'doctor', '--json', '--config', config], {
    cwd: state,
    env: { ...process.env, XDG_STATE_HOME: state },
    stdout: 'pipe',
    stderr: 'pipe',
    timeout: WAIT_MS,
  });
  const report = JSON.parse(await new Response(child.stdout).text()) as {
    ok: boolean;
    checks: { check: string; state: string; found: string }[];
  };
  const found = Object.fromEntries(report.checks.map((check) => [check.check, check]));
  for (const name of ['port', 'admin port'])
    expect(found[name]?.found).toEndWith('is taken by a Sluice gateway, which answers');
  for (const name of ['configuration', 'programs', 'port', 'admin port', 'port sharing', 'data', 'registry'])
    expect([name, found[name]?.state]).toEqual([name, 'ok']);
  expect(await child.exited).toBe(report.ok ? 0 : 1);
  expect(statSync(join(state, 'sluice', 'admin.token')).mode & 0o077).toBe(0);
});
