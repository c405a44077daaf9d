// Tests of loading: every problem with its file, line, key, what was found and what is allowed; secrets never shown.
// Promises: files are in memory, the environment is given.
import { describe, expect, test } from 'bun:test';
import { type LoadedConfig, loadConfig, type RefusedConfig } from '../../../src/control/load.ts';
import { type Problem, problemLine } from '../../../src/control/problem.ts';
import { memoryFiles } from './memory-files.ts';

const ENV = { PORT: '9000', HTTP2: 'true', TOKEN: 'sk-environment-secret', WORD: 'eight', HOME: '/home/me' };
const PEM = '-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n';
const KEY = '-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n';

function load(
  text: string,
  name = 'sluice.yaml',
  others: Record<string, string> = {},
): Promise<LoadedConfig | RefusedConfig> {
  return loadConfig(memoryFiles({ [`/etc/s/${name}`]: text, ...others }), {
    path: `/etc/s/${name}`,
    shown: name,
    env: ENV,
  });
}

async function problems(
  text: string,
  name?: string,
  others?: Record<string, string>,
): Promise<readonly Problem[]> {
  const outcome = await load(text, name, others);
  return outcome.ok ? [] : outcome.problems;
}

async function loaded(text: string, name?: string, others?: Record<string, string>): Promise<LoadedConfig> {
  const outcome = await load(text, name, others);
  if (outcome.ok) return outcome;
  throw new TypeError(outcome.problems.map(problemLine).join('\n'));
}

describe('a valid configuration', () => {
  test('gets every default', async () => {
    const { config, notes } = await loaded('servers: { a: { command: x } }');
    expect(notes).toEqual([]);
    expect(config.listen).toMatchObject({ host: '127.0.0.1', port: 8700, http2: false, allowedOrigins: [] });
    expect(config.limits.bodyBytesMax).toBe(4_194_304);
    expect(config).toMatchObject({ workers: 'auto', log: { level: 'info' }, prefix: 'auto', scan: 'auto' });
    expect(config.servers.a).toMatchObject({
      args: [],
      env: {},
      disabled: false,
      timeouts: { connectMs: 5000 },
    });
  });

  test('is the same in every format', async () => {
    const yaml = await loaded(
      'listen: { port: 1 }\nservers:\n  a: { url: "http://x/mcp", headers: { A: b } }\n',
    );
    const json = await loaded(
      '{"listen":{"port":1},/**/"servers":{"a":{"url":"http://x/mcp","headers":{"A":"b"}}},}',
      'c.json',
    );
    const jsonc = await loaded(
      '{"$schema":"x","listen":{"port":1},"servers":{"a":{"url":"http://x/mcp","headers":{"A":"b"}}}}',
      'c.jsonc',
    );
    const toml = await loaded(
      '[listen]\nport = 1\n[servers.a]\nurl = "http://x/mcp"\nheaders.A = "b"\n',
      'c.toml',
    );
    expect(json.config).toEqual(yaml.config);
    expect({ ...jsonc.config, $schema: undefined }).toEqual({ ...yaml.config, $schema: undefined });
    expect(toml.config).toEqual(yaml.config);
  });

  test('takes numbers and booleans from one reference, and text from anywhere', async () => {
    const { config, sourceOf } = await loaded(
      'listen:\n  port: ${PORT}\n  http2: ${HTTP2}\n  tls: { cert: c, key: k }\nservers:\n  a: { url: "http://h:${PORT}/${WORD}", connectionsMax: "${PORT}" }\n',
      'sluice.yaml',
      { '/etc/s/c': PEM, '/etc/s/k': KEY },
    );
    expect(config.listen).toMatchObject({ port: 9000, http2: true });
    expect(config.servers.a).toMatchObject({ url: 'http://h:9000/eight', connectionsMax: 9000 });
    expect(sourceOf(['listen', 'port'])).toEqual({ from: 'environment', line: 2 });
    expect(sourceOf(['listen', 'tls', 'cert'])).toEqual({ from: 'file', line: 4 });
    expect(sourceOf(['limits', 'drainMs'])).toEqual({ from: 'default', line: 0 });
  });

  test('a text option keeps a number from the environment as text', async () => {
    const { config } = await loaded('servers: { a: { command: x, env: { P: "${PORT}" } } }');
    expect(config.servers.a).toMatchObject({ env: { P: '9000' } });
  });

  test('paths are taken from the directory of the file', async () => {
    const { config, material } = await loaded(
      'dataDir: ../var/sluice\nlisten: { tls: { cert: tls/cert.pem, key: /keys/k.pem, clientCa: ../ca.pem } }\nservers:\n  a: { command: ./bin/x }\n  b: { command: x, cwd: sub/./dir }\n  c: { url: "https://h/", unixPath: s.sock, tls: { ca: ../ca.pem } }\n',
      'sluice.yaml',
      { '/etc/s/tls/cert.pem': PEM, '/keys/k.pem': KEY, '/etc/ca.pem': PEM },
    );
    expect(config.listen.tls).toEqual({
      cert: '/etc/s/tls/cert.pem',
      key: '/keys/k.pem',
      clientCa: '/etc/ca.pem',
    });
    expect(config.dataDir).toBe('/etc/var/sluice');
    expect(config.servers.a).toMatchObject({ command: '/etc/s/bin/x', cwd: '/etc/s' });
    expect(config.servers.b).toMatchObject({ command: 'x', cwd: '/etc/s/sub/dir' });
    expect(config.servers.c).toMatchObject({ unixPath: '/etc/s/s.sock' });
    expect([...material.keys()].sort()).toEqual(['/etc/ca.pem', '/etc/s/tls/cert.pem', '/keys/k.pem']);
  });

  test('a disabled server needs none of its files', async () => {
    const { config } = await loaded(
      'servers:\n  a: { command: x }\n  b: { url: "https://h/", disabled: true, tls: { ca: none.pem } }\n',
    );
    expect(config.servers.b?.disabled).toBe(true);
  });
});

