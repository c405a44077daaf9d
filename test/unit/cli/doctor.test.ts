// What `sluice doctor` makes of a machine: every finding, well and not, with what to do about it.
// Runs src/cli/doctor/. Promises: looks at folders of its own and at free loopback ports alone.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadNamed, prepare } from '../../../src/cli/configure.ts';
import { folderFinding, registryFinding } from '../../../src/cli/doctor/data.ts';
import { broken, findingsText, fine, warning } from '../../../src/cli/doctor/finding.ts';
import {
  backlogFinding,
  kernelFinding,
  memoryFinding,
  needOf,
  openFilesFinding,
} from '../../../src/cli/doctor/machine.ts';
import { portFinding, sharingFinding } from '../../../src/cli/doctor/ports.ts';
import { runtimeFinding } from '../../../src/cli/doctor/program.ts';
import { commandFinding } from '../../../src/cli/doctor/programs.ts';
import { createPaint } from '../../../src/cli/paint.ts';
import { runProgram } from '../../../src/cli/program.ts';
import { createBunRuntime } from '../../../src/runtime/bun.ts';
import type { RequestHandler } from '../../../src/runtime/runtime.ts';
import { fakeWorld } from './fake-world.ts';

const MIB = 1024 * 1024;
let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-doctor-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function limits(soft: string, hard = soft): string {
  return `Limit  Soft Limit  Hard Limit  Units\nMax processes  1  1  processes\nMax open files            ${soft}                ${hard}                files     \n`;
}

describe('the machine', () => {
  test.each([
    ['linux', '6.1.0-9\n', 'ok'],
    ['linux', '5.6.0', 'ok'],
    ['linux', '5.4.0', 'warning'],
    ['linux', '4.18.0', 'broken'],
    ['linux', '10.0.1', 'ok'],
    ['linux', '', 'warning'],
    ['darwin', '', 'warning'],
  ] as const)('kernel %s %j: %s', (platform, release, state) => {
    expect(kernelFinding(platform, release, 'bun').state).toBe(state);
  });

  test('an old kernel is no matter to Node', () => {
    expect(kernelFinding('linux', '4.18.0', 'node').state).toBe('ok');
  });

  test.each([
    [limits('unlimited'), 'ok'],
    [limits('100000'), 'ok'],
    [limits('11000'), 'ok'],
    [limits('10999'), 'warning'],
    [limits('1256'), 'warning'],
    [limits('1255'), 'broken'],
    [limits('256'), 'broken'],
    ['', 'warning'],
  ] as const)('open files %j: %s', (text, state) => {
    expect(openFilesFinding(text, { own: 1_000, sessions: 10_000 }).state).toBe(state);
  });

  test('the remedy names the number that is missing, and the hard bound when that is in the way', () => {
    const { remedy } = openFilesFinding(limits('1024', '4096'), { own: 100, sessions: 10_000 });
    expect(remedy).toContain('ulimit -n 10100');
    expect(remedy).toContain('hard bound is 4096');
    expect(openFilesFinding(limits('1024', '65536'), { own: 100, sessions: 10_000 }).remedy).not.toContain(
      'hard',
    );
  });

  test('what a configuration may need: connections of servers, pipes of programs, sessions of all workers', async () => {
    const files = {
      '/work/s.yaml':
        'limits: { sessionsMax: 50 }\nservers:\n  a: { url: "http://x/mcp", connectionsMax: 100 }\n  b: { replicas: [{ url: "http://x/mcp" }, { url: "http://y/mcp" }], connectionsMax: 10 }\n  c: { command: x, warm: 2 }\n',
    };
    const { world, err } = fakeWorld({ files });
    const loaded = await loadNamed(world, '/work/s.yaml');
    const ready = loaded === null ? null : prepare(world, loaded, {});
    expect(err()).toBe('');
    const need = needOf({ ready, workers: 2 });
    expect(need).toEqual({ own: 64 + 2 * 16 + 100 + 2 * 10 + 4 * 2 * 3, sessions: 100 });
  });

  test.each([
    ['4096\n', 'ok'],
    ['512', 'ok'],
    ['128\n', 'warning'],
    ['', 'warning'],
  ] as const)('somaxconn %j: %s', (text, state) => {
    expect(backlogFinding(text).state).toBe(state);
  });

  test.each([
    [null, 'warning'],
    [10_000 * MIB, 'ok'],
    [192 * MIB, 'ok'],
    [191 * MIB, 'warning'],
    [63 * MIB, 'broken'],
  ] as const)('memory %p: %s', (bytes, state) => {
    expect(memoryFinding(bytes, 2).state).toBe(state);
  });

  test.each([
    ['1.4.5', '22.0.0', 'ok'],
    ['1.10.0', '22.0.0', 'ok'],
    ['1.3.9', '22.0.0', 'warning'],
    [undefined, '18.1.0', 'broken'],
    [undefined, '20.0.0', 'warning'],
    [undefined, '22.5.0', 'ok'],
  ] as const)('Bun %p, Node %s: %s', (bun, node, state) => {
    expect(runtimeFinding(bun, node).state).toBe(state);
  });
});

