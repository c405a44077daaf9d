// The admin API of a real gateway: servers, plans, versions, breakers, traffic, live events, trying a tool, reload, drain.
// Called by `bun test`. Promises: what the API says is checked against what the data listener then does.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test';
import { writeFileSync } from 'node:fs';
import type { z } from '@hono/zod-openapi';
import type {
  Breaker,
  Exchange,
  Overview,
  Plan,
  Problem,
  Server,
  Status,
  Tool,
} from '../../src/control/admin/schemas.ts';
import { type AdminGateway, startAdmin, TOKEN } from '../fixtures/admin.ts';
import { fixtureCommand, ON_NODE, type Served, startFixture, stopAll } from '../fixtures/harness.ts';
import { nodeCanLoad } from '../fixtures/node-build.ts';
import { eventually } from '../fixtures/places.ts';

interface Change {
  readonly server: z.output<typeof Server> | null;
  readonly plan: z.output<typeof Plan>;
}
interface Items<T> {
  readonly items: readonly T[];
}
type ServerView = z.output<typeof Server>;

const MODERN_META = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientCapabilities': {},
};
const NO_PLAN = { starts: [], stops: [], changes: [], applies: [], waits: [] };

let admin: AdminGateway;
let fixture: Served;

// Machines that are busy with other things take seconds to start a gateway.
setDefaultTimeout(60_000);

beforeAll(async () => {
  fixture = await startFixture('modern');
  admin = await startAdmin({ near: fixtureCommand(), far: { url: fixture.url } });
});
afterAll(stopAll);

/** A tool call through the relay. */
function call(endpoint: string, name: string, args: unknown = {}): Promise<Response> {
  const params = { name, arguments: args, _meta: MODERN_META };
  return admin.send('POST', `/api/v1/mcp${endpoint}`, {
    jsonrpc: '2.0',
    id: 7,
    method: 'tools/call',
    params,
  });
}

async function problemOf(reply: Response): Promise<z.output<typeof Problem>> {
  expect(reply.headers.get('content-type')).toBe('application/problem+json');
  return (await reply.json()) as z.output<typeof Problem>;
}

/** Node has it from 22.5 on, the Node of these tests may be older: then a gateway there keeps nothing, and says so. */
const HAS_SQLITE = !ON_NODE || nodeCanLoad('node:sqlite');

describe('the gateway', () => {
  test('says what it is', async () => {
    const status = await admin.get<z.output<typeof Status>>('/api/v1/status');
    expect(status).toMatchObject({
      runtime: process.env.SLUICE_RUNTIME === 'node' ? 'node' : 'bun',
      url: admin.gateway.url,
      adminUrl: admin.adminUrl,
      configPath: admin.gateway.config,
      isReady: true,
      isDraining: false,
      registry: { state: HAS_SQLITE ? 'ok' : 'absent' },
    });
    expect(status.pid).toBe(admin.gateway.pid);
    expect(status.memory.rssBytes).toBeGreaterThan(0);
    expect(status.cpu.userMs).toBeGreaterThan(0);
    expect(status.workers.every(({ state }) => state === 'serving')).toBe(true);
  });

  test('shows its configuration without secrets', async () => {
    const { text } = await admin.get<{ text: string }>('/api/v1/config');
    expect(text).toContain('far:');
    expect(text).not.toContain(TOKEN);
  });

  test('has figures for Prometheus', async () => {
    const reply = await admin.ask('/metrics');
    expect(reply.headers.get('content-type')).toStartWith('text/plain');
    expect(await reply.text()).toContain('# TYPE sluice_');
  });
});

