// Settings of servers on the command line → merge patches, and which gateway and token are meant.
// Runs src/cli/operate/settings.ts and admin-place.ts. Promises: files in memory; no request is made.
import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { findAdmin, type PlaceOptions } from '../../../src/cli/operate/admin-place.ts';
import { Refusal } from '../../../src/cli/operate/refusal.ts';
import { type GivenSettings, settingsPatch } from '../../../src/cli/operate/settings.ts';
import { fakeWorld } from './fake-world.ts';

function patch(given: GivenSettings): unknown {
  const made = settingsPatch(given);
  return made instanceof Refusal ? made.why : made;
}

describe('settings', () => {
  test.each([
    [{}, {}],
    [{ url: 'http://x/mcp' }, { url: 'http://x/mcp' }],
    [{ command: ['npx'] }, { command: 'npx' }],
    [{ command: ['npx', '-y', 'a b'] }, { command: 'npx', args: ['-y', 'a b'] }],
    [{ header: ['A=1', 'B: x: y=z '] }, { headers: { A: '1', B: 'x: y=z' } }],
    [{ header: ['Authorization=Bearer ${TOKEN}'] }, { headers: { Authorization: 'Bearer ${TOKEN}' } }],
    [{ env: ['PORT=80', 'EMPTY=', 'E=a=b'] }, { env: { PORT: '80', EMPTY: '', E: 'a=b' } }],
    [{ set: ['a=1', 'b=true', 'c=null', 'd=text', 'e="1"'] }, { a: 1, b: true, c: null, d: 'text', e: '1' }],
    [{ set: ['breaker.failures=5', 'breaker.openMs=9'] }, { breaker: { failures: 5, openMs: 9 } }],
    [{ set: ['args=["-y"]', 'url=http://x/?a=b'] }, { args: ['-y'], url: 'http://x/?a=b' }],
    [{ set: ['env.PORT=80', 'headers.X-A=true'] }, { env: { PORT: '80' }, headers: { 'X-A': 'true' } }],
    [{ set: ['tools["a.b=c"].timeoutMs=3'] }, { tools: { 'a.b=c': { timeoutMs: 3 } } }],
    [{ set: ['tools.report_*.retries=0'] }, { tools: { 'report_*': { retries: 0 } } }],
    [{ set: ['["a"].b=1'] }, { a: { b: 1 } }],
    [{ set: ['a=1', 'a.b=2'] }, { a: { b: 2 } }],
    [{ set: ['constructor.x=1'] }, { constructor: { x: 1 } }],
    [{ unset: ['a', 'headers.X-Old'] }, { a: null, headers: { 'X-Old': null } }],
  ] as readonly [GivenSettings, unknown][])('%j', (given, expected) => {
    expect(patch(given)).toEqual(expected);
  });

  test.each([
    [{ header: ['secret'] }, '--header'],
    [{ header: ['a b=secret'] }, '--header'],
    [{ env: ['=secret'] }, '--env'],
    [{ set: ['secret'] }, '--set'],
    [{ set: ['=secret'] }, '--set'],
    [{ set: ['a..b=secret'] }, 'a key'],
    [{ set: ['.a=secret'] }, 'a key'],
    [{ set: ['a[0]=secret'] }, 'a key'],
    [{ set: ['a["b=secret'] }, '--set'],
    [{ set: ['__proto__.x=secret'] }, 'a key'],
    [{ unset: [''] }, 'a key'],
  ] as readonly [GivenSettings, string][])('%j is refused without its value', (given, said) => {
    const refusal = settingsPatch(given);
    expect(refusal).toBeInstanceOf(Refusal);
    if (!(refusal instanceof Refusal)) return;
    expect(refusal.exitCode).toBe(2);
    expect(refusal.why).toContain(said);
    expect(refusal.why).not.toContain('secret');
  });

  test('every path of names can be written, and every value comes through', () => {
    const name = fc.string({ minLength: 1 }).filter((text) => text !== '__proto__');
    fc.assert(
      fc.property(fc.array(name, { minLength: 1, maxLength: 4 }), fc.jsonValue(), (path, value) => {
        fc.pre(path[0] !== 'env' && path[0] !== 'headers');
        const key = path.map((part) => `[${JSON.stringify(part)}]`).join('');
        const wanted = path.reduceRight<unknown>((inner, part) => ({ [part]: inner }), value);
        expect(JSON.stringify(patch({ set: [`${key}=${JSON.stringify(value)}`] }))).toBe(
          JSON.stringify(wanted),
        );
      }),
      { numRuns: 200 },
    );
  });
});

