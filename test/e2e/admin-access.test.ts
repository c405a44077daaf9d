// Who gets into the admin listener of a real gateway: tokens, cookies, other sites, names that a page may have been rebound to.
// Called by `bun test`. Promises: every way in and every refusal through the real program.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type AdminGateway, adminUrlOf, startAdmin, TOKEN } from '../fixtures/admin.ts';
import { startGateway, stopAll } from '../fixtures/harness.ts';

const NOWHERE = { far: { url: 'http://127.0.0.1:9/mcp' } };
let admin: AdminGateway;

// Machines that are busy with other things take seconds to start a gateway.
setDefaultTimeout(60_000);

beforeAll(async () => {
  admin = await startAdmin(NOWHERE);
});
afterAll(stopAll);

/** What came back of a request that fetch() would not let a page's script make. */
interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: Readonly<Record<string, unknown>>;
}

function raw(
  path: string,
  headers: Readonly<Record<string, string>>,
  method = 'GET',
  body = '',
): Promise<Answer> {
  const { hostname, port } = new URL(admin.adminUrl);
  return new Promise((resolve, reject) => {
    const sent = request({ hostname, port, path, method, headers, agent: false }, (reply) => {
      let text = '';
      reply.on('data', (bytes) => {
        text += String(bytes);
      });
      reply.on('end', () =>
        resolve({
          status: reply.statusCode ?? 0,
          headers: reply.headers,
          body: text.startsWith('{') ? JSON.parse(text) : {},
        }),
      );
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

const bearer = { authorization: `Bearer ${TOKEN}` };

async function cookie(): Promise<string> {
  const reply = await fetch(`${admin.adminUrl}/api/v1/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ token: TOKEN }),
    // The refusals before may have ended the connection that fetch() would take: a POST is not sent again.
    keepalive: false,
  });
  expect(reply.status).toBe(204);
  const set = reply.headers.get('set-cookie') ?? '';
  expect(set).toContain('HttpOnly');
  expect(set).toContain('SameSite=Strict');
  expect(set).toContain('Path=/');
  expect(set).not.toContain(TOKEN);
  return set.split(';')[0] ?? '';
}

describe('without a token', () => {
  const guarded = [
    ['GET', '/api/v1/status'],
    ['GET', '/api/v1/servers'],
    ['POST', '/api/v1/servers'],
    ['DELETE', '/api/v1/servers/far'],
    ['POST', '/api/v1/drain'],
    ['GET', '/api/v1/events'],
    ['GET', '/api/v1/config'],
    ['GET', '/api/v1/export?secrets=1'],
    ['POST', '/api/v1/mcp'],
    ['GET', '/api/v1/openapi.json'],
    ['GET', '/metrics'],
    ['GET', '/nothing/here'],
  ] as const;
  for (const [method, path] of guarded)
    test(`${method} ${path} is refused`, async () => {
      const { status, headers, body } = await raw(path, {}, method);
      expect(status).toBe(401);
      expect(headers['www-authenticate']).toStartWith('Bearer');
      expect(headers['content-type']).toBe('application/problem+json');
      expect(body).toMatchObject({ status: 401, code: 'GW_ADMIN_TOKEN', instance: path.split('?')[0] });
    });

  for (const path of ['/healthz', '/readyz', '/'])
    test(`${path} answers`, async () => {
      expect((await raw(path, {})).status).toBe(200);
    });

  test('the page forbids what is not its own', async () => {
    const { headers } = await raw('/', {});
    const policy = String(headers['content-security-policy']);
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("script-src 'self';");
    expect(policy).not.toContain('unsafe');
    expect(headers['x-frame-options']).toBe('DENY');
  });
});

describe('with a token', () => {
  test('the right one gets in', async () => {
    expect((await raw('/api/v1/status', bearer)).status).toBe(200);
  });

  const wrong = [
    `Bearer ${TOKEN}x`,
    `Bearer ${TOKEN.slice(1)}`,
    `Bearer ${TOKEN.toUpperCase()}`,
    `Basic ${btoa(`admin:${TOKEN}`)}`,
    'Bearer',
    TOKEN,
  ];
  for (const authorization of wrong)
    test(`${JSON.stringify(authorization)} does not`, async () => {
      expect((await raw('/api/v1/status', { authorization })).status).toBe(401);
    });

  test('many wrong ones at once are not all answered with a look, and the right one still gets in', async () => {
    const tries = Array.from({ length: 40 }, () => raw('/api/v1/status', { authorization: 'Bearer wrong' }));
    const right = await raw('/api/v1/status', bearer);
    const statuses = (await Promise.all(tries)).map(({ status }) => status);
    expect(right.status).toBe(200);
    expect(new Set(statuses)).toEqual(new Set([401, 429]));
  });
});

describe('with a cookie', () => {
  test('it gets in, changes only with the header, and is over after logging out', async () => {
    const held = await cookie();
    expect((await raw('/api/v1/status', { cookie: held })).status).toBe(200);
    const without = await raw('/api/v1/caches/purge', { cookie: held }, 'POST');
    expect(without.status).toBe(403);
    expect(without.body.code).toBe('GW_ADMIN_SITE');
    const csrf = { cookie: held, 'x-sluice-csrf': '1' };
    expect((await raw('/api/v1/caches/purge', csrf, 'POST')).status).toBe(200);
    expect((await raw('/api/v1/logout', csrf, 'POST')).status).toBe(204);
    expect((await raw('/api/v1/status', { cookie: held })).status).toBe(401);
  });

  test('one that was not signed here is nothing', async () => {
    const [name = '', value = ''] = (await cookie()).split('=');
    for (const forged of [
      `${name}=${value.slice(0, -4)}AAA%3D`,
      `${name}=1.00000000000000000000000000000000.x`,
      `${name}=`,
    ])
      expect((await raw('/api/v1/status', { cookie: forged })).status).toBe(401);
  });

  test('a wrong token gives none', async () => {
    const body = JSON.stringify({ token: 'wrong-wrong-wrong' });
    const reply = await raw('/api/v1/login', { 'content-type': 'application/json' }, 'POST', body);
    expect(reply.status).toBe(401);
    expect(reply.headers['set-cookie']).toBeUndefined();
  });
});

describe('from other sites', () => {
  const strangers: readonly (readonly [string, Readonly<Record<string, string>>])[] = [
    ['a foreign Origin', { origin: 'https://evil.example' }],
    ['a null Origin', { origin: 'null' }],
    ['an Origin on another port of this host', { origin: 'http://127.0.0.1:1' }],
    ['Sec-Fetch-Site: cross-site', { 'sec-fetch-site': 'cross-site' }],
    ['Sec-Fetch-Site: same-site', { 'sec-fetch-site': 'same-site' }],
    ['a navigation to the API', { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' }],
  ];
  for (const [what, headers] of strangers)
    test(`${what} is refused, token or not`, async () => {
      const { status, body } = await raw('/api/v1/status', { ...bearer, ...headers });
      expect(status).toBe(403);
      expect(body.code).toBe('GW_ADMIN_SITE');
      const login = await raw(
        '/api/v1/login',
        { ...headers, 'content-type': 'application/json' },
        'POST',
        JSON.stringify({ token: TOKEN }),
      );
      expect(login.status).toBe(403);
      expect(login.headers['set-cookie']).toBeUndefined();
    });

  test('a host name that is not this host’s (DNS rebinding) is refused, token or not', async () => {
    for (const host of ['evil.example', 'evil.example:80', '127.0.0.1.evil.example', 'localhost.', 'a b']) {
      for (const path of ['/api/v1/status', '/', '/healthz']) {
        const { status, body } = await raw(path, { ...bearer, host });
        expect([host, path, status]).toEqual([host, path, host === 'a b' ? status : 403]);
        if (status === 403) expect(body.code).toBe('GW_SERVER_HOST');
        expect(status).not.toBe(200);
      }
    }
  });

  test('this host’s own page is let in by every name of loopback', async () => {
    const { port } = new URL(admin.adminUrl);
    for (const name of ['127.0.0.1', 'localhost', '[::1]']) {
      const host = `${name}:${port}`;
      const own = { ...bearer, host, origin: `http://${host}`, 'sec-fetch-site': 'same-origin' };
      expect((await raw('/api/v1/status', own)).status).toBe(200);
    }
  });

  test('a link to the page may be followed from anywhere', async () => {
    const link = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' };
    expect((await raw('/', link)).status).toBe(200);
  });

  test('no page of another site is told that it may read anything', async () => {
    const { headers } = await raw('/api/v1/status', { ...bearer, origin: 'https://evil.example' }, 'OPTIONS');
    expect(headers['access-control-allow-origin']).toBeUndefined();
  });
});

describe('the token itself', () => {
  test('is made once, printed once, kept for this user alone', async () => {
    const state = mkdtempSync(join(tmpdir(), 'sluice-e2e-'));
    try {
      const first = await startGateway(NOWHERE, {}, { XDG_STATE_HOME: state });
      const path = join(state, 'sluice', 'admin.token');
      const token = readFileSync(path, 'utf8').trim();
      expect(token.length).toBe(43);
      expect(statSync(path).mode & 0o777).toBe(0o600);
      expect(first.stderr().split('\n')).toContain(`dashboard: ${adminUrlOf(first)}/#token=${token}`);
      await first.stop();
      const second = await startGateway(NOWHERE, {}, { XDG_STATE_HOME: state });
      expect(second.stderr()).not.toContain(token);
      const reply = await fetch(`${adminUrlOf(second)}/api/v1/status`, {
        headers: { authorization: `Bearer ${token}` },
      });
      expect(reply.status).toBe(200);
      await second.stop();
    } finally {
      rmSync(state, { recursive: true, force: true });
    }
  });

  test('admin.enabled: false listens nowhere', async () => {
    const gateway = await startGateway(NOWHERE, { admin: { enabled: false } });
    expect(adminUrlOf(gateway)).toBe('');
    expect(gateway.stderr()).not.toContain('dashboard');
  });

  test('a port that was chosen and is taken ends the start', async () => {
    const port = Number(new URL(admin.adminUrl).port);
    await expect(startGateway(NOWHERE, { admin: { port } })).rejects.toThrow('GW_RUNTIME_LISTEN');
  });
});