describe('servers', () => {
  test('the file’s are shown, and are not to be changed here', async () => {
    const { items } = await admin.get<Items<ServerView>>('/api/v1/servers?search=NEA');
    expect(items.map(({ name, origin, transport }) => ({ name, origin, transport }))).toEqual([
      { name: 'near', origin: 'file', transport: 'stdio' },
    ]);
    for (const [method, path] of [
      ['PUT', '/api/v1/servers/near'],
      ['PATCH', '/api/v1/servers/near'],
      ['DELETE', '/api/v1/servers/near'],
      ['POST', '/api/v1/servers/near/disable'],
    ] as const) {
      const reply = await admin.send(method, path, { url: 'http://127.0.0.1:9/mcp' });
      expect([path, reply.status]).toEqual([path, 409]);
      expect((await problemOf(reply)).code).toBe('GW_REGISTRY_FILE');
    }
  });

  test('one is planned, added, called, changed under its version, and removed', async () => {
    const settings = { url: fixture.url, headers: { 'x-key': 'very secret' } };
    const planned = await admin.send('POST', '/api/v1/servers?plan=1', { name: 'new', settings });
    expect(planned.status).toBe(200);
    expect((await planned.json()) as Change).toMatchObject({
      server: null,
      plan: { ...NO_PLAN, starts: ['new'] },
    });
    expect((await admin.ask('/api/v1/servers/new')).status).toBe(404);

    const added = await admin.send('POST', '/api/v1/servers', { name: 'new', settings });
    expect(added.status).toBe(201);
    const first = added.headers.get('etag') ?? '';
    expect(first).toMatch(/^"v\d+"$/);
    const { server } = (await added.json()) as Change;
    expect(server).toMatchObject({ name: 'new', origin: 'registry', isEnabled: true });
    expect(JSON.stringify(server)).not.toContain('very secret');
    await eventually(
      'the new server answers',
      async () => (await call('/new', 'test_simple_text')).status === 200,
    );

    const again = await admin.send('POST', '/api/v1/servers', { name: 'new', settings });
    expect(again.status).toBe(409);
    const both = await admin.send('PUT', '/api/v1/servers/new', settings, { 'if-none-match': '*' });
    expect(both.status).toBe(412);

    const path = '/api/v1/servers/new';
    const patched = await admin.ask(path, {
      method: 'PATCH',
      headers: { 'content-type': 'application/merge-patch+json', 'if-match': first },
      body: JSON.stringify({ queueDepthMax: 7 }),
    });
    expect(patched.status).toBe(200);
    const second = patched.headers.get('etag');
    expect(second).not.toBe(first);
    expect((await admin.ask(path)).headers.get('etag')).toBe(second);
    const stale = await admin.send('PUT', path, settings, { 'if-match': first });
    expect(stale.status).toBe(412);
    expect((await problemOf(stale)).code).toBe('GW_REGISTRY_VERSION');

    expect((await admin.ask(`${path}?plan=1`, { method: 'DELETE' })).status).toBe(200);
    expect((await admin.ask(path)).status).toBe(200);
    const removed = await admin.ask(path, { method: 'DELETE', headers: { 'if-match': second ?? '' } });
    expect((await removed.json()) as Change).toMatchObject({ plan: { stops: ['new'] } });
    expect((await admin.ask(path)).status).toBe(404);
    await eventually('it is gone', async () => (await call('/new', 'test_simple_text')).status === 404);
  });

  test('settings that cannot be are refused by their keys', async () => {
    const reply = await admin.send('PUT', '/api/v1/servers/bad', { url: 'nonsense', colour: 'red' });
    expect(reply.status).toBe(422);
    const problem = await problemOf(reply);
    expect(problem.errors?.map(({ key }) => key).toSorted()).toEqual(['colour', 'url']);
  });

  test('one is disabled and enabled again, and every change is in the audit', async () => {
    await admin.send('PUT', '/api/v1/servers/flip', { url: fixture.url });
    const off = (await (await admin.send('POST', '/api/v1/servers/flip/disable', {})).json()) as Change;
    expect(off.server).toMatchObject({ isEnabled: false });
    await eventually(
      'it is off',
      async () => (await admin.get<ServerView>('/api/v1/servers/flip')).state === 'disabled',
    );
    const on = (await (await admin.send('POST', '/api/v1/servers/flip/enable', {})).json()) as Change;
    expect(on.server).toMatchObject({ isEnabled: true });
    await admin.ask('/api/v1/servers/flip', { method: 'DELETE' });
    const { items } =
      await admin.get<Items<{ action: string; subject: string; actor: string; at: string }>>(
        '/api/v1/audit?limit=1000',
      );
    const own = items.filter(({ subject }) => subject === 'flip');
    expect(own.map(({ action }) => action)).toEqual(['create', 'disable', 'enable', 'remove']);
    expect(own.every(({ actor }) => actor === 'token 127.0.0.1')).toBe(true);
  });

  test('they are imported and exported', async () => {
    const yaml = `servers:\n  taken: { url: "${fixture.url}" }\n  near: { url: "${fixture.url}" }\n`;
    const reply = await admin.ask('/api/v1/import', {
      method: 'POST',
      body: yaml,
      headers: { 'content-type': 'application/yaml' },
    });
    expect(reply.status).toBe(200);
    expect(await reply.json()).toMatchObject({ added: ['taken'], skipped: [{ name: 'near' }] });
    const all = await (await admin.ask('/api/v1/export')).text();
    expect(all).toContain('taken:');
    const clients = (await (await admin.ask('/api/v1/export?format=mcpServers')).json()) as {
      mcpServers: Record<string, unknown>;
    };
    expect(Object.keys(clients.mcpServers).toSorted()).toEqual(['far', 'near', 'taken']);
    await admin.ask('/api/v1/servers/taken', { method: 'DELETE' });
  });

  test('one is restarted', async () => {
    await call('/near', 'test_simple_text');
    const before = (await admin.get<ServerView>('/api/v1/servers/near')).children.map(({ pid }) => pid);
    expect(before.length).toBe(1);
    const reply = await admin.send('POST', '/api/v1/servers/near/restart', {});
    expect(reply.status).toBe(200);
    expect((await call('/near', 'test_simple_text')).status).toBe(200);
    const after = (await admin.get<ServerView>('/api/v1/servers/near')).children.map(({ pid }) => pid);
    expect(after).not.toContain(before[0] ?? 0);
    expect((await admin.send('POST', '/api/v1/servers/nobody/restart', {})).status).toBe(404);
  });
});

