// What a running gateway tells of itself, and what an operator may do with it: sessions of every kind, parked calls, processes, failures, breakers, caches, restarts.
// Run by `bun test`: real threads over real servers. Promises: waits for states, never for an amount of time; no process outlives the file.
import { afterAll, describe, expect, test } from 'bun:test';
import { type Gateway, startGateway } from '../../src/gateway.ts';
import { forceBreaker, resetBreaker } from '../../src/memory/breaker-control.ts';
import type { Inspection, SessionView } from '../../src/observe/inspection.ts';
import { SILENT } from '../../src/observe/log.ts';
import { createBunRuntime } from '../../src/runtime/bun.ts';
import { isRunning } from '../fixtures/alive.ts';
import { AskingServer } from '../fixtures/asking-server.ts';
import { fixtureCommand, startFixture, stopAll } from '../fixtures/harness.ts';
import { modernHeaders, modernRequest } from '../fixtures/messages.ts';
import { eventually } from '../fixtures/places.ts';
import { type PlaneOptions, snapshotOf, startByteServer } from '../fixtures/plane.ts';
import { RpcClient } from '../fixtures/rpc-client.ts';

const TEST_MS_MAX = 60_000;
const CACHE = {
  ...{ bytesMax: 1_000_000, defaultTtlMs: 600_000, defaultScope: 'public' as const },
  ...{ staleOnErrorMs: 0, tools: [] },
};
const asking = new AskingServer();
const running = new Set<Gateway>();

afterAll(async () => {
  await Promise.all([...running].map((gateway) => gateway.drain()));
  asking.stop();
  await stopAll();
});

async function serve(options: PlaneOptions, workers = 2): Promise<Gateway> {
  const gateway = await startGateway({
    runtime: createBunRuntime(),
    snapshot: snapshotOf({ ...options, front: { drainMs: 200, ...options.front } }),
    ...{ log: SILENT, scan: 'auto', logLevel: 'silent', workers },
  });
  running.add(gateway);
  return gateway;
}

/** A modern request; its status, and what it says. */
async function ask(url: string, method: string, params: Record<string, unknown> = {}) {
  const name = typeof params.name === 'string' ? params.name : undefined;
  const headers = modernHeaders(method, name);
  const body = modernRequest(1, method, params);
  const response = await fetch(url, { method: 'POST', headers, body });
  const text = await response.text();
  const data = text.startsWith('{')
    ? text
    : (text.split('\n').findLast((line) => line.startsWith('data: {')) ?? '');
  return {
    status: response.status,
    retryAfter: response.headers.get('retry-after'),
    body: JSON.parse(data.replace(/^data: /, '')) as {
      result?: Record<string, unknown>;
      error?: { code: number; message: string };
    },
  };
}

const server = ({ servers }: Inspection, name: string) => servers.find((one) => one.name === name);
const cellOf = ({ snapshot }: Gateway, name: string): number =>
  snapshot.places?.servers[snapshot.servers.findIndex((one) => one.name === name)]?.[0] ?? -1;

describe('sessions', () => {
  test(
    'of every kind are told, and end by their names as by DELETE',
    async () => {
      const modern = await startFixture('modern');
      const gateway = await serve({
        servers: { near: fixtureCommand('legacy'), fresh: { url: modern.url } },
      });
      const paths = ['/mcp', '/mcp/near', '/mcp/fresh'];
      const clients = paths.map((path) => new RpcClient(gateway.url + path));
      for (const client of clients) await client.initialize();
      const abort = new AbortController();
      const stream = await fetch(`${gateway.url}/sse`, {
        headers: { accept: 'text/event-stream' },
        signal: abort.signal,
      });
      expect(stream.status).toBe(200);
      const { sessions } = await gateway.inspect();
      const kinds = (found: readonly SessionView[]): string[] =>
        found.map(({ kind, endpoint, servers }) => `${kind} ${endpoint} ${servers}`).sort();
      expect(kinds(sessions)).toEqual([
        // The session at /mcp has one at each of its servers.
        ...['bridged /mcp fresh', 'bridged /mcp/fresh fresh', 'joined /mcp near,fresh'],
        ...['sse /mcp near,fresh', 'stdio /mcp near', 'stdio /mcp/near near'],
      ]);
      expect(new Set(sessions.map(({ id }) => id)).size).toBe(sessions.length);
      const text = JSON.stringify(sessions);
      for (const { session } of clients) expect(text).not.toContain(session ?? 'none');
      for (const { startedAtMs, lastUsedAtMs, kind } of sessions) {
        expect(Math.abs(Date.now() - (startedAtMs ?? 0))).toBeLessThan(60_000);
        if (kind !== 'sse') expect(lastUsedAtMs ?? 0).toBeGreaterThanOrEqual((startedAtMs ?? 0) - 1);
      }
      expect((await gateway.inspect()).sessions.map(({ id }) => id).sort()).toEqual(
        sessions.map(({ id }) => id).sort(),
      );

      for (const [at, kind] of (['joined', 'stdio', 'bridged'] as const).entries()) {
        const { id = '' } = sessions.find((one) => one.kind === kind && one.endpoint === paths[at]) ?? {};
        expect(await gateway.act({ kind: 'end-session', id })).toBe(1);
        expect(await gateway.act({ kind: 'end-session', id })).toBe(0);
        const gone = await clients[at]?.post({ jsonrpc: '2.0', id: 9, method: 'tools/list' });
        expect(gone?.status).toBe(404);
      }
      const { id = '' } = sessions.find(({ kind }) => kind === 'sse') ?? {};
      expect(await gateway.act({ kind: 'end-session', id })).toBe(1);
      expect(await stream.text()).toContain('event: endpoint');
      await eventually('nothing is left', async () => (await gateway.inspect()).sessions.length === 0);
      abort.abort();
      expect(await gateway.act({ kind: 'end-session', id: '0.1.999' })).toBe(0);
    },
    TEST_MS_MAX,
  );
});

