// The command line as people start it: bin/sluice from anywhere, a gateway on the example servers, list and call through it.
// Promises: every process started here is ended here; ports are free ones.
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const ROOT = join(import.meta.dir, '../..');
const BIN = join(ROOT, 'bin/sluice');
/** What a test may take: several processes start, on a machine that may be busy. */
const PATIENCE_MS = 60_000;

let scratch = '';
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'sluice-cli-'));
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function run(
  command: readonly string[],
  options: { cwd?: string; env?: Record<string, string>; stdin?: string } = {},
): Promise<Outcome> {
  const child = Bun.spawn([...command], {
    cwd: options.cwd ?? scratch,
    env: { PATH: process.env.PATH ?? '', HOME: scratch, ...options.env },
    stdin: options.stdin === undefined ? 'ignore' : new Blob([options.stdin]),
    stdout: 'pipe',
    stderr: 'pipe',
  });
  const [out, err, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { code, out, err };
}

interface Serving {
  readonly url: string;
  readonly log: () => string;
  readonly out: () => string;
  stop(signal: NodeJS.Signals): Promise<number>;
}

/** Starts a command that serves, and waits for its ready line. */
async function serving(command: readonly string[], env: Record<string, string> = {}): Promise<Serving> {
  const child = Bun.spawn([...command], {
    cwd: scratch,
    env: { PATH: process.env.PATH ?? '', HOME: scratch, ...env },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  });
  let log = '';
  let out = '';
  const follow = async (stream: ReadableStream<Uint8Array>, add: (text: string) => void): Promise<void> => {
    const decoder = new TextDecoder();
    for await (const chunk of stream) add(decoder.decode(chunk, { stream: true }));
  };
  void follow(child.stdout, (text) => {
    out += text;
  });
  const ready = new Promise<string>((resolve, reject) => {
    void follow(child.stderr, (text) => {
      log += text;
      const line = log.split('\n').find((one) => one.includes('"msg":"ready"') && one.endsWith('}'));
      if (line !== undefined) resolve(line);
    }).then(() => reject(new TypeError(`it ended before it was ready: ${log}`)));
  });
  const { url, readyMs } = JSON.parse(await ready);
  expect(readyMs).toBeGreaterThan(0);
  return {
    url,
    log: () => log,
    out: () => out,
    stop: (signal) => {
      child.kill(signal);
      return child.exited;
    },
  };
}

describe('bin/sluice', () => {
  test('starts from anywhere: absolute, through links of links, from its own folder', async () => {
    const version = await run([BIN, '--version']);
    expect(version).toMatchObject({ code: 0, out: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) });
    mkdirSync(join(scratch, 'links/deep'), { recursive: true });
    symlinkSync(BIN, join(scratch, 'links/one'));
    symlinkSync('../one', join(scratch, 'links/deep/two'));
    symlinkSync('links/deep', join(scratch, 'folder'));
    for (const path of ['links/one', 'links/deep/two', 'folder/two']) {
      expect(await run([join(scratch, path), '--version'])).toEqual(version);
    }
    expect(await run(['./sluice', '--version'], { cwd: join(ROOT, 'bin') })).toEqual(version);
    expect(await run(['sh', 'sluice', '--version'], { cwd: join(ROOT, 'bin') })).toEqual(version);
    expect(
      await run(['sluice', '--version'], { env: { PATH: `${join(ROOT, 'bin')}:${process.env.PATH ?? ''}` } }),
    ).toEqual(version);
  });

  /** A package without dependencies, whose `main.ts` and `bun` only tell who they are. */
  function fakePackage(name: string): {
    bin: string;
    at: (path: string) => string;
    bun: (path: string, says: string) => void;
  } {
    const root = join(scratch, name);
    const at = (path: string): string => join(root, path);
    mkdirSync(at('node_modules/sluice/bin'), { recursive: true });
    mkdirSync(at('node_modules/sluice/src'), { recursive: true });
    cpSync(BIN, at('node_modules/sluice/bin/sluice'));
    const bun = (path: string, says: string): void => {
      mkdirSync(join(root, path, '..'), { recursive: true });
      writeFileSync(at(path), `#!/bin/sh\necho "${says}"\n`);
      chmodSync(at(path), 0o755);
    };
    return { bin: at('node_modules/sluice/bin/sluice'), at, bun };
  }
  const BARE = { PATH: '/usr/bin:/bin' };

  test('finds Bun: SLUICE_BUN, its own, one that was only unpacked, a hoisted one, PATH, none', async () => {
    const { bin, at, bun } = fakePackage('found');
    const said = async (env: Record<string, string> = BARE): Promise<string> =>
      (await run([bin], { env })).out.trim();

    const none = await run([bin], { env: BARE });
    expect(none.code).toBe(127);
    expect(none.err).toMatch(/^sluice: cannot find Bun.*SLUICE_BUN.*\n$/);

    bun('path/bun', 'PATH');
    expect(await said({ PATH: `${at('path')}:/usr/bin:/bin` })).toBe('PATH');

    // A placeholder: npm did not let the install script run, and nothing was unpacked.
    bun('node_modules/bun/bin/bun.exe', 'placeholder');
    expect(await said({ PATH: `${at('path')}:/usr/bin:/bin` })).toBe('PATH');

    bun('node_modules/@oven/bun-linux-x64-android/bin/bun', 'android');
    bun('node_modules/@oven/bun-linux-x64/bin/bun', 'hoisted and unpacked');
    expect(await said()).toBe('hoisted and unpacked');

    // The install script has moved the binary.
    rmSync(at('node_modules/@oven/bun-linux-x64/bin/bun'));
    bun('node_modules/bun/bin/bun.exe', 'hoisted');
    expect(await said()).toBe('hoisted');

    bun('node_modules/sluice/node_modules/@oven/bun-linux-x64/bin/bun', 'own');
    expect(await said()).toBe('own');
    expect(await said({ ...BARE, SLUICE_BUN: at('path/bun') })).toBe('PATH');
  });

  test('passes arguments and the exit code on as they are', async () => {
    const outcome = await run([BIN, 'call', 'a b', "c'd", '{"x": "$HOME \\" *"', '--json']);
    expect(outcome.code).toBe(2);
    expect(outcome.err).toContain('not JSON');
    expect((await run([BIN, 'nope'])).code).toBe(2);
  });
});