describe('what goes through', () => {
  test('tools of all servers, as /mcp shows them', async () => {
    const { items, missing } = await admin.get<
      Items<z.output<typeof Tool>> & { missing: readonly unknown[] }
    >('/api/v1/tools?search=simple_text');
    expect(missing).toEqual([]);
    expect(items.map(({ server, name, shownAs }) => ({ server, name, shownAs }))).toEqual(
      ['near', 'far'].map((server) => ({
        server,
        name: 'test_simple_text',
        shownAs: `${server}__test_simple_text`,
      })),
    );
  });

  test('a tool is tried, and the exchange is in the traffic', async () => {
    const reply = await call('/far', 'test_simple_text');
    expect(reply.status).toBe(200);
    expect(JSON.stringify(await reply.json())).toContain('simple text');
    const { items } = await admin.get<Items<z.output<typeof Exchange>>>(
      '/api/v1/traffic?method=tools/call&server=far&limit=1',
    );
    const [exchange] = items;
    expect(exchange).toMatchObject({
      endpoint: '/mcp/far',
      name: 'test_simple_text',
      status: 200,
      outcome: 'ok',
    });
    const { gatewayMs, queueMs, connectMs, upstreamMs } = exchange?.phases ?? must();
    expect(gatewayMs + queueMs + connectMs + upstreamMs).toBeCloseTo(exchange?.durationMs ?? -1, 3);
    const one = await admin.get<z.output<typeof Exchange>>(`/api/v1/traffic/${exchange?.key}`);
    expect(one).toEqual(exchange ?? must());
    const later = await admin.get<Items<unknown>>(`/api/v1/traffic?after=${exchange?.key}`);
    expect(later.items).toEqual([]);
    expect((await admin.ask('/api/v1/traffic/0-999999')).status).toBe(404);
  });

  test('a reply that streams arrives as it comes, and leaving ends the call', async () => {
    const left = new AbortController();
    const params = { _meta: MODERN_META, notifications: { toolsListChanged: true } };
    const reply = await admin.ask('/api/v1/mcp/far', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'subscriptions/listen', params }),
      signal: left.signal,
    });
    expect(reply.headers.get('content-type')).toStartWith('text/event-stream');
    const { value } = (await reply.body?.getReader().read()) ?? {};
    expect(value?.length).toBeGreaterThan(0);
    left.abort();
    await eventually('its exchange is over', async () => {
      const { items } = await admin.get<Items<z.output<typeof Exchange>>>(
        '/api/v1/traffic?method=subscriptions/listen',
      );
      return items.length > 0;
    });
  });

  test('an endpoint that is not there is named', async () => {
    const reply = await call('/nobody', 'x');
    expect(reply.status).toBe(404);
    expect((await problemOf(reply)).code).toBe('GW_ADMIN_UNKNOWN');
  });

  test('a breaker that is tripped refuses calls until it is reset', async () => {
    const tripped = await admin.send('POST', '/api/v1/breakers/far/0/trip', {});
    expect((await tripped.json()) as z.output<typeof Breaker>).toMatchObject({
      state: 'open',
      isForced: true,
    });
    expect((await call('/far', 'test_simple_text')).status).toBe(503);
    expect((await admin.get<ServerView>('/api/v1/servers/far')).state).toBe('failing');
    await admin.send('POST', '/api/v1/breakers/far/0/reset', {});
    expect((await call('/far', 'test_simple_text')).status).toBe(200);
    expect((await admin.send('POST', '/api/v1/breakers/far/7/trip', {})).status).toBe(404);
  });

  test('endpoints have counts and times', async () => {
    const { items } =
      await admin.get<Items<{ path: string; counts: { ok: number }; latencyMs: unknown }>>(
        '/api/v1/endpoints',
      );
    const far = items.find(({ path }) => path === '/mcp/far');
    expect(far?.counts.ok).toBeGreaterThan(0);
    expect(far?.latencyMs).not.toBeNull();
  });
});

