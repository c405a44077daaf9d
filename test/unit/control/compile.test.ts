// Tests of compiling a configuration into a Snapshot.
// Promises: configurations come through the schema, as they do in life.
import { describe, expect, test } from 'bun:test';
import { GatewayError } from '../../../src/base/errors.ts';
import { LIMITS } from '../../../src/base/limits.ts';
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

  test('what is said of their parts, of outliers and of probes is theirs alone', () => {
    const weights = [{ ...place(1), weight: 95 }, { ...place(2), weight: 0 }, place(3)];
    const server = {
      replicas: weights,
      balance: { policy: 'hash', hashOn: 'argument:path' },
      health: { intervalMs: 50 },
    };
    const [compiled, single] = snapshot({ servers: { docs: server, one: place(9) } }).servers;
    expect(compiled?.replication).toMatchObject({
      weights: [95, 0, 100],
      balance: { policy: 'hash', hashOn: 'argument:path', slowStartMs: LIMITS.slowStartMs },
      outliers: { ejectMs: LIMITS.outlierEjectMs },
      health: { intervalMs: 50, timeoutMs: LIMITS.healthTimeoutMs },
    });
    expect(single).not.toHaveProperty('replication');
    const off = { ...server, outliers: { enabled: false }, health: { probe: 'none' } };
    const [without] = snapshot({ servers: { docs: off } }).servers;
    expect([without?.replication?.outliers, without?.replication?.health]).toEqual([null, null]);
  });

  test.each([
    ['all drained', { replicas: [{ ...place(1), weight: 0 }] }],
    ['a policy for one place', { ...place(1), balance: { policy: 'hash' } }],
    ['a hash on nothing', { replicas: [place(1)], balance: { hashOn: 'argument:' } }],
    [
      'an ejection longer than the longest',
      { replicas: [place(1)], outliers: { ejectMs: 9, ejectMaxMs: 8 } },
    ],
    ['both', { ...place(1), replicas: [place(2)] }],
    ['neither', { headers: {} }],
    ['none', { replicas: [] }],
    ['no url', { replicas: [{}] }],
  ])('%s is refused', (_what, server) => {
    expect(configSchema.safeParse({ servers: { docs: server } }).success).toBe(false);
  });
});

describe('a mirror', () => {
  test('gets nothing that is meant for the server alone', () => {
    const server = {
      url: 'https://docs.example/mcp',
      headers: { authorization: 'Bearer secret' },
      tls: { serverName: 'x', cert: '/c', key: '/k', ca: '/ca' },
      mirror: {
        url: 'https://u:p@next.example/mcp',
        percent: 5,
        headers: { 'X-Key': 'k' },
        forwardHeaders: ['X-Tenant'],
      },
    };
    const pem = new Map(['/c', '/k', '/ca'].map((path) => [path, `PEM of ${path}`]));
    const mirror = snapshot({ servers: { docs: server } }, {}, pem).servers[0]?.mirror;
    expect(mirror).toMatchObject({ percent: 5, all: false, forwardHeaders: ['x-tenant'] });
    expect(mirror?.target).toMatchObject({
      ...{ host: 'next.example', headers: ['x-key', 'k', 'authorization', `Basic ${btoa('u:p')}`] },
      ...{ url: 'https://next.example/mcp', connectionsMax: LIMITS.mirrorConnectionsMax },
      tls: { serverName: null, ca: 'PEM of /ca', cert: null, key: null, verify: true },
    });
  });

  test('is not there by default, nor for a process', () => {
    expect(snapshot({ servers: AB }).servers.some((spec) => 'mirror' in spec)).toBe(false);
    const mirror = { url: 'http://b.example/mcp', percent: 1 };
    expect(configSchema.safeParse({ servers: { a: { command: 'x', mirror } } }).success).toBe(false);
    expect(
      configSchema.safeParse({ servers: { a: { url: 'http://a/mcp', mirror: { url: mirror.url } } } })
        .success,
    ).toBe(false);
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

describe('policies', () => {
  test('what is left out is as LIMITS has it: repeats on, hedges and bounds off', () => {
    expect(snapshot({ servers: A }).servers[0]?.policy).toEqual({
      retries: {
        max: LIMITS.retriesMax,
        budgetPercent: LIMITS.retryBudgetPercent,
        perSecondMin: LIMITS.retriesPerSecondMin,
        backoffMs: LIMITS.retryBackoffMs,
        backoffMaxMs: LIMITS.retryBackoffMaxMs,
      },
      hedge: {
        enabled: false,
        afterPercentile: LIMITS.hedgeAfterPercentile,
        minMs: LIMITS.hedgeMinMs,
        budgetPercent: LIMITS.hedgeBudgetPercent,
      },
      idempotencyKey: 'declared',
      concurrencyMax: 0,
      tools: [],
    });
    const { perEndpointMax, perPrincipalMax, lagMaxMs } = snapshot({ servers: A }).front;
    expect([perEndpointMax, perPrincipalMax, lagMaxMs]).toEqual([0, 0, 0]);
  });

  test('rules of tools stay in their order, and say nothing that was left out', () => {
    const tools = { 'b*': { idempotent: true }, a: { timeoutMs: 50, retries: 0 }, '*': {} };
    const rules = snapshot({ servers: { a: { command: 'x', tools } } }).servers[0]?.policy?.tools;
    expect(rules).toEqual([
      { pattern: 'b*', idempotent: true },
      { pattern: 'a', timeoutMs: 50, retries: 0 },
      { pattern: '*' },
    ]);
    expect(rules?.map((rule) => Object.keys(rule).length)).toEqual([2, 3, 1]);
  });

  test('what makes no sense is refused', () => {
    for (const wrong of [
      { retries: { max: 11 } },
      { retries: { backoffMs: 200, backoffMaxMs: 100 } },
      { hedge: { afterPercentile: 100 } },
      { idempotencyKey: 'some' },
      { tools: { '': {} } },
      { tools: { a: { idempotent: 'yes' } } },
      { tools: { a: { unheard: 1 } } },
      { tools: ['a'] },
    ])
      expect([wrong, configSchema.safeParse({ servers: { a: { command: 'x', ...wrong } } }).success]).toEqual(
        [wrong, false],
      );
  });
});
