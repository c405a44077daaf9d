// Tests of the parts of commands: finding a configuration, names, URLs, arguments, results, signals.
// Promises: nothing of the real machine is touched but a listener on a free loopback port.
import { describe, expect, test } from 'bun:test';
import { readArguments, resultText } from '../../../src/cli/call.ts';
import { check } from '../../../src/cli/check.ts';
import { endpointUrl, failureText } from '../../../src/cli/client.ts';
import { findConfig, loadNamed, prepare } from '../../../src/cli/configure.ts';
import { untilStopped } from '../../../src/cli/ending.ts';
import { toolTable } from '../../../src/cli/list.ts';
import { columns, createPaint, printable } from '../../../src/cli/paint.ts';
import { serverName } from '../../../src/cli/run.ts';
import { welcomeText } from '../../../src/cli/welcome.ts';
import { compile } from '../../../src/control/compile.ts';
import { configSchema } from '../../../src/control/schema.ts';
import { SERVER_NAME } from '../../../src/control/server-schema.ts';
import { fakeWorld } from './fake-world.ts';

describe('where data is kept', () => {
  test.each([
    ['', { XDG_STATE_HOME: '/x', HOME: '/h' }, '/x/sluice'],
    ['', { XDG_STATE_HOME: 'x', HOME: '/h' }, '/h/.local/state/sluice'],
    ['', { XDG_STATE_HOME: '', HOME: '/h' }, '/h/.local/state/sluice'],
    ['', { HOME: '' }, null],
    ['', {}, null],
    ['dataDir: var/s\n', { XDG_STATE_HOME: '/x', HOME: '/h' }, '/etc/s/var/s'],
    ['dataDir: "${VAR}/s"\n', { VAR: '/var' }, '/var/s'],
  ] as readonly [string, Record<string, string>, string | null][])(
    '%p in %p: %p',
    async (line, env, expected) => {
      const files = { '/etc/s/sluice.yaml': `${line}servers: { a: { command: x } }\n` };
      const { world } = fakeWorld({ files, env });
      const loaded = await loadNamed(world, '/etc/s/sluice.yaml');
      expect(loaded === null ? undefined : prepare(world, loaded, {})?.dataDir).toBe(expected);
    },
  );
});

test.each<[string, Record<string, string>, 'pretty' | 'plain' | 'json']>([
  ['log: { format: pretty }\n', {}, 'pretty'],
  ['log: { format: pretty }\n', { NO_COLOR: '' }, 'pretty'],
  ['log: { format: pretty }\n', { NO_COLOR: '1' }, 'plain'],
  ['log: { format: pretty }\n', { TERM: 'dumb' }, 'plain'],
  ['log: { format: json }\n', { NO_COLOR: '1' }, 'json'],
])(
  'log lines for people are without colours where none are wanted: %s%j: %s',
  async (line, env, expected) => {
    const files = { '/etc/s/sluice.yaml': `${line}servers: { a: { command: x } }\n` };
    const { world } = fakeWorld({ files, env });
    const loaded = await loadNamed(world, '/etc/s/sluice.yaml');
    if (loaded === null) throw new Error('refused');
    expect(prepare(world, loaded, {})?.config.log.format).toBe(expected);
  },
);

test('workers: the command line decides before the file; auto is what the machine has', async () => {
  const { world } = fakeWorld({
    files: { '/etc/s/sluice.yaml': 'workers: 5\nservers: { a: { command: x } }\n' },
  });
  const loaded = await loadNamed(world, '/etc/s/sluice.yaml');
  if (loaded === null) throw new Error('refused');
  const wanted = (workers?: number | 'auto') =>
    prepare(world, loaded, workers === undefined ? {} : { workers })?.workers;
  expect([wanted(), wanted(3), wanted('auto')]).toEqual([5, 3, Math.min(64, world.runtime.parallelism)]);
});