describe('ports', () => {
  const runtime = createBunRuntime();
  const look = (port: number) =>
    portFinding(runtime, { check: 'port', key: 'listen', scheme: 'http', host: '127.0.0.1', port });
  const withListener = async (body: string, use: (port: number) => Promise<void>): Promise<void> => {
    const handler: RequestHandler = () => ({
      status: 200,
      headers: {},
      body: new TextEncoder().encode(body),
    });
    const listener = runtime.listen(
      {
        ...{ transport: 'uwebsockets', host: '127.0.0.1', port: 0, reusePort: true, tls: null },
        ...{ http2: false, http3: false, bodyBytesMax: 1024, idleTimeoutMs: 1_000 },
      } as const,
      handler,
    );
    try {
      await use(listener.port);
    } finally {
      listener.stop();
    }
  };

  test('a stranger’s is broken, a gateway’s is well, any is well', async () => {
    await withListener('hello', async (port) => {
      expect(await look(port)).toMatchObject({
        state: 'broken',
        remedy: expect.stringContaining(`:${port}`),
      });
    });
    await withListener('{"status":"ok","checks":[]}', async (port) => {
      expect((await look(port)).state).toBe('ok');
    });
    expect((await look(0)).state).toBe('ok');
  });

  test('an address of another machine is told from a port that is taken', async () => {
    const finding = await portFinding(runtime, {
      check: 'port',
      key: 'listen',
      scheme: 'http',
      // TEST-NET-1 (RFC 5737): nobody has it.
      host: '192.0.2.1',
      port: 65_000,
    });
    expect(finding.state).toBe('broken');
  });

  test('sharing is tried with two listeners', () => {
    expect(sharingFinding(runtime, '127.0.0.1', 2).state).toBe('ok');
    let count = 0;
    const lone = {
      listen: (...given: Parameters<typeof runtime.listen>) => {
        if (++count % 2 === 0) throw new Error('in use');
        return runtime.listen(...given);
      },
    };
    expect(sharingFinding(lone, '127.0.0.1', 2).state).toBe('broken');
    expect(sharingFinding(lone, '127.0.0.1', 1).state).toBe('warning');
  });
});

describe('data', () => {
  test('a folder that is to be made, one that is open to others, one that is no folder', () => {
    expect(folderFinding(join(folder, 'a', 'b')).state).toBe('ok');
    const data = join(folder, 'data');
    mkdirSync(data, { mode: 0o700 });
    writeFileSync(join(data, 'admin.token'), 'x', { mode: 0o600 });
    expect(folderFinding(data).state).toBe('ok');
    chmodSync(join(data, 'admin.token'), 0o644);
    expect(folderFinding(data)).toMatchObject({
      state: 'warning',
      remedy: `chmod 600 ${data}/admin.token`,
    });
    chmodSync(data, 0o755);
    expect(folderFinding(data).remedy).toContain(`chmod 700 ${data}\n`);
    expect(folderFinding(join(data, 'admin.token')).state).toBe('broken');
  });

  test('a registry: none, damaged, only its copy', async () => {
    const data = join(folder, 'registry');
    mkdirSync(data, { mode: 0o700 });
    expect((await registryFinding('bun', data)).state).toBe('ok');
    writeFileSync(join(data, 'registry.last-good.json'), '{}');
    expect((await registryFinding('bun', data)).state).toBe('warning');
    const bytes = 'this is no database, and long enough to be looked at as one'.repeat(40);
    writeFileSync(join(data, 'registry.db'), bytes);
    expect(await registryFinding('bun', data)).toMatchObject({
      state: 'broken',
      remedy: expect.stringContaining('move it away'),
    });
    expect(await Bun.file(join(data, 'registry.db')).text()).toBe(bytes);
  });
});

