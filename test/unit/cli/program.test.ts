// Tests of the command line: help with examples, exit codes, what is said about mistakes.
// Promises: runs whole commands in this process, on files in memory; none of them gets as far as starting a gateway.
import { describe, expect, test } from 'bun:test';
import { runProgram } from '../../../src/cli/program.ts';
import { fakeWorld } from './fake-world.ts';

const COMMANDS = [
  ...['serve', 'run', 'stdio', 'check', 'list', 'call', 'bench'],
  ...['servers', 'top', 'tail', 'doctor'],
];

async function run(args: readonly string[], given: Parameters<typeof fakeWorld>[0] = {}) {
  const fake = fakeWorld(given);
  const code = await runProgram(args, fake.world);
  return { code, out: fake.out(), err: fake.err() };
}

describe('help', () => {
  test.each([[[]], [['--help']], [['help']]])('%p names every command', async (args) => {
    const { code, out } = await run(args);
    expect(code).toBe(0);
    for (const command of COMMANDS) expect(out).toContain(`  ${command} `);
    expect(out).toContain('Examples:\n  sluice serve');
  });

  test.each(COMMANDS)('%s has its own, with an example of itself', async (command) => {
    const { code, out } = await run([command, '--help']);
    expect(code).toBe(0);
    expect(out).toContain(`Usage: sluice ${command}`);
    const examples = out.slice(out.indexOf('Examples:'));
    expect(examples).toMatch(new RegExp(`^Examples:\\n(?:  .*sluice ${command}.*\\n)+`));
    expect((await run(['help', command])).out).toBe(out);
  });

  test.each(['add', 'edit', 'rm', 'restart', 'enable', 'disable'])(
    'servers %s has its own too',
    async (command) => {
      const { code, out } = await run(['servers', command, '--help']);
      expect(code).toBe(0);
      expect(out.slice(out.indexOf('Examples:'))).toContain(`  sluice servers ${command} `);
    },
  );

  test('--version', async () => {
    expect(await run(['--version'])).toEqual({ code: 0, out: '9.9.9\n', err: '' });
    expect(await run(['-V'])).toEqual({ code: 0, out: '9.9.9\n', err: '' });
  });
});

describe('a wrong command line exits with 2', () => {
  test.each([
    [['sevre'], 'serve'],
    [['nope'], "unknown command 'nope'"],
    [['serve', '--prot', '1'], '--port'],
    [['serve', '--port', '70000'], 'from 0 to 65535'],
    [['serve', '--port', '-1'], '--port'],
    [['serve', '--port', '1e3'], 'from 0 to 65535'],
    [['serve', '--log', 'loud'], 'debug, info, warn, error, silent'],
    [['serve', '--workers', '0'], 'from 1 to 64'],
    [['serve', '--workers', 'many'], 'from 1 to 64'],
    [['serve', '--transport', 'quic'], 'uwebsockets, sockets'],
    [['serve', 'extra'], 'too many arguments'],
    [['run'], "missing required argument 'command'"],
    [['run', '--name', 'a__b', '--', 'x'], "found 'a__b'"],
    [['call'], "missing required argument 'server'"],
    [['call', 'a'], "missing required argument 'tool'"],
    [['call', 'a', 'b', '{nope'], 'not JSON'],
    [['call', 'a', 'b', '[1]'], 'no object'],
    [['call', 'a', 'b', '@none.json'], "cannot read the file 'none.json'"],
    [['call', 'a', 'b', '{}', '--url', 'ftp://x'], "found 'ftp://x'"],
    [['list', '--url', 'http://'], "found 'http://'"],
    [['servers', 'restrat'], 'did you mean restart?'],
    [['servers', 'xyzzy'], 'there are add, edit, rm, restart, enable, disable'],
    [['servers', 'add'], "missing required argument 'name'"],
    [['servers', 'add', 'a'], 'with --url URL'],
    [['servers', 'add', 'a', '--url', 'http://x/mcp', '--', 'b'], 'give one of them'],
    [['servers', 'add', 'a', '--set', 'nope'], 'key=value'],
    [['servers', 'edit', 'a'], '--set key=value'],
    [['servers', 'rm', 'a'], '--yes'],
    [['servers', '--admin', 'ftp://x'], "found 'ftp://x'"],
    [['servers', '--token', ''], 'admin token'],
    [['tail', '--outcome', 'fine'], 'ok, refused, failed, abandoned'],
    [['tail', '--slow', 'x'], 'milliseconds'],
    [['tail', '--lines', '-1'], '--lines'],
    [['top', 'extra'], 'too many arguments'],
  ])('%p', async (args, said) => {
    const { code, out, err } = await run(args);
    expect(code).toBe(2);
    expect(out).toBe('');
    expect(err).toStartWith('sluice: ');
    expect(err).toContain(said);
  });
});