test('transport: the command line decides before the file, and sockets speak no TLS', async () => {
  const wanted = async (line: string, transport?: 'uwebsockets' | 'sockets') => {
    const files = {
      '/etc/s/sluice.yaml': `${line}servers: { a: { command: x } }\n`,
      '/etc/s/c.pem': '-----BEGIN CERTIFICATE-----\n',
      '/etc/s/k.pem': '-----BEGIN PRIVATE KEY-----\n',
    };
    const { world, err } = fakeWorld({ files });
    const loaded = await loadNamed(world, '/etc/s/sluice.yaml');
    if (loaded === null) throw new Error(err());
    const ready = prepare(world, loaded, transport === undefined ? {} : { transport });
    return ready?.snapshot.listen.transport ?? err();
  };
  const sockets = 'listen: { transport: sockets }\n';
  expect([await wanted(''), await wanted(sockets)]).toEqual(['uwebsockets', 'sockets']);
  expect([await wanted('', 'sockets'), await wanted(sockets, 'uwebsockets')]).toEqual([
    'sockets',
    'uwebsockets',
  ]);
  expect(await wanted('listen: { tls: { cert: c.pem, key: k.pem } }\n', 'sockets')).toBe(
    'sluice: cannot use --transport sockets here; allowed: uwebsockets, or sockets without tls, http2 and http3, since it speaks plain HTTP/1.1 only\n',
  );
});

describe('findConfig', () => {
  const all = [
    '/work/sluice.yaml',
    '/work/sluice.yml',
    '/work/sluice.json',
    '/work/sluice.jsonc',
    '/work/sluice.toml',
    '/work/.mcp.json',
    '/work/mcp.json',
    '/home/me/.config/sluice/sluice.yaml',
    '/home/me/.config/sluice/mcp.json',
  ];
  test('takes the first that is there, in the order that docs/config.md tells', async () => {
    for (let from = 0; from < all.length; from++) {
      const files = Object.fromEntries(all.slice(from).map((path) => [path, '']));
      const { world } = fakeWorld({ files, env: { HOME: '/home/me' } });
      expect((await findConfig(world, undefined))?.path ?? '').toBe(all[from] ?? '?');
    }
  });

  test('XDG_CONFIG_HOME replaces ~/.config; without a home nothing is looked for there', async () => {
    const files = { '/x/sluice/sluice.toml': '' };
    expect(
      (await findConfig(fakeWorld({ files, env: { XDG_CONFIG_HOME: '/x', HOME: '/h' } }).world, undefined))
        ?.path,
    ).toBe('/x/sluice/sluice.toml');
    expect(await findConfig(fakeWorld({ files }).world, undefined)).toBeNull();
  });

  test('a named file is taken from the working directory', async () => {
    expect(await findConfig(fakeWorld().world, '../a/./b.yaml')).toEqual({
      path: '/a/b.yaml',
      shown: '../a/./b.yaml',
    });
    expect((await findConfig(fakeWorld().world, '/a/b.yaml'))?.path).toBe('/a/b.yaml');
  });
});

describe('serverName', () => {
  test.each([
    [['npx', '-y', '@modelcontextprotocol/server-filesystem', '.'], 'server-filesystem'],
    [['npx', '-y', '@scope/name@1.2.3'], 'name'],
    [['uvx', 'mcp-server-time'], 'mcp-server-time'],
    [['/usr/bin/python3', '-u', 'my server.py'], 'my-server'],
    [['bun', './src/Tools.ts'], 'Tools'],
    [['./a__b'], 'a-b'],
    [['node'], 'node'],
    [['--', ''], 'server'],
    [['___'], 'server'],
    [['x'.repeat(50)], 'x'.repeat(32)],
  ])('%p is %p', (command, name) => {
    expect(serverName(command)).toBe(name);
    expect(name).toMatch(SERVER_NAME);
  });
});

describe('endpointUrl', () => {
  test.each([
    ['http://127.0.0.1:8700', undefined, 'http://127.0.0.1:8700/mcp'],
    ['http://h:1/', 'a', 'http://h:1/mcp/a'],
    ['http://h:1/mcp', 'a', 'http://h:1/mcp/a'],
    ['http://h:1/mcp/', undefined, 'http://h:1/mcp'],
    ['https://h/base', 'a', 'https://h/base/mcp/a'],
    ['h:1', 'a', 'http://h:1/mcp/a'],
    ['http://h', 'a b', 'http://h/mcp/a%20b'],
  ])('%p with %p', (url, server, endpoint) => {
    expect(endpointUrl(url, server)?.href).toBe(endpoint);
  });

  test.each(['', 'ftp://x', 'http://', 'file:///x'])('%p is none', (url) => {
    expect(endpointUrl(url, undefined)).toBeNull();
  });
});