describe('parked calls', () => {
  test(
    'are told with what was asked, and end as if nobody had come back',
    async () => {
      const gateway = await serve({ servers: { asks: { url: asking.url } }, spec: { era: 'legacy' } });
      const meta = {
        'io.modelcontextprotocol/protocolVersion': '2026-07-28',
        'io.modelcontextprotocol/clientCapabilities': { elicitation: { form: {} } },
      };
      const params = { name: 'ask', arguments: {} };
      const post = (more: Record<string, unknown>): Promise<Response> =>
        fetch(`${gateway.url}/mcp/asks`, {
          method: 'POST',
          headers: modernHeaders('tools/call', 'ask'),
          body: JSON.stringify({
            ...{ jsonrpc: '2.0', id: 1, method: 'tools/call' },
            params: { ...params, ...more, _meta: meta },
          }),
        });
      const text = await (await post({})).text();
      const requestState = /"requestState":"([^"]+)"/.exec(text)?.[1] ?? '';
      const { parked } = await gateway.inspect();
      expect(parked).toMatchObject([
        { server: 'asks', endpoint: '/mcp/asks', method: 'tools/call', questions: ['elicitation/create'] },
      ]);
      const [one] = parked;
      expect((one?.expiresAtMs ?? 0) - (one?.parkedAtMs ?? 0)).toBe(60_000);
      const before = asking.cancelled.length;
      expect(await gateway.act({ kind: 'end-parked', id: one?.id ?? '' })).toBe(1);
      expect(await gateway.act({ kind: 'end-parked', id: one?.id ?? '' })).toBe(0);
      await eventually('its server hears of it', () => asking.cancelled.length === before + 1);
      expect((await gateway.inspect()).parked).toEqual([]);
      expect(await (await post({ requestState, inputResponses: {} })).text()).toContain('"code":-32602');
    },
    TEST_MS_MAX,
  );
});