describe('a problem', () => {
  const A = 'servers: { a: { command: x } }\n';
  const cases: readonly [string, string, Partial<Problem>, string][] = [
    [
      'an unknown key at the top',
      `${A}listne: {}\n`,
      { code: 'GW_CONFIG_KEY', line: 2, key: 'listne' },
      "did you mean 'listen'?",
    ],
    [
      'an unknown key below',
      `${A}listen:\n  prot: 1\n`,
      { code: 'GW_CONFIG_KEY', line: 3, key: 'listen.prot' },
      "did you mean 'port'?",
    ],
    [
      'a key without its unit',
      `${A}listen:\n  idleTimeout: 1\n`,
      { key: 'listen.idleTimeout' },
      "did you mean 'idleTimeoutMs'?",
    ],
    ['a word nobody means', `${A}database: 1\n`, { key: 'database' }, 'allowed: $schema, listen'],
    [
      'an unknown key of a process',
      'servers:\n  a:\n    command: x\n    arg: []\n',
      { line: 4, key: 'servers.a.arg' },
      "did you mean 'args'?",
    ],
    [
      'an unknown key of a URL',
      'servers:\n  a:\n    url: http://x\n    header: {}\n',
      { line: 4, key: 'servers.a.header' },
      "did you mean 'headers'?",
    ],
    [
      'a key of the other kind',
      'servers:\n  a: { command: x, headers: {} }\n',
      { code: 'GW_CONFIG_KEY', key: 'servers.a.headers' },
      'allowed: command',
    ],
    [
      'a key from elsewhere',
      'servers:\n  a: { command: x, type: stdio }\n',
      { key: 'servers.a.type' },
      'leave it out',
    ],
    [
      'an unknown key of time-outs',
      'servers:\n  a: { command: x, timeouts: { connect: 1 } }\n',
      { key: 'servers.a.timeouts.connect' },
      "did you mean 'connectMs'?",
    ],
    [
      'a number out of range',
      `${A}listen: { port: 70000 }\n`,
      { code: 'GW_CONFIG_VALUE', line: 2, key: 'listen.port' },
      'found 70000; allowed: a whole number from 0 to 65535',
    ],
    ...['0', '65', '1.5', 'many', '"${WORD}"'].map((value): [string, string, Partial<Problem>, string] => [
      `workers: ${value}`,
      `${A}workers: ${value}\n`,
      { code: 'GW_CONFIG_VALUE', line: 2, key: 'workers' },
      'a whole number from 1 to 64',
    ]),
    [
      'a fraction',
      `${A}limits: { drainMs: 1.5 }\n`,
      { key: 'limits.drainMs' },
      'found 1.5; allowed: a whole number from 0 to 3600000',
    ],
    ['a number in quotes', `${A}listen: { port: "80" }\n`, { key: 'listen.port' }, "found '80'"],
    [
      'a word that is not one of some',
      `${A}prefix: sometimes\n`,
      { key: 'prefix' },
      "found 'sometimes'; allowed: auto, always, never",
    ],
    [
      'text instead of true',
      `${A}listen: { http2: "yes" }\n`,
      { key: 'listen.http2' },
      'allowed: true or false',
    ],
    [
      'a list instead of a mapping',
      `${A}listen: []\n`,
      { key: 'listen' },
      'found an empty list; allowed: a mapping',
    ],
    [
      'nothing instead of a mapping',
      `${A}limits:\n`,
      { line: 2, key: 'limits' },
      'found an empty value; allowed: a mapping',
    ],
    ['HTTP/2 without TLS', `${A}listen: { http2: true }\n`, { key: 'listen.http2' }, 'together with tls'],
    [
      'sockets with HTTP/2',
      `${A}listen: { transport: sockets, http2: true }\n`,
      { key: 'listen.transport' },
      'allowed: uwebsockets, or sockets without tls, http2 and http3',
    ],
    [
      'sockets with TLS',
      `${A}listen: { transport: sockets, tls: { cert: c.pem, key: k.pem } }\n`,
      { key: 'listen.transport' },
      'it speaks plain HTTP/1.1 only',
    ],
    [
      'a transport that is none',
      `${A}listen: { transport: quic }\n`,
      { key: 'listen.transport' },
      "found 'quic'",
    ],
    ['HTTP/3 without TLS', `${A}listen: { http3: true }\n`, { key: 'listen.http3' }, 'together with tls'],
    [
      'a host with a port',
      `${A}listen: { allowedHosts: [ok, "a:1"] }\n`,
      { key: 'listen.allowedHosts[1]' },
      "found 'a:1'",
    ],
    [
      'an origin with a path',
      `${A}listen: { allowedOrigins: ["https://a/b"] }\n`,
      { key: 'listen.allowedOrigins[0]' },
      'an origin such as',
    ],
    [
      'a header of the protocol',
      'servers:\n  a: { url: "http://x", headers: { Host: h } }\n',
      { key: 'servers.a.headers.Host' },
      'does not write itself',
    ],
    [
      'a header on two lines',
      'servers:\n  a: { url: "http://x", headers: { X: "a\\nb" } }\n',
      { key: 'servers.a.headers.X' },
      'on one line',
    ],
    [
      'a forwarded header that is none',
      'servers:\n  a: { command: x, forwardHeaders: ["a b"] }\n',
      { key: 'servers.a.forwardHeaders[0]' },
      'a header name',
    ],
    [
      'a URL of another kind',
      'servers:\n  a: { url: "ftp://x" }\n',
      { line: 2, key: 'servers.a.url' },
      "found 'ftp://x'; allowed: a whole http://",
    ],
    [
      'a URL with a fragment',
      'servers:\n  a: { url: "http://x/#y" }\n',
      { key: 'servers.a.url' },
      'without a fragment',
    ],
    [
      'neither command nor url',
      'servers:\n  a: { args: [] }\n',
      { line: 2, key: 'servers.a' },
      'found neither command nor url',
    ],
    [
      'both command and url',
      'servers:\n  a: { command: x, url: "http://x" }\n',
      { key: 'servers.a' },
      'found both',
    ],
    ['a server that is nothing', 'servers:\n  a:\n', { key: 'servers.a' }, 'found an empty value'],
    ['an empty command', 'servers:\n  a: { command: "" }\n', { key: 'servers.a.command' }, 'not empty'],
    [
      'a time-out beyond the whole',
      'servers:\n  a: { command: x, timeouts: { totalMs: 100 } }\n',
      { key: 'servers.a.timeouts.firstByteMs' },
      'at most totalMs',
    ],
    [
      'half a client certificate',
      'servers:\n  a: { url: "https://x", tls: { cert: c } }\n',
      { key: 'servers.a.tls' },
      'both cert and key',
    ],
    ['no servers at all', 'listen: {}\n', { key: 'servers' }, 'found nothing; required: a mapping'],
    ['a file that is no mapping', '[1]\n', { key: '', line: 1 }, 'found a list; allowed: a mapping'],
    ['an empty file', '', { key: '' }, 'found an empty value'],
    [
      'a missing variable',
      'servers:\n  a: { url: "http://${NOWHERE}/" }\n',
      { code: 'GW_CONFIG_ENV', line: 2, key: 'servers.a.url' },
      'found ${NOWHERE}, which is not set',
    ],
    [
      'a variable that is no number',
      `${A}listen: { port: "\${WORD}" }\n`,
      { key: 'listen.port' },
      "found '${WORD}', as the environment resolves it",
    ],
    [
      'a certificate that is not there',
      `${A}listen: { tls: { cert: c, key: k } }\n`,
      { code: 'GW_CONFIG_READ', key: 'listen.tls.cert' },
      'no such file',
    ],
    [
      'a duplicate key',
      `${A}log: {}\nlog: {}\n`,
      { code: 'GW_CONFIG_SYNTAX', line: 3, key: 'log' },
      'already there',
    ],
  ];
  test.each(cases)('%s', async (_, text, place, said) => {
    const found = await problems(text);
    expect(found[0]).toMatchObject({ file: 'sluice.yaml', ...place });
    expect(found[0]?.detail).toContain(said);
    expect(problemLine(found[0] as Problem)).toContain(`[${found[0]?.code}]`);
  });

  test.each(['a__b', 'a+b', 'a/b', 'a_', '_a', '-a', '.a', '', 'a b', 'ä', 'a'.repeat(33)])(
    'server name %p is refused',
    async (name) => {
      const found = await problems(`servers: { ${JSON.stringify(name)}: { command: x } }`);
      expect(
        found.some(
          (one) =>
            one.code === 'GW_CONFIG_VALUE' && one.key.startsWith('servers') && /__|required/.test(one.detail),
        ),
      ).toBe(true);
    },
  );

  test('keys named __proto__ are refused wherever they are', async () => {
    const found = await problems(
      'servers:\n  a: { command: x, env: { __proto__: y } }\n  __proto__: { command: x }\n',
    );
    expect(found.map((one) => [one.code, one.line, one.key])).toEqual([
      ['GW_CONFIG_KEY', 2, 'servers.a.env.__proto__'],
      ['GW_CONFIG_KEY', 3, 'servers.__proto__'],
    ]);
  });

  test.each(['a', 'A1', 'my_server', 'a.b-c', '9', 'x'.repeat(32)])(
    'server name %p is fine',
    async (name) => {
      expect(await problems(`servers: { ${JSON.stringify(name)}: { command: x } }`)).toEqual([]);
    },
  );

  test('all problems come at once, in the order of the file, those below a refused name included', async () => {
    const found = await problems(
      'nope: 1\nlisten:\n  port: x\nservers:\n  a__b:\n    url: nope\n    what: 1\n  c: { command: x, env: { N: 1 } }\n  d: { url: "${MISSING}" }\n',
    );
    expect(found.map((one) => [one.line, one.key])).toEqual([
      [1, 'nope'],
      [3, 'listen.port'],
      [5, 'servers.a__b'],
      [6, 'servers.a__b.url'],
      [7, 'servers.a__b.what'],
      [8, 'servers.c.env.N'],
      [9, 'servers.d.url'],
    ]);
  });

  test('a file that cannot be read, and one of no known format', async () => {
    const files = memoryFiles({});
    const missing = await loadConfig(files, { path: '/x/s.yaml', shown: 's.yaml', env: {} });
    expect(missing).toMatchObject({
      ok: false,
      problems: [{ code: 'GW_CONFIG_READ', file: 's.yaml', line: 0, detail: 'found no such file' }],
    });
    expect(await problems('x', 'sluice.ini')).toMatchObject([{ code: 'GW_CONFIG_READ' }]);
  });

  test('a file that is no PEM', async () => {
    const found = await problems(
      'listen: { tls: { cert: c, key: k } }\nservers: { a: { command: x } }',
      'sluice.yaml',
      { '/etc/s/c': PEM, '/etc/s/k': PEM },
    );
    expect(found).toMatchObject([{ code: 'GW_CONFIG_VALUE', key: 'listen.tls.key' }]);
  });
});

describe('secrets', () => {
  test('no value of headers, env, args, keys that sound secret, URLs with credentials, or the environment is shown', async () => {
    const secret = 'hunter2';
    const found = await problems(`
apiToken: ${secret}
listen: { tls: { cert: 5, key: [${secret}] } }
servers:
  a: { url: "ftp://me:${secret}@host/?token=${secret}", headers: { X: "${secret}\\n", "Authorization: Bearer ${secret}": x } }
  b: { command: x, env: { A: [${secret}], "TOKEN=${secret}": x }, args: ${secret} }
  c: { command: x, args: [5, { ${secret}: 1 }], password: ${secret} }
  d: { url: "http://x", headers: ["Authorization: ${secret}"] }
  e: { url: "http://x", connectionsMax: "\${TOKEN}" }
  f: { url: "\${TOKEN}" }
`);
    const text = found.map(problemLine).join('\n');
    expect(found.length).toBeGreaterThanOrEqual(13);
    expect(text).not.toContain(secret);
    expect(text).not.toContain('sk-environment-secret');
    expect(text).toContain("found 'ftp://host/?…'");
  });
});
