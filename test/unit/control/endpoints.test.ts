// Endpoints of the configuration: what they become, and what is refused about them.
// Run by `bun test`; on files in memory.
import { expect, test } from 'bun:test';
import { compileEndpoints } from '../../../src/control/endpoints.ts';
import { configSchema } from '../../../src/control/schema.ts';

const SERVERS = { a: { url: 'http://127.0.0.1:1/mcp' }, b: { command: 'x' } };
const compiled = (more: object, names = ['a', 'b']) =>
  compileEndpoints(names, configSchema.parse({ servers: SERVERS, ...more }));

test('what shows everything by the rule has no view', () => {
  expect(compiled({})).toEqual([
    { name: '', path: '/mcp', members: [0, 1], prefixed: true },
    { name: 'a', path: '/mcp/a', members: [0], prefixed: false },
    { name: 'b', path: '/mcp/b', members: [1], prefixed: false },
  ]);
  const more = { all: {}, one: { servers: ['b'] }, back: { servers: ['b', 'a'], prefix: 'always' } };
  expect(compiled({ endpoints: more }).slice(3)).toEqual([
    { name: 'all', path: '/mcp/all', members: [0, 1], prefixed: true },
    { name: 'one', path: '/mcp/one', members: [1], prefixed: false },
    { name: 'back', path: '/mcp/back', members: [1, 0], prefixed: true },
  ]);
});

test('own names, choices and disabled servers', () => {
  expect(compiled({ prefix: 'never' })[0]).toMatchObject({
    prefixed: false,
    view: { names: 'own', tools: { allow: null } },
  });
  expect(compiled({ prefix: 'never' }, ['a'])[0]?.view).toBeUndefined();
  const endpoints = { x: { servers: ['a'], tools: { deny: ['y'] } }, gone: { servers: ['b'] } };
  const found = compiled({ endpoints }, ['a']).slice(2);
  expect(found).toMatchObject([
    { name: 'x', members: [0], prefixed: false, view: { names: 'own', tools: { allow: null, deny: ['y'] } } },
  ]);
  expect(found.length).toBe(1);
});

test('what cannot be meant is refused, with its place', () => {
  const placesOf = (endpoints: unknown): readonly string[] =>
    (configSchema.safeParse({ servers: SERVERS, endpoints }).error?.issues ?? [])
      .map(({ path }) => path.join('.'))
      .sort();
  const x = { servers: ['c', 'a', 'a'], tools: { rename: { p: 'q', r: 'q' }, allow: ['/(a+)+/'] } };
  expect(placesOf({ a: {}, x })).toEqual([
    'endpoints.a',
    'endpoints.x.servers.0',
    'endpoints.x.servers.2',
    'endpoints.x.tools.allow.0',
    'endpoints.x.tools.rename.r',
  ]);
  expect(placesOf({ x: 5 })).toEqual(['endpoints.x']);
  expect(placesOf('x')).toEqual(['endpoints']);
  expect(placesOf({ x: { tools: 7, servers: [1] } })).toEqual(['endpoints.x.servers.0', 'endpoints.x.tools']);
});

test('policies: what is said and no more; servers stay as they are', () => {
  const policy = {
    timeoutMs: 500,
    retries: { max: 0 },
    hedge: { enabled: true },
    concurrencyMax: 7,
    cache: false,
    tools: { 'a__*': { timeoutMs: 50 } },
  };
  const [own, empty] = compiled({ endpoints: { x: { policy }, y: { policy: {} } } }).slice(3);
  expect(own?.policy).toEqual({
    ...{ timeoutMs: 500, retries: { max: 0 }, hedge: { enabled: true }, concurrencyMax: 7, isCached: false },
    tools: [{ pattern: 'a__*', timeoutMs: 50 }],
  });
  expect([own?.view, empty !== undefined && 'policy' in empty]).toEqual([undefined, false]);
  const odd = {
    timeoutMs: 1,
    retries: { max: 11, often: 1 },
    hedge: true,
    tools: { '': {} },
    idempotencyKey: 'all',
  };
  const { error } = configSchema.safeParse({ servers: SERVERS, endpoints: { x: { policy: odd } } });
  const places = (error?.issues ?? []).map(({ path }) => path.slice(3).join('.'));
  expect([...new Set(places)].sort()).toEqual(['', 'hedge', 'retries', 'retries.max', 'timeoutMs', 'tools.']);
});
