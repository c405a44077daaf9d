// Reloads that change endpoints alone: what they show, under which names, and what is done about their calls; the servers behind stay as they are.
// Run by `bun test`, with the gateway in this process and the fixture in others. Promises: executions are counted by the fixture's journal; waits for states.
import { afterAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startFixture, stopAll } from '../fixtures/harness.ts';
import { readJournal } from '../fixtures/journal.ts';
import {
  fileOf,
  modernCall,
  nextKey,
  running,
  type Servers,
  Stream,
  startLive,
  streamOf,
} from '../fixtures/live.ts';
import { modernHeaders, modernRequest } from '../fixtures/messages.ts';
import { eventually } from '../fixtures/places.ts';
import { RpcClient } from '../fixtures/rpc-client.ts';

const TEST_MS_MAX = 60_000;
const CHANGED = 'notifications/tools/list_changed';
const folder = mkdtempSync(join(tmpdir(), 'sluice-reload-endpoints-'));

afterAll(async () => {
  for (const gateway of running) gateway.stop();
  await stopAll();
  rmSync(folder, { recursive: true, force: true });
});

const namesIn = (result: unknown): readonly string[] =>
  ((result as { tools?: readonly { name: string }[] } | undefined)?.tools ?? []).map(({ name }) => name);

/** What a modern client is shown. */
async function modernNames(url: string): Promise<readonly string[]> {
  const body = modernRequest(nextKey(), 'tools/list');
  const reply = await fetch(url, { method: 'POST', headers: modernHeaders('tools/list'), body });
  return namesIn(((await reply.json()) as { result?: unknown }).result);
}

function listenAt(url: string): Stream {
  const body = modernRequest(nextKey(), 'subscriptions/listen', {
    notifications: { toolsListChanged: true },
  });
  return new Stream(url, { method: 'POST', headers: modernHeaders('subscriptions/listen'), body });
}

describe('the view of an endpoint', () => {
  test(
    'changes: clients of both eras hear that the lists have changed, and find other names in them; sessions go on',
    async () => {
      const dual = await startFixture('dual');
      const servers: Servers = { one: { url: dual.url }, two: { url: dual.url } };
      const views = [
        { tools: { allow: ['echo', 'count'] } },
        { tools: { allow: ['echo', 'count'], rename: { one__echo: 'say' } } },
        { prefix: 'never', tools: { allow: ['echo', 'count'] } },
        { servers: ['two', 'one'], tools: { deny: ['*'], allow: [] } },
      ];
      const expected: readonly (readonly string[])[] = [
        ['one__count', 'one__echo', 'two__count', 'two__echo'],
        ['one__count', 'say', 'two__count', 'two__echo'],
        ['count', 'echo', 'two__count', 'two__echo'],
        [],
      ];
      const { gateway, lines, reload } = await startLive(fileOf(servers, { endpoints: { own: views[0] } }));
      const url = `${gateway.url}/mcp/own`;
      const client = new RpcClient(url);
      await client.initialize();
      const streams = [streamOf(client), listenAt(url)];
      const names = async (): Promise<readonly (readonly string[])[]> => [
        namesIn((await client.request('tools/list')).result).toSorted(),
        [...(await modernNames(url))].sort(),
      ];
      await eventually(
        'the listen is acknowledged',
        () => (streams[1]?.count('notifications/subscriptions/acknowledged') ?? 0) > 0,
      );
      expect(await names()).toEqual([expected[0] ?? [], expected[0] ?? []]);
      for (const [at, view] of views.entries()) {
        if (at === 0) continue;
        const told = streams.map((stream) => stream.count(CHANGED));
        await reload(fileOf(servers, { endpoints: { own: view } }));
        await eventually('both hear of it', () =>
          streams.every((stream, n) => stream.count(CHANGED) > (told[n] ?? 0)),
        );
        const shown = expected[at] ?? [];
        expect([at, await names()]).toEqual([at, [shown, shown]]);
        if (at === 1) {
          const said = await client.request('tools/call', { name: 'say', arguments: { text: 'hello' } });
          expect(JSON.stringify(said.result)).toContain('hello');
          const former = await client.request('tools/call', { name: 'one__echo', arguments: { text: 'x' } });
          expect(former.error?.code).toBe(-32602);
        }
        if (at === 2) expect(await modernCall(url, 'count', { key: nextKey() })).toBe('1');
      }
      expect(streams.map(({ isOver }) => isOver)).toEqual([false, false]);
      const reloads = lines.filter(({ msg }) => msg === 'reloaded');
      expect(reloads.map(({ starts, stops, changes }) => [starts, stops, changes])).toEqual(
        reloads.map(() => [undefined, undefined, undefined]),
      );
      for (const stream of streams) stream.end();
      client.close();
      await gateway.drain();
      running.delete(gateway);
    },
    TEST_MS_MAX,
  );

  test(
    'pages become shorter while a client reads',
    async () => {
      const dual = await startFixture('dual');
      const servers: Servers = { one: { url: dual.url }, two: { url: dual.url } };
      const { gateway, lines, reload } = await startLive(fileOf(servers));
      const whole = await modernNames(`${gateway.url}/mcp`);
      expect(whole.length).toBeGreaterThan(10);
      await reload(fileOf(servers, { limits: { pageSize: 3, listGraceMs: 1_000 } }));
      expect(await modernNames(`${gateway.url}/mcp`)).toEqual(whole.slice(0, 3));
      expect(lines.findLast(({ msg }) => msg === 'reloaded')?.applies).toEqual([
        'limits.listGraceMs',
        'limits.pageSize',
      ]);
      await gateway.drain();
      running.delete(gateway);
    },
    TEST_MS_MAX,
  );
});