describe('live events', () => {
  test('tell of figures, exchanges, servers and changes', async () => {
    const left = new AbortController();
    const reply = await admin.ask('/api/v1/events', { signal: left.signal });
    expect(reply.headers.get('content-type')).toBe('text/event-stream');
    const seen = new Map<string, unknown>();
    const reading = readEvents(reply, (event, data) => seen.set(event, data));
    await call('/far', 'test_simple_text');
    await admin.send('PUT', '/api/v1/servers/live', { url: fixture.url });
    await eventually('each kind of event came', () => seen.size === 4);
    left.abort();
    await reading;
    expect(Object.keys((seen.get('overview') as z.output<typeof Overview>) ?? {})).toContain(
      'exchangesPerSecond',
    );
    expect(seen.get('audit')).toMatchObject({ item: { action: 'create', subject: 'live' } });
    expect(JSON.stringify(seen.get('servers'))).toContain('live');
    await admin.ask('/api/v1/servers/live', { method: 'DELETE' });
  });
});

describe('the end', () => {
  test('a configuration that is refused is told of by a reload, and changes nothing', async () => {
    writeFileSync(
      admin.gateway.config,
      JSON.stringify({ listen: { port: 0 }, servers: { far: { url: 1 } } }),
    );
    for (const path of ['/api/v1/reload?plan=1', '/api/v1/reload']) {
      const reply = await admin.send('POST', path, {});
      expect(reply.status).toBe(422);
      const problem = await problemOf(reply);
      expect(problem.code).toBe('GW_ADMIN_RELOAD');
      expect(problem.errors?.[0]?.detail).toContain('servers.far.url');
    }
    expect((await call('/far', 'test_simple_text')).status).toBe(200);
  });

  test('drain ends the gateway as a signal does', async () => {
    const other = await startAdmin({ far: { url: fixture.url } });
    expect((await other.send('POST', '/api/v1/drain', {})).status).toBe(202);
    // A signal now would be a second one, which ends it at once.
    await eventually('it has ended', () => !isAlive(other.gateway.pid));
    expect(await other.gateway.stop()).toBe(0);
  });
});

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

function must(): never {
  throw new Error('it is not there');
}

/** Reads events until the stream ends or is given up. */
async function readEvents(reply: Response, visit: (event: string, data: unknown) => void): Promise<void> {
  let rest = '';
  const decoder = new TextDecoder();
  try {
    for await (const bytes of reply.body ?? []) {
      rest += decoder.decode(bytes, { stream: true });
      const parts = rest.split('\n\n');
      rest = parts.pop() ?? '';
      for (const part of parts) {
        const [, event, data] = /^event: (\w+)\ndata: (.*)$/s.exec(part) ?? [];
        if (event !== undefined && data !== undefined) visit(event, JSON.parse(data));
      }
    }
  } catch {
    // given up
  }
}
