// Tests of what guards the admin listener, and of what its figures are made of, without a listener.
// Called by `bun test`. Promises: no clock but the simulated one.
import { describe, expect, test } from 'bun:test';
import { LIMITS } from '../../../src/base/limits.ts';
import { isSameSecret, Slowdown, siteFault } from '../../../src/control/admin/guard.ts';
import { adminToken } from '../../../src/control/admin/token.ts';
import { Histogram } from '../../../src/memory/histogram.ts';
import { SILENT } from '../../../src/observe/log.ts';
import { createSimRuntime } from '../../../src/runtime/sim.ts';

const settings = {
  token: 'x',
  allowedHosts: ['localhost', '[::1]'],
  allowedOrigins: ['https://proxy.example'],
};
const fault = (headers: Record<string, string>, isPage = false): string | null =>
  siteFault(new Headers({ host: 'localhost:8701', ...headers }), settings, isPage)?.code ?? null;

describe('where a request is from', () => {
  test('this host’s own page, a tool without a page, and a proxy that is named', () => {
    expect(fault({})).toBeNull();
    expect(fault({ origin: 'http://localhost:8701', 'sec-fetch-site': 'same-origin' })).toBeNull();
    expect(fault({ host: '[::1]:8701', origin: 'http://[::1]:8701' })).toBeNull();
    expect(fault({ origin: 'https://Proxy.example', 'sec-fetch-site': 'same-origin' })).toBeNull();
  });

  test('everything else is refused', () => {
    expect(fault({ origin: 'http://localhost:8702' })).toBe('GW_ADMIN_SITE');
    expect(fault({ origin: 'http://localhost' })).toBe('GW_ADMIN_SITE');
    expect(fault({ origin: 'null' })).toBe('GW_ADMIN_SITE');
    expect(fault({ 'sec-fetch-site': 'same-site' })).toBe('GW_ADMIN_SITE');
    expect(fault({ host: 'evil.example' })).toBe('GW_SERVER_HOST');
    expect(fault({ host: 'localhost:8701, evil.example' })).toBe('GW_SERVER_HOST');
    expect(fault({ host: '' })).toBe('GW_SERVER_HOST');
  });

  test('a page may be navigated to from anywhere, and fetched from nowhere else', () => {
    const link = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' };
    expect(fault(link, true)).toBeNull();
    expect(fault(link, false)).toBe('GW_ADMIN_SITE');
    expect(fault({ ...link, 'sec-fetch-mode': 'cors' }, true)).toBe('GW_ADMIN_SITE');
    expect(fault({ ...link, origin: 'https://evil.example' }, true)).toBe('GW_ADMIN_SITE');
  });
});

test('secrets are the same only when every character is', () => {
  expect(isSameSecret('abc', 'abc')).toBe(true);
  for (const other of ['', 'ab', 'abcd', 'abd', 'abcabc', 'Abc'])
    expect(isSameSecret(other, 'abc')).toBe(false);
  expect(isSameSecret('', 'a')).toBe(false);
});

describe('wrong tokens', () => {
  test('the first are answered at once, later ones wait, and too many at a time are told so', async () => {
    const slow = new Slowdown(createSimRuntime({ seed: 1 }).clock);
    for (let n = 0; n < LIMITS.adminTriesFree; n++) expect((await slow.wrong()).code).toBe('GW_ADMIN_TOKEN');
    // The simulated clock stands still: these wait for good.
    for (let n = 0; n < LIMITS.adminTriesMax; n++) void slow.wrong();
    expect((await slow.wrong()).code).toBe('GW_ADMIN_TRIES');
    slow.right();
    expect((await slow.wrong()).code).toBe('GW_ADMIN_TOKEN');
  });
});

describe('the token', () => {
  test('is made once and kept; what is configured comes before', async () => {
    const { files, random } = createSimRuntime({ seed: 2 });
    const tools = { files, random, log: SILENT };
    const first = await adminToken(tools, { configured: undefined, folder: '/data' });
    expect(first).toMatchObject({ isNew: true });
    expect(first.token).toMatch(/^[\w-]{43}$/);
    const again = await adminToken(tools, { configured: undefined, folder: '/data' });
    expect(again).toEqual({ token: first.token, isNew: false });
    const told = await adminToken(tools, { configured: 'my-own-token-0123', folder: '/data' });
    expect(told).toEqual({ token: 'my-own-token-0123', isNew: false });
    const nowhere = await adminToken(tools, { configured: undefined, folder: null });
    expect(nowhere.isNew).toBe(true);
    expect(nowhere.token).not.toBe(first.token);
  });
});

test('a histogram tells what was recorded since a copy of it', () => {
  const all = new Histogram();
  for (let n = 0; n < 100; n++) all.record(10);
  const copy = new Histogram();
  copy.add(all);
  for (let n = 0; n < 50; n++) all.record(1_000);
  const since = all.since(copy);
  expect(since.count).toBe(50);
  expect(since.percentileUs(1)).toBeCloseTo(1_000, -2);
  expect(since.meanUs).toBe(1_000);
  expect(all.since(all).count).toBe(0);
});