test('programs are looked for in PATH, at their path, and in their cwd', async () => {
  const bin = join(folder, 'bin');
  mkdirSync(bin);
  writeFileSync(join(bin, 'tool'), '#!/bin/sh\n', { mode: 0o755 });
  writeFileSync(join(bin, 'text'), '', { mode: 0o644 });
  const look = async (settings: string) => {
    const files = { '/work/s.json': `{"servers":{"a":${settings}}}` };
    const { world, err } = fakeWorld({ files, env: { PATH: `/nowhere:${bin}` } });
    const loaded = await loadNamed(world, '/work/s.json');
    const ready = loaded === null ? null : prepare(world, loaded, {});
    if (ready === null) throw new Error(err());
    return commandFinding(ready.snapshot.servers, world);
  };
  expect(await look(`{"command":"tool","cwd":"${folder}"}`)).toMatchObject({
    state: 'ok',
    found: 'found: tool',
  });
  expect((await look(`{"command":"${bin}/tool","cwd":"${folder}"}`)).state).toBe('ok');
  expect((await look(`{"command":"./bin/tool","cwd":"${folder}"}`)).state).toBe('ok');
  expect((await look('{"url":"http://x/mcp"}')).state).toBe('ok');
  for (const wrong of ['none', 'text', `${bin}/text`, './tool', 'bin'])
    expect((await look(`{"command":"${wrong}","cwd":"${folder}"}`)).remedy).toContain('install it');
  expect((await look(`{"command":"tool","cwd":"${folder}/gone"}`)).remedy).toContain('is no folder');
  expect((await look(`{"command":"tool","cwd":"${folder}","env":{"PATH":"/nowhere"}}`)).state).toBe('broken');
});

test('the report: one line a finding, remedies below, a sum', () => {
  const text = findingsText(
    [fine('a', 'x'), warning('long', 'y', 'do\nthis'), broken('b', 'z\u001b[2J', 'that')],
    createPaint(false),
  );
  expect(text).toBe(
    'ok       a     x\nwarning  long  y\n               do\n               this\nbroken   b     z [2J\n               that\n\n1 broken, 1 to look at\n',
  );
  expect(findingsText([fine('a', 'x')], createPaint(false))).toEndWith('\nall well\n');
});

describe('the command', () => {
  const run = async (config: string, ...more: string[]) => {
    const { world, out } = fakeWorld({ files: { '/work/sluice.yaml': config } });
    const code = await runProgram(['doctor', ...more], world);
    return { code, out: out() };
  };

  test('a configuration with problems is broken: each is named, and the exit code is 1', async () => {
    const { code, out } = await run('servers: { a: {} }\nlisten: { port: 0, prt: 1 }\n');
    expect(code).toBe(1);
    expect(out).toContain('broken   configuration');
    expect(out).toContain('sluice.yaml:1: servers.a');
    expect(out).toContain('sluice.yaml:2: listen.prt');
  });

  test('warnings are no failure; --json has the same', async () => {
    const { code, out } = await run(
      'listen: { port: 0 }\nservers: { a: { url: "http://x/mcp" } }\n',
      '--json',
    );
    const report = JSON.parse(out) as { ok: boolean; checks: { check: string; state: string }[] };
    expect([code, report.ok]).toEqual([0, true]);
    expect(report.checks.map(({ check }) => check)).toEqual([
      'runtime',
      'addon',
      'kernel',
      'open files',
      'somaxconn',
      'memory',
      'configuration',
      'programs',
      'port',
      'port sharing',
      'admin port',
      'data',
    ]);
    // No HOME in this world: nothing can be kept.
    expect(report.checks.at(-1)?.state).toBe('warning');
  });
});
