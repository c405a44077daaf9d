// Tests of compiling a configuration into a Snapshot.
// Promises: configurations come through the schema, as they do in life.
import { describe, expect, test } from 'bun:test';
import { GatewayError } from '../../../src/base/errors.ts';
import { allowedHosts, compile } from '../../../src/control/compile.ts';
import { configSchema } from '../../../src/control/schema.ts';
import type { Snapshot } from '../../../src/snapshot.ts';

function snapshot(
  value: unknown,
  env: Record<string, string> = {},
  material: ReadonlyMap<string, string> = new Map(),
): Snapshot {
  return compile({ config: configSchema.parse(value), material, env, epoch: 1 });
}

const A = { a: { command: 'x' } };
const AB = { b: { url: 'http://b.example/mcp' }, a: { command: 'x' } };

describe('endpoints', () => {
  test('/mcp for all in the order of the file, /mcp/<name> for each', () => {
    expect(snapshot({ servers: AB }).endpoints).toEqual([
      { name: '', path: '/mcp', members: [0, 1], prefixed: true },
      { name: 'b', path: '/mcp/b', members: [0], prefixed: false },
      { name: 'a', path: '/mcp/a', members: [1], prefixed: false },
    ]);
  });

  test('one server stands unprefixed, unless always is asked for', () => {
    expect(snapshot({ servers: A }).endpoints[0]?.prefixed).toBe(false);
    expect(snapshot({ servers: A, prefix: 'always' }).endpoints[0]?.prefixed).toBe(true);
    expect(
      snapshot({ servers: { ...A, off: { command: 'y', disabled: true } } }).endpoints[0]?.prefixed,
    ).toBe(false);
  });

  test('disabled servers are not there', () => {
    const { servers, endpoints } = snapshot({ servers: { ...AB, a: { command: 'x', disabled: true } } });
    expect(servers.map((server) => server.name)).toEqual(['b']);
    expect(endpoints.map((endpoint) => endpoint.path)).toEqual(['/mcp', '/mcp/b']);
  });
});

describe('replicas', () => {
  const place = (port: number) => ({ url: `http://docs.example:${port}/mcp` });

  test('the first is the target, the others stand beside it, and all have the options of the server', () => {
    const server = { replicas: [place(1), place(2), place(3)], headers: { 'X-Key': 'k' }, connectionsMax: 7 };
    const [compiled] = snapshot({ servers: { docs: server } }).servers;
    const all = [compiled?.target, ...(compiled?.replicas ?? [])];
    expect(all.map((one) => (one?.kind === 'http' ? one.port : 0))).toEqual([1, 2, 3]);
    for (const one of all) expect(one).toMatchObject({ headers: ['x-key', 'k'], connectionsMax: 7 });
  });

  test('one alone is as good as a url', () => {
    const [one] = snapshot({ servers: { docs: { replicas: [place(1)] } } }).servers;
    const [other] = snapshot({ servers: { docs: place(1) } }).servers;
    expect(one).toEqual(other);
  });

  test.each([
    ['both', { ...place(1), replicas: [place(2)] }],
    ['neither', { headers: {} }],
    ['none', { replicas: [] }],
    ['no url', { replicas: [{}] }],
  ])('%s is refused', (_what, server) => {
    expect(configSchema.safeParse({ servers: { docs: server } }).success).toBe(false);
  });
});

describe('hosts', () => {
  const loopback = ['localhost', '127.0.0.1', '[::1]'];
  test.each([
    ['127.0.0.1', undefined, loopback],
    ['::1', undefined, loopback],
    ['[::1]', undefined, loopback],
    ['localhost', undefined, loopback],
    ['0.0.0.0', undefined, loopback],
    ['::', undefined, loopback],
    ['10.0.0.5', undefined, [...loopback, '10.0.0.5']],
    ['fd00::5', undefined, [...loopback, '[fd00::5]']],
    ['Gate.Example', undefined, [...loopback, 'gate.example']],
    ['127.0.0.1', ['A.example', 'a.example'], ['a.example']],
    ['0.0.0.0', ['*'], null],
    ['0.0.0.0', ['a', '*'], null],
  ])('listening on %p with %p', (host, configured, hosts) => {
    expect(allowedHosts(host, configured)).toEqual(hosts);
  });

  test('origins and CORS headers in lower case, * for any', () => {
    const { front } = snapshot({
      servers: A,
      listen: { allowedOrigins: ['https://App.example'], corsHeaders: ['Mcp-Param-Region'] },
    });
    expect(front.allowedOrigins).toEqual(['https://app.example']);
    expect(front.corsHeaders).toEqual(['mcp-param-region']);
    expect(snapshot({ servers: A, listen: { allowedOrigins: ['*'] } }).front.allowedOrigins).toBeNull();
  });
});