describe('without a gateway', () => {
  test(
    'list and call say how to start one, exit code 1',
    async () => {
      for (const args of [['list'], ['call', 'a', 'b']]) {
        const { code, err, out } = await run([BIN, ...args, '--url', 'http://127.0.0.1:1']);
        expect(code).toBe(1);
        expect(out).toBe('');
        expect(err).toContain('npm start');
      }
    },
    PATIENCE_MS,
  );

  test('check prints no colours into a pipe and validates the example', async () => {
    const { code, out } = await run([BIN, 'check', '--config', join(ROOT, 'examples/sluice.yaml')]);
    expect(code).toBe(0);
    expect(out).toContain('/mcp/clock');
    expect(out).not.toContain('\u001b');
  });
});

describe('with the example servers', () => {
  let gateway: Serving;
  beforeAll(async () => {
    gateway = await serving([process.execPath, join(ROOT, 'examples/start.ts'), '--port', '0']);
  }, PATIENCE_MS);
  afterAll(async () => {
    expect(await gateway.stop('SIGTERM')).toBe(0);
  }, PATIENCE_MS);

  const sluice = (...args: string[]): Promise<Outcome> => run([BIN, ...args, '--url', gateway.url]);

  test(
    'list shows the tools of both, for people and as JSON',
    async () => {
      const { code, out } = await sluice('list');
      expect(code).toBe(0);
      for (const [server, tool] of [
        ['clock', 'now'],
        ['clock', 'roll'],
        ['notes', 'add'],
        ['notes', 'count'],
      ]) {
        expect(out).toMatch(new RegExp(`^${server} +${tool} +\\S`, 'm'));
      }
      const json = JSON.parse((await sluice('list', '--json')).out);
      expect(json.map((tool: { name: string }) => tool.name)).toContain('clock__now');
      const one = JSON.parse((await sluice('list', '--server', 'notes', '--json')).out);
      expect(one.map((tool: { name: string }) => tool.name).sort()).toEqual(['add', 'count', 'list']);
    },
    PATIENCE_MS,
  );

  test(
    'call: text, JSON, arguments from a file and from stdin',
    async () => {
      expect((await sluice('call', 'clock', 'now', '{"zone":"Europe/Paris"}')).out).toContain('CE');
      const rolled = JSON.parse((await sluice('call', 'clock', 'roll', '{"count":3}', '--json')).out);
      expect(rolled.structuredContent.rolls).toHaveLength(3);
      writeFileSync(join(scratch, 'note.json'), '{"text":"from a file"}');
      expect((await sluice('call', 'notes', 'add', '@note.json')).code).toBe(0);
      expect((await sluice('call', 'notes', 'list')).out).toContain('from a file');
      const counted = await run([BIN, 'call', 'notes', 'count', '-', '--url', gateway.url], {
        stdin: '{"text":"one two"}',
      });
      expect(JSON.parse(counted.out)).toEqual({ characters: 7, words: 2, lines: 1 });
    },
    PATIENCE_MS,
  );

  test(
    'call: mistakes are told in plain words, exit code 1',
    async () => {
      const tool = await sluice('call', 'notes', 'cuont');
      expect(tool).toMatchObject({ code: 1, out: '' });
      expect(tool.err).toContain("did you mean 'count'?");
      const server = await sluice('call', 'nots', 'count');
      expect(server).toMatchObject({ code: 1, out: '' });
      expect(server.err).toContain("cannot find a server named 'nots'");
      const wrong = await sluice('call', 'notes', 'count', '{"text":5}');
      expect(wrong.code).toBe(1);
      expect(wrong.out).toContain('text');
    },
    PATIENCE_MS,
  );

  test(
    'every line of the welcome works as printed',
    async () => {
      const until = Date.now() + PATIENCE_MS / 2;
      while (!gateway.out().includes('Ctrl-C') && Date.now() < until) await Bun.sleep(20);
      const lines = gateway
        .out()
        .split('\n')
        .filter((line) => line.startsWith('  '))
        .map((line) => line.trim());
      expect(lines.map((line) => line.split(' ').slice(0, 3).join(' '))).toEqual([
        'npx sluice list',
        'npx sluice call',
        expect.stringContaining('curl -s'),
      ]);
      for (const line of lines) {
        const { code, out } = await run(['sh', '-c', line.replace('npx sluice', BIN)]);
        expect(code).toBe(0);
        expect(out).not.toBe('');
        expect(out).not.toContain('"error"');
      }
    },
    PATIENCE_MS,
  );
});