describe('servers', () => {
  test(
    'tell their era, their processes and what they failed of, in their own last words',
    async () => {
      const quits = { command: '/bin/sh', args: ['-c', 'echo no licence found >&2; exit 3'] };
      const near = fixtureCommand('dual');
      const gateway = await serve({
        servers: {
          near,
          quits,
          gone: { url: 'http://127.0.0.1:9/mcp' },
          lost: { command: '/no/such/program', args: [] },
        },
      });
      expect((await gateway.inspect()).servers.map(({ name, era }) => `${name} ${era}`)).toEqual([
        ...['near unknown', 'quits unknown', 'gone unknown', 'lost unknown'],
      ]);
      expect((await ask(`${gateway.url}/mcp/near`, 'tools/list')).status).toBe(200);
      for (const name of ['quits', 'gone', 'gone', 'lost'])
        expect((await ask(`${gateway.url}/mcp/${name}`, 'tools/list')).body.error).toBeDefined();
      const inspection = await gateway.inspect();
      expect(server(inspection, 'near')).toMatchObject({
        era: 'modern',
        faults: [],
        children: [{ sharing: 'shared' }],
      });
      const [child] = server(inspection, 'near')?.children ?? [];
      expect(child?.rssBytes ?? 0).toBeGreaterThan(1_000_000);
      const faults = server(inspection, 'quits')?.faults ?? [];
      expect(faults.find(({ code }) => code === 'GW_UPSTREAM_EXITED')?.detail).toBe(
        'it exited with code 3; its last words: "no licence found"',
      );
      expect(server(inspection, 'gone')?.faults[0]?.code).toBe('GW_UPSTREAM_CONNECT');
      expect(server(inspection, 'lost')?.faults[0]?.code).toBe('GW_UPSTREAM_SPAWN');
      // These alone: there may be thousands of others.
      const some = await gateway.inspect(['lost', 'nobody', 'near']);
      expect(some.servers.map(({ name, era }) => `${name} ${era}`)).toEqual(['lost unknown', 'near modern']);
      expect(server(some, 'lost')).toEqual(server(inspection, 'lost'));
      expect(Object.keys((await gateway.stats(['gone', 'nobody'])).upstreams)).toEqual(['gone']);
      const [all, sums] = [await gateway.stats(), await gateway.stats([])];
      expect({ sessions: sums.sessions, upstreams: sums.upstreams }).toEqual({
        sessions: all.sessions,
        upstreams: {},
      });
    },
    TEST_MS_MAX,
  );

  test(
    'are begun anew: a call that runs is finished by the old process, the next one meets a fresh one',
    async () => {
      const gateway = await serve({ servers: { near: fixtureCommand('modern'), asks: { url: asking.url } } });
      const url = `${gateway.url}/mcp/near`;
      await ask(url, 'tools/list');
      const pidOf = async (): Promise<number> =>
        server(await gateway.inspect(), 'near')?.children[0]?.pid ?? 0;
      const before = await pidOf();
      const running = ask(url, 'tools/call', { name: 'slow', arguments: { ms: 1_000 } });
      await eventually('it runs', async () => (await gateway.stats()).activeExchanges > 0);
      expect(await gateway.act({ kind: 'restart-server', server: 'near' })).toBe(1);
      expect([
        gateway.snapshot.epoch,
        await gateway.act({ kind: 'restart-server', server: 'other' }),
      ]).toEqual([2, 0]);
      expect((await ask(url, 'tools/list')).status).toBe(200);
      expect((await running).body.error?.message).toBeUndefined();
      await eventually('the old process is gone', () => !isRunning(before));
      const after = await pidOf();
      expect([after > 0, after === before]).toEqual([true, false]);
      // A reload to what is configured is none of this server: it is as it was begun anew.
      await gateway.reload({ ...snapshotOf({ servers: { near: fixtureCommand('modern') } }), epoch: 2 });
      expect([gateway.snapshot.epoch, await pidOf()]).toEqual([3, after]);
      expect(await gateway.act({ kind: 'restart-server', server: 'near' })).toBe(1);
      await eventually(
        'it is another one once more',
        async () => (await ask(url, 'tools/list')).status === 200 && (await pidOf()) !== after,
      );
    },
    TEST_MS_MAX,
  );

  test(
    'are left alone while their breakers are forced, whatever becomes of workers and snapshots',
    async () => {
      const fixture = await startFixture('modern');
      const gateway = await serve({ servers: { far: { url: fixture.url } } });
      const url = `${gateway.url}/mcp/far`;
      expect((await ask(url, 'tools/list')).status).toBe(200);
      forceBreaker(gateway.memory, cellOf(gateway, 'far'), Date.now());
      const refused = await ask(url, 'tools/list');
      expect(refused).toMatchObject({ status: 503, retryAfter: '1' });
      expect(refused.body.error?.message).toContain('an operator has opened its breaker');
      gateway.endWorker(0);
      await eventually('it serves again', async () =>
        (await gateway.stats()).workers.every(({ state }) => state === 'serving'),
      );
      expect((await ask(url, 'tools/list')).status).toBe(503);
      const former = cellOf(gateway, 'far');
      await gateway.act({ kind: 'restart-server', server: 'far' });
      expect(cellOf(gateway, 'far')).not.toBe(former);
      for (let n = 0; n < 8; n++) expect((await ask(url, 'tools/list')).status).toBe(503);
      resetBreaker(gateway.memory, cellOf(gateway, 'far'), Date.now());
      expect((await ask(url, 'tools/list')).status).toBe(200);
    },
    TEST_MS_MAX,
  );

  test(
    'forget what is kept of their answers when they are told to',
    async () => {
      const kept = (body: Uint8Array): Response => {
        const { id } = JSON.parse(new TextDecoder().decode(body)) as { id: unknown };
        const result = { tools: [], resultType: 'complete', ttlMs: 600_000, cacheScope: 'public' };
        return Response.json({ jsonrpc: '2.0', id, result });
      };
      const [far, other] = [startByteServer(kept), startByteServer(kept)];
      const servers = { far: { url: far.url }, other: { url: other.url } };
      const gateway = await serve({ servers, spec: { cache: CACHE } }, 1);
      const hits = async (): Promise<readonly number[]> => {
        const { upstreams } = await gateway.stats();
        return ['far', 'other'].map((name) => upstreams[name]?.cache?.hits ?? -1);
      };
      const askBoth = async (): Promise<void> => {
        for (const name of ['far', 'other']) await ask(`${gateway.url}/mcp/${name}`, 'tools/list');
      };
      await askBoth();
      await askBoth();
      expect(await hits()).toEqual([1, 1]);
      expect(await gateway.act({ kind: 'purge-cache', server: 'far' })).toBeGreaterThan(0);
      await askBoth();
      expect(await hits()).toEqual([1, 2]);
      expect(await gateway.act({ kind: 'purge-cache', server: null })).toBeGreaterThan(1);
      await askBoth();
      expect(await hits()).toEqual([1, 2]);
      expect(await gateway.act({ kind: 'purge-cache', server: 'none' })).toBe(0);
      for (const one of [far, other]) one.stop();
    },
    TEST_MS_MAX,
  );
});