describe('policies of an endpoint', () => {
  test(
    'two endpoints of one server treat its calls each in its own way, until a reload changes that',
    async () => {
      const journal = join(folder, 'policies');
      const fixture = await startFixture('modern', { journal });
      const times = (key: string): number => readJournal(journal).executions.get(key) ?? 0;
      const servers: Servers = { far: { url: fixture.url, cache: { defaultTtlMs: 60_000 } } };
      const endpoints = {
        hasty: { servers: ['far'], policy: { timeoutMs: 1_000, tools: { slow: { idempotent: true } } } },
        calm: {
          servers: ['far'],
          policy: { concurrencyMax: 1, tools: { 'far__sl*': { timeoutMs: 20_000 } } },
        },
      };
      const { gateway, lines, reload } = await startLive(fileOf(servers, { endpoints }));
      const slow = (endpoint: string, key: string, ms = 2_000): Promise<string> =>
        modernCall(`${gateway.url}/mcp/${endpoint}`, 'slow', { ms, key });
      // Connected, and known to be of its era: the first call has that time to itself.
      for (const endpoint of ['hasty', 'calm', 'far']) await slow(endpoint, `warm ${endpoint}`, 0);
      const [hasty, calm, crowded, own] = await Promise.all([
        slow('hasty', 'h1'),
        slow('calm', 'c1'),
        eventually('the first one runs', () => times('slow c1') === 1).then(() => slow('calm', 'c2', 0)),
        slow('far', 'f1'),
      ]);
      expect(hasty).toContain('endpoints.hasty.policy.timeoutMs');
      expect(crowded).toContain('GW_POLICY_BUSY');
      expect([calm, own].map((text) => text.includes('error'))).toEqual([false, false]);
      expect(['h1', 'c1', 'c2', 'f1'].map((key) => times(`slow ${key}`))).toEqual([1, 1, 0, 1]);
      await reload(fileOf(servers, { endpoints: { ...endpoints, hasty: { servers: ['far'] } } }));
      expect(await slow('hasty', 'h2')).not.toContain('error');
      const { applies, changes } = lines.findLast(({ msg }) => msg === 'reloaded') ?? {};
      expect([String(applies), changes]).toEqual([
        expect.stringContaining('endpoints.hasty.policy'),
        undefined,
      ]);
      await gateway.drain();
      running.delete(gateway);
    },
    TEST_MS_MAX,
  );
});