describe('a wrong configuration exits with 2, before anything is started', () => {
  const files = { '/work/sluice.yaml': 'listen: { port: x }\nservers:\n  a: {}\n' };
  test.each([['serve'], ['stdio'], ['check']])('%s', async (command) => {
    const { code, err } = await run([command], { files });
    expect(code).toBe(2);
    expect(err).toContain('sluice.yaml:1: listen.port: Cannot accept');
    expect(err).toContain('sluice.yaml:3: servers.a: Cannot accept');
    expect(err).toContain('2 problems');
  });

  test.each([['serve'], ['stdio'], ['check']])('%s without any says how to make one', async (command) => {
    const { code, err } = await run([command]);
    expect(code).toBe(2);
    expect(err).toContain('cannot find a configuration');
    expect(err).toContain('servers:\n');
  });

  test('a file that was named but is not there', async () => {
    const { code, err } = await run(['serve', '--config', 'x.yaml']);
    expect(code).toBe(2);
    expect(err).toContain('x.yaml: Cannot read the configuration: found no such file');
  });

  test.each([
    ['servers: { a: { command: x, disabled: true } }', 'every server of the configuration is disabled'],
    ['servers: {}', 'the configuration has no server'],
  ])('nothing to serve, and no registry either: %s', async (text, said) => {
    for (const command of ['stdio', 'check']) {
      const { code, err } = await run([command], { files: { '/work/sluice.yaml': text } });
      expect(code).toBe(2);
      expect(err).toContain(said);
    }
    const off = `registry: { enabled: false }\n${text}`;
    const { code, err } = await run(['serve'], { files: { '/work/sluice.yaml': off } });
    expect(code).toBe(2);
    expect(err).toContain(said);
  });

  test('a scanner nobody has', async () => {
    const { code, err } = await run(['check'], {
      files: { '/work/sluice.yaml': 'servers: { a: { command: x } }' },
      env: { SLUICE_SCAN: 'gpu' },
    });
    expect(code).toBe(2);
    expect(err).toContain("found 'gpu'; allowed: auto, addon, portable");
  });
});

describe('check', () => {
  const files = {
    '/work/sluice.yaml':
      'listen: { port: 9000 }\nworkers: 3\nlog: { level: "${LEVEL}" }\nservers:\n  web: { url: "https://u:hunter2@h/mcp?t=hunter2", headers: { A: hunter2 } }\n  files: { command: npx, args: [-y, hunter2], env: { K: hunter2 } }\n  off: { command: x, disabled: true }\n',
  };
  const env = { LEVEL: 'warn' };

  test('says what a configuration amounts to, without its secrets', async () => {
    const { code, out } = await run(['check'], { files, env });
    expect(code).toBe(0);
    expect(out).toContain('/work/sluice.yaml is valid');
    expect(out).toContain('http://127.0.0.1:9000/mcp        web, files (names as server__tool)');
    expect(out).toContain('http://127.0.0.1:9000/mcp/files  stdio  npx (and 2 arguments)');
    expect(out).toContain('Served by 3 data workers over uwebsockets');
    expect(out).toContain('Disabled: off');
    expect(out).toMatch(/listen\.port +9000 +line 1/);
    expect(out).toMatch(/log\.level +"warn" +line 3, from the environment/);
    expect(out).not.toContain('hunter2');
    expect(out).not.toContain('\u001b');
  });

  test('--json says the same, and every effective setting', async () => {
    const { code, out } = await run(['check', '--json'], { files, env });
    expect(code).toBe(0);
    const report = JSON.parse(out);
    expect(report).toMatchObject({
      ok: true,
      file: '/work/sluice.yaml',
      url: 'http://127.0.0.1:9000',
      workers: 3,
      disabled: ['off'],
    });
    expect(report.servers).toEqual([
      { name: 'web', transport: 'http', target: 'https://h/mcp' },
      { name: 'files', transport: 'stdio', target: 'npx (and 2 arguments)' },
    ]);
    expect(report.settings).toContainEqual({ key: 'listen.port', value: 9000, from: 'file', line: 1 });
    expect(report.settings).toContainEqual({
      key: 'limits.drainMs',
      value: 10_000,
      from: 'default',
      line: 0,
    });
    expect(out).not.toContain('hunter2');
  });

  test('--json lists the problems', async () => {
    const { code, out } = await run(['check', '--json'], {
      files: { '/work/sluice.yaml': 'nope: 1\nservers: { a: { command: x } }' },
    });
    expect(code).toBe(2);
    expect(JSON.parse(out)).toMatchObject({
      ok: false,
      problems: [{ code: 'GW_CONFIG_KEY', file: 'sluice.yaml', line: 1, key: 'nope' }],
    });
  });

  test('notes of a client’s file are shown', async () => {
    const { out } = await run(['check'], {
      files: { '/work/.mcp.json': '{"mcpServers":{"a":{"command":"x","timeout":1}}}' },
    });
    expect(out).toContain('.mcp.json:1: mcpServers.a.timeout: left out');
  });
});