describe('an HTTP server', () => {
  function target(server: Record<string, unknown>, material?: ReadonlyMap<string, string>) {
    const compiled = snapshot({ servers: { s: server } }, {}, material).servers[0]?.target;
    if (compiled?.kind !== 'http') throw new TypeError('no HTTP target');
    return compiled;
  }

  test.each([
    ['http://h/mcp', { secure: false, host: 'h', port: 80, path: '/mcp', url: 'http://h/mcp' }],
    ['https://h', { secure: true, host: 'h', port: 443, path: '/', url: 'https://h/' }],
    [
      'HTTPS://H.Example:8443/a/b?k=v',
      { secure: true, host: 'h.example', port: 8443, path: '/a/b?k=v', url: 'https://h.example:8443/a/b' },
    ],
    ['http://[::1]:9/x', { host: '::1', port: 9, url: 'http://[::1]:9/x' }],
    ['http://h/a b', null],
    ['http://münchen.example/', { host: 'xn--mnchen-3ya.example' }],
  ])('%p', (url, expected) => {
    if (expected === null) expect(() => target({ url })).toThrow();
    else expect(target({ url })).toMatchObject(expected);
  });

  test('headers in lower case; the later spelling of one name counts; credentials become Basic authentication', () => {
    expect(target({ url: 'http://h/', headers: { 'X-A': '1', 'x-a': '2', B: '3' } }).headers).toEqual([
      'x-a',
      '2',
      'b',
      '3',
    ]);
    const basic = target({ url: 'http://me:p%40ss%C3%A9@h/' });
    expect(basic.headers).toEqual(['authorization', `Basic ${Buffer.from('me:p@ssé').toString('base64')}`]);
    expect(basic.url).toBe('http://h/');
    expect(target({ url: 'http://me:p@h/', headers: { Authorization: 'Bearer x' } }).headers).toEqual([
      'authorization',
      'Bearer x',
    ]);
  });

  test('PEM texts are in it, paths are not', () => {
    const material = new Map([['/ca.pem', 'CA TEXT']]);
    expect(
      target({ url: 'https://h/', tls: { ca: '/ca.pem', serverName: 'n', verify: false } }, material).tls,
    ).toEqual({
      serverName: 'n',
      ca: 'CA TEXT',
      cert: null,
      key: null,
      verify: false,
    });
    expect(() => target({ url: 'https://h/', tls: { ca: '/ca.pem' } })).toThrow(GatewayError);
  });
});

describe('a process', () => {
  const env = {
    PATH: '/bin',
    HOME: '/h',
    LC_ALL: 'C',
    LANG: 'en',
    SECRET: 's',
    TOKEN: 't',
    LD_PRELOAD: '/evil.so',
    NODE_OPTIONS: 'x',
  };
  function childEnv(server: Record<string, unknown>) {
    const target = snapshot({ servers: { s: { command: 'x', ...server } } }, env).servers[0]?.target;
    return target?.kind === 'stdio' ? target.env : null;
  }

  test('gets a clean environment', () => {
    expect(childEnv({})).toEqual({ PATH: '/bin', HOME: '/h', LC_ALL: 'C', LANG: 'en' });
  });

  test('gets what is named and what is set; what is set wins', () => {
    expect(childEnv({ inheritEnv: ['TOKEN', 'ABSENT'], env: { HOME: '/other', X: 'y' } })).toEqual({
      PATH: '/bin',
      HOME: '/other',
      LC_ALL: 'C',
      LANG: 'en',
      TOKEN: 't',
      X: 'y',
    });
  });
});

describe('a snapshot', () => {
  test('is frozen all the way and crosses threads', () => {
    const made = snapshot({ servers: AB, listen: { allowedHosts: ['h'] } });
    const visit = (value: unknown): void => {
      if (value === null || typeof value !== 'object') return;
      expect(Object.isFrozen(value)).toBe(true);
      Object.values(value).forEach(visit);
    };
    visit(made);
    expect(structuredClone(made)).toEqual(made);
  });

  test('carries limits, deadlines and the listener', () => {
    const made = snapshot({
      servers: { a: { command: 'x', queueDepthMax: 7, timeouts: { connectMs: 11, totalMs: 200_000 } } },
      listen: { host: '[::1]', port: 1 },
      limits: { drainMs: 5 },
    });
    expect(made.listen).toMatchObject({ host: '::1', port: 1, tls: null, http2: false });
    expect(made.front).toMatchObject({ drainMs: 5, headerCountMax: 96 });
    expect(made.servers[0]).toMatchObject({
      queueDepthMax: 7,
      connectTimeoutMs: 11,
      totalTimeoutMs: 200_000,
    });
  });

  test('is not made of what the schema would have refused', () => {
    const config = configSchema.parse({ servers: A });
    const make = (changed: Partial<typeof config>) => () =>
      compile({ config: { ...config, ...changed }, material: new Map(), env: {}, epoch: 1 });
    expect(make({ listen: { ...config.listen, http2: true } })).toThrow('HTTP/2');
    expect(make({ listen: { ...config.listen, port: 70_000 } })).toThrow('port');
    const server = config.servers.a;
    if (server === undefined) throw new TypeError('no server');
    expect(make({ servers: { a__b: server } })).toThrow('server name');
  });
});