describe('failureText', () => {
  const url = new URL('http://127.0.0.1:8700/mcp/a');
  test('nothing listens: says how to start', () => {
    const wrapped = { data: { cause: { cause: { code: 'ECONNREFUSED' } } }, code: 'ERA_NEGOTIATION_FAILED' };
    expect(failureText(wrapped, url, 'a')).toContain('nothing listens there');
    expect(failureText(wrapped, url, 'a')).toContain('npm start');
    expect(failureText({ code: 'ConnectionRefused' }, url, 'a')).toContain('nothing listens there');
  });

  test('no such server, other refusals, anything else', () => {
    expect(failureText({ data: { status: 404 } }, url, 'a')).toContain("cannot find a server named 'a'");
    expect(
      failureText(
        { data: { status: 503, text: '{"error":{"message":"Cannot take another exchange now"}}' } },
        url,
        'a',
      ),
    ).toBe('cannot talk to http://127.0.0.1:8700/mcp/a: HTTP 503 Cannot take another exchange now');
    expect(failureText({ data: { status: 500, text: '<html>' } }, url, undefined)).toContain('HTTP 500');
    expect(failureText(new TypeError('odd'), url, undefined)).toBe('the request failed: odd');
    expect(failureText('odd', url, undefined)).toBe('the request failed: odd');
  });
});

describe('readArguments', () => {
  test('from the argument, a file, stdin', async () => {
    const { world } = fakeWorld({ files: { '/work/a.json': '{"a":1}' }, stdin: '{"text":"é"}' });
    expect(await readArguments(world, '{"b":[2]}')).toEqual({ b: [2] });
    expect(await readArguments(world, '@a.json')).toEqual({ a: 1 });
    expect(await readArguments(world, '-')).toEqual({ text: 'é' });
  });

  test.each(['', '1', 'null', '"x"', '[]', '{', '@none'])('%p is refused with a reason', async (json) => {
    expect(await readArguments(fakeWorld().world, json)).toBeString();
  });
});

describe('resultText', () => {
  test('texts as they are, the rest by kind and size, control characters made harmless', () => {
    const text = resultText({
      content: [
        { type: 'text', text: 'one\ntwo\u001b[31m' },
        { type: 'image', mimeType: 'image/png', data: 'AAAA' },
        { type: 'resource', resource: { uri: 'a:b', text: 'inside' } },
        { type: 'resource_link', uri: 'a:c', name: 'c' },
      ],
    });
    expect(text).toBe('one\ntwo [31m\n[image: image/png, 3 bytes; --json shows it]\ninside\n[link: a:c]\n');
  });

  test('structured content when there is nothing else', () => {
    expect(resultText({ content: [], structuredContent: { a: 1 } })).toBe('{\n  "a": 1\n}\n');
    expect(resultText({ content: [] })).toBe('(an empty answer)\n');
  });
});