describe('run', () => {
  test(
    'puts one stdio server on HTTP, unprefixed at /mcp, and under its name',
    async () => {
      const command = [
        BIN,
        'run',
        '--port',
        '0',
        '--',
        process.execPath,
        join(ROOT, 'examples/demo-stdio.ts'),
      ];
      const gateway = await serving(command);
      try {
        expect(gateway.log()).toContain('/mcp/demo-stdio"');
        const { code, out } = await run([BIN, 'list', '--json', '--url', gateway.url]);
        expect(code).toBe(0);
        expect(
          JSON.parse(out)
            .map((tool: { name: string }) => tool.name)
            .sort(),
        ).toEqual(['add', 'count', 'list']);
        expect((await run([BIN, 'call', 'demo-stdio', 'list', '--url', gateway.url])).out).toContain(
          'Sluice',
        );
      } finally {
        expect(await gateway.stop('SIGINT')).toBe(0);
      }
    },
    PATIENCE_MS,
  );

  test(
    'a port that is taken is said in words, exit code 1',
    async () => {
      const other = Bun.serve({ hostname: '127.0.0.1', port: 0, fetch: () => new Response('') });
      try {
        const { code, err } = await run([BIN, 'run', '--port', String(other.port), '--', 'cat']);
        expect(code).toBe(1);
        expect(err).toContain('GW_RUNTIME_LISTEN');
        expect(err).not.toContain('    at ');
      } finally {
        await other.stop(true);
      }
    },
    PATIENCE_MS,
  );
});

describe('stdio', () => {
  test(
    'serves all servers on stdin and stdout, and nothing else on stdout',
    async () => {
      const config = join(scratch, 'stdio.yaml');
      writeFileSync(
        config,
        `servers:\n  notes: { command: "\${SLUICE_BUN}", args: [${JSON.stringify(join(ROOT, 'examples/demo-stdio.ts'))}] }\n`,
      );
      const lines = [
        {
          jsonrpc: '2.0',
          id: 1,
          method: 'initialize',
          params: {
            protocolVersion: '2025-11-25',
            capabilities: {},
            clientInfo: { name: 't', version: '1' },
          },
        },
        { jsonrpc: '2.0', method: 'notifications/initialized' },
        { jsonrpc: '2.0', id: 2, method: 'tools/list' },
      ];
      const child = Bun.spawn([BIN, 'stdio', '--config', config, '--log', 'error'], {
        cwd: scratch,
        env: { PATH: process.env.PATH ?? '', HOME: scratch },
        stdin: 'pipe',
        stdout: 'pipe',
        stderr: 'pipe',
      });
      const decoder = new TextDecoder();
      const reader = child.stdout.getReader();
      let rest = '';
      /** Sends a message and waits for the reply to it; every line on stdout must be JSON. */
      const ask = async (message: { id?: number }): Promise<Record<string, unknown>> => {
        child.stdin.write(`${JSON.stringify(message)}\n`);
        child.stdin.flush();
        while (message.id !== undefined) {
          const end = rest.indexOf('\n');
          if (end >= 0) {
            const reply = JSON.parse(rest.slice(0, end));
            rest = rest.slice(end + 1);
            if (reply.id === message.id) return reply.result;
          } else {
            const { done, value } = await reader.read();
            if (done) throw new TypeError('stdout ended');
            rest += decoder.decode(value, { stream: true });
          }
        }
        return {};
      };
      try {
        const [initialize, initialized, list] = lines;
        if (initialize === undefined || initialized === undefined || list === undefined) return;
        expect(await ask(initialize)).toMatchObject({ protocolVersion: '2025-11-25' });
        await ask(initialized);
        const { tools } = await ask(list);
        expect((tools as { name: string }[]).map((tool) => tool.name).sort()).toEqual([
          'add',
          'count',
          'list',
        ]);
        child.stdin.end();
        expect(await child.exited).toBe(0);
      } finally {
        child.kill('SIGKILL');
      }
    },
    PATIENCE_MS,
  );
});

test('the package is complete enough for its own examples', () => {
  for (const path of [
    'examples/sluice.yaml',
    'examples/demo-http.ts',
    'examples/demo-stdio.ts',
    'examples/start.ts',
  ]) {
    expect(existsSync(join(ROOT, path))).toBe(true);
  }
});