describe('which gateway, and which token', () => {
  const FILES = {
    '/h/.local/state/sluice/admin.token': 'kept-token\n',
    '/other/admin.token': 'other-token\n',
    '/etc/s/own.yaml': 'admin: { port: 9000, token: configured-token-1 }\nservers: {}\n',
    '/etc/s/data.yaml': 'dataDir: /other\nadmin: { host: 0.0.0.0 }\nservers: {}\n',
    '/etc/s/far.yaml': 'dataDir: /other\nadmin: { host: 10.0.0.9, port: 1 }\nservers: {}\n',
    '/etc/s/six.yaml': 'dataDir: /other\nadmin: { host: "::1" }\nservers: {}\n',
    '/etc/s/any.yaml': 'listen: { port: 0 }\nservers: {}\n',
    '/etc/s/off.yaml': 'admin: { enabled: false }\nservers: {}\n',
    '/etc/s/wrong.yaml': 'servers: 1\n',
  };
  const find = (
    options: PlaceOptions,
    env: Record<string, string> = {},
    files: Record<string, string> = FILES,
  ) => findAdmin(fakeWorld({ files, env: { HOME: '/h', ...env } }).world, options);

  test.each([
    [{}, {}, 'http://127.0.0.1:8701', 'kept-token'],
    [{ admin: 'localhost:9' }, {}, 'http://localhost:9', 'kept-token'],
    [{ admin: 'http://[::1]:9/x/' }, {}, 'http://[::1]:9/x', 'kept-token'],
    [{ token: 't' }, {}, 'http://127.0.0.1:8701', 't'],
    [{}, { SLUICE_ADMIN_TOKEN: 'e' }, 'http://127.0.0.1:8701', 'e'],
    [{ token: 't' }, { SLUICE_ADMIN_TOKEN: 'e' }, 'http://127.0.0.1:8701', 't'],
    [{ admin: 'https://far.example', token: 't' }, {}, 'https://far.example', 't'],
    [{ config: '/etc/s/own.yaml' }, {}, 'http://127.0.0.1:9000', 'configured-token-1'],
    [{ config: '/etc/s/data.yaml' }, {}, 'http://127.0.0.1:8701', 'other-token'],
    [{ config: '/etc/s/far.yaml' }, {}, 'http://10.0.0.9:1', 'other-token'],
    [{ config: '/etc/s/six.yaml' }, {}, 'http://[::1]:8701', 'other-token'],
    [{ config: '/etc/s/any.yaml', admin: '127.0.0.1:5' }, {}, 'http://127.0.0.1:5', 'kept-token'],
  ] as readonly [PlaceOptions, Record<string, string>, string, string][])(
    '%j in %j: %p',
    async (options, env, url, token) => {
      expect(await find(options, env)).toMatchObject({ url, token });
    },
  );

  test.each([
    [{ admin: 'ftp://x' }, "found 'ftp://x'"],
    [{ admin: 'http://user:pass@x' }, 'cannot use --admin'],
    [{ admin: 'http://far.example' }, 'cannot use the token of this machine'],
    [{ admin: 'http://127.0.0.1.far.example' }, 'cannot use the token of this machine'],
    [{ config: '/etc/s/any.yaml' }, '--admin'],
    [{ config: '/etc/s/off.yaml' }, 'admin.enabled'],
    [{ config: '/etc/s/wrong.yaml' }, 'mend it'],
  ] as readonly [PlaceOptions, string][])('%j is refused', async (options, said) => {
    const refusal = await find(options);
    expect(refusal).toBeInstanceOf(Refusal);
    expect(refusal instanceof Refusal && refusal.exitCode).toBe(2);
    expect(refusal instanceof Refusal && refusal.why).toContain(said);
  });

  test('without a token it is said where it would be', async () => {
    const refusal = await find({}, {}, {});
    expect(refusal instanceof Refusal && refusal.why).toContain('/h/.local/state/sluice/admin.token');
  });

  test('a configuration that is found here and refused is a hint, not the end', async () => {
    const place = await find({}, {}, { ...FILES, '/work/sluice.yaml': 'servers: 1\n' });
    expect(place).toMatchObject({ url: 'http://127.0.0.1:8701', token: 'kept-token' });
    expect(!(place instanceof Refusal) && place.hint).toContain('sluice check');
  });
});