describe('toolTable', () => {
  const tools = [
    { name: 'clock__now', description: 'Tells the time.\nMore.' },
    { name: 'notes__add', title: 'Add\u0007' },
  ];
  test('parts server and tool', () => {
    expect(toolTable(tools, undefined, false)).toBe(
      'SERVER  TOOL  WHAT IT DOES\nclock   now   Tells the time.\nnotes   add   Add\n',
    );
  });

  test('leaves unprefixed names whole, and knows the server when it was named', () => {
    expect(toolTable([{ name: 'now' }], undefined, false)).toBe('TOOL  WHAT IT DOES\nnow\n');
    expect(toolTable([{ name: 'a__b' }], 's', false)).toBe('SERVER  TOOL  WHAT IT DOES\ns       a__b\n');
    expect(toolTable([], undefined, false)).toBe('no tools\n');
  });

  test('colours do not disturb the columns', () => {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: escapes are what is taken out
    expect(toolTable(tools, undefined, true).replaceAll(/\u001b\[\d+m/g, '')).toBe(
      toolTable(tools, undefined, false),
    );
  });
});

describe('paint', () => {
  test('only with colour', () => {
    expect(createPaint(false).bold('x')).toBe('x');
    expect(createPaint(true).bold('x')).toBe('\u001b[1mx\u001b[22m');
  });

  test('printable keeps newlines and tabs', () => {
    expect(printable('a\n\tb\r\u0000\u009b\u007f')).toBe('a\n\tb    ');
    expect(
      columns([
        ['a', 'b'],
        ['cc', ''],
      ]),
    ).toBe('a   b\ncc\n');
  });
});

describe('check --against', () => {
  const RUNNING = `listen: { port: 9000 }
servers:
  docs: { url: http://docs.example/mcp }
  files: { command: ./serve-files }
`;
  const run = async (text: string, options: { json?: boolean; against?: string } = {}, running = RUNNING) => {
    const fake = fakeWorld({ files: { '/etc/s/sluice.yaml': running, '/work/new.yaml': text } });
    const code = await check(fake.world, { config: 'new.yaml', against: '/etc/s/sluice.yaml', ...options });
    return { code, out: fake.out(), err: fake.err() };
  };

  test('prints what a gateway would do that runs by the other file, as if this one stood in its place', async () => {
    const { code, out } =
      await run(`${RUNNING.replace('9000', '9001').replace('docs.', 'other.')}  more: { url: http://m.example/ }
limits: { drainMs: 5 }
`);
    expect(code).toBe(0);
    expect(out.slice(out.indexOf('\nA reload'))).toBe(`
A reload:
  starts               more
  changes              docs (url)
  takes up             limits.drainMs
  waits for a restart  listen.port
`);
    expect((await run(RUNNING)).out).toEndWith('\nA reload would change nothing\n');
    const told: unknown = JSON.parse((await run(RUNNING.replace('files:', 'data:'), { json: true })).out);
    expect(told).toMatchObject({
      plan: { starts: ['data'], stops: ['files'], changes: [], applies: [], waits: [] },
    });
  });

  test('refuses either file with a problem, and a file that is not there', async () => {
    const bad = 'servers: { a: { url: 5 } }';
    expect((await run(bad)).err).toStartWith('new.yaml:1: servers.a.url: ');
    expect((await run(RUNNING, {}, bad)).err).toStartWith('/etc/s/sluice.yaml:1: servers.a.url: ');
    const missing = await run(RUNNING, { against: 'none.yaml', json: true });
    expect([missing.code, JSON.parse(missing.out).ok]).toEqual([2, false]);
  });
});

describe('untilStopped', () => {
  test('first signal drains, exit code 0', async () => {
    const fake = fakeWorld();
    const events: string[] = [];
    const ended = untilStopped(fake.world, {
      drain: async () => void events.push('drain'),
      stop: () => events.push('stop'),
    });
    fake.signal(143);
    expect(await ended).toBe(0);
    expect(events).toEqual(['drain']);
  });

  test('second signal stops at once, with the exit code of the signal', async () => {
    const fake = fakeWorld();
    const events: string[] = [];
    const ended = untilStopped(fake.world, {
      drain: () => new Promise(() => events.push('drain')),
      stop: () => events.push('stop'),
    });
    fake.signal(143);
    fake.signal(130);
    expect(await ended).toBe(130);
    expect(events).toEqual(['drain', 'stop']);
  });
});

describe('welcome', () => {
  const snapshot = compile({
    config: configSchema.parse({ servers: { s: { command: 'x' } } }),
    material: new Map(),
    env: {},
    epoch: 1,
  });
  const tool = (name: string, inputSchema: unknown) => ({ name, inputSchema });

  async function welcomed(reply: (request: Request) => Response | Promise<Response>): Promise<string> {
    const server = Bun.serve({ hostname: '127.0.0.1', port: 0, fetch: reply });
    try {
      return await welcomeText(`http://127.0.0.1:${server.port}`, snapshot, false);
    } finally {
      await server.stop(true);
    }
  }
  const listing = (tools: readonly unknown[]) => () =>
    Response.json({ jsonrpc: '2.0', id: 1, result: { tools } });

  test('names a tool that needs no arguments first', async () => {
    const text = await welcomed(
      listing([tool('a', { required: ['x'], properties: { x: { type: 'string' } } }), tool('b', {})]),
    );
    expect(text).toMatch(/npx sluice call s b --url http:/);
    expect(text).toContain("-H 'Mcp-Method: tools/list'");
  });

  test('makes simple arguments up, from an event stream too', async () => {
    const schema = {
      required: ['t', 'n', 'f'],
      properties: { t: { type: 'string' }, n: { type: 'integer' }, f: { type: 'boolean' } },
    };
    const body = `event: message\ndata: ${JSON.stringify({ result: { tools: [tool('odd name', {}), tool('c', schema)] } })}\n\n`;
    const text = await welcomed(
      () => new Response(body, { headers: { 'content-type': 'text/event-stream' } }),
    );
    expect(text).toContain(`npx sluice call s c '{"t":"hello","n":3,"f":true}'`);
  });

  test('without an answer of a modern server there is no call line, and curl opens a session', async () => {
    for (const reply of [() => new Response('no', { status: 500 }), listing([])]) {
      const text = await welcomed(reply);
      expect(text).not.toContain('sluice call');
      expect(text).toContain('"method":"initialize"');
    }
  });
});
