// A server is killed and comes back in the middle of busy sessions: no client loses its session, and no call is executed twice.
// Runs real gateways with two workers before the fixture, which keeps a journal of executions that outlives it. Prints how long it took to recover. A child on stdio
// that is killed hears again what its client had set, too.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fixtureCommand, type Served, startFixture, startGateway } from '../fixtures/harness.ts';
import { eventually } from '../fixtures/places.ts';
import { Planes } from '../fixtures/planes.ts';
import { RpcClient, until } from '../fixtures/rpc-client.ts';

const SESSIONS = 32;
const TOOL = 'test_simple_text';
const MODERN = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientInfo': { name: 'test', version: '1' },
  'io.modelcontextprotocol/clientCapabilities': {},
};

let folder = '';
const open: { stop(): unknown }[] = [];

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-healing-'));
});
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.stop();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A fixture that can be killed, and started again where it was. */
class Mortal {
  readonly journal: string;
  #served: Served;

  private constructor(served: Served, journal: string) {
    this.#served = served;
    this.journal = journal;
  }

  static async start(name: string): Promise<Mortal> {
    const journal = join(folder, name);
    const mortal = new Mortal(await startFixture('legacy', { journal }), journal);
    open.push(mortal);
    return mortal;
  }

  get url(): string {
    return this.#served.url;
  }

  async kill(): Promise<void> {
    process.kill(this.#served.pid, 'SIGKILL');
    await this.#served.stop();
  }

  async revive(): Promise<void> {
    this.#served = await startFixture('legacy', {
      journal: this.journal,
      port: Number(new URL(this.url).port),
    });
  }

  stop(): Promise<number> {
    return this.#served.stop();
  }

  /** Executions by key. */
  executions(): Map<string, number> {
    const counts = new Map<string, number>();
    for (const line of readFileSync(this.journal, 'utf8').trim().split('\n')) {
      const key = line.split(' ')[1] ?? '';
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    return counts;
  }
}

/** A client that calls on and on under a key of its own each time; a call that failed is not made again. */
interface Busy {
  readonly answered: string[];
  readonly failed: string[];
  /** Why its session was lost for it; null as it should be. */
  lost: string | null;
  stop(): void;
  readonly over: Promise<void>;
}

function busy(name: string, call: (key: string) => Promise<{ status: number; ok: boolean }>): Busy {
  let isOver = false;
  const state: Busy = {
    answered: [],
    failed: [],
    lost: null,
    stop: () => (isOver = true),
    over: Promise.resolve(),
  };
  const run = async (): Promise<void> => {
    for (let n = 0; !isOver; n++) {
      const key = `${name}-${n}`;
      const { status, ok } = await call(key).catch(() => ({ status: 0, ok: false }));
      if (ok) state.answered.push(key);
      else state.failed.push(key);
      if (status === 404) state.lost = `${key} was answered with 404`;
      if (!ok) await Bun.sleep(5);
    }
  };
  return Object.assign(state, { over: run() });
}

function legacyCaller(
  client: RpcClient,
  tool: string,
): (key: string) => Promise<{ status: number; ok: boolean }> {
  let id = 100;
  return async (key) => {
    const message = {
      jsonrpc: '2.0',
      id: ++id,
      method: 'tools/call',
      params: { name: tool, arguments: { key } },
    };
    const reply = await client.post(message);
    const text = await reply.text();
    return { status: reply.status, ok: reply.status === 200 && text.includes('"result"') };
  };
}

function modernCaller(url: string, tool: string): (key: string) => Promise<{ status: number; ok: boolean }> {
  let id = 100;
  return async (key) => {
    const params = { name: tool, arguments: { key }, _meta: MODERN };
    const reply = await fetch(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        'mcp-protocol-version': '2026-07-28',
        'mcp-method': 'tools/call',
        'mcp-name': tool,
      },
      body: JSON.stringify({ jsonrpc: '2.0', id: ++id, method: 'tools/call', params }),
    });
    const text = await reply.text();
    return { status: reply.status, ok: reply.status === 200 && text.includes('"resultType"') };
  };
}

const WAYS = [
  'legacy clients, one server',
  'legacy clients, aggregate',
  'modern clients, one server',
] as const;

describe('a server that is killed and comes back', () => {
  test.each(WAYS)(
    '%s: sessions go on, nothing is executed twice',
    async (way) => {
      const mortal = await Mortal.start(way.replaceAll(/\W/g, '-'));
      const other = await startFixture('legacy');
      const gateway = await startGateway(
        { mortal: { url: mortal.url }, other: { url: other.url } },
        { workers: 2 },
      );
      open.push(other, gateway);
      const isAggregate = way === WAYS[1];
      const url = `${gateway.url}${isAggregate ? '/mcp' : '/mcp/mortal'}`;
      const tool = isAggregate ? `mortal__${TOOL}` : TOOL;
      const clients: Busy[] = [];
      const begun: RpcClient[] = [];
      for (let n = 0; n < SESSIONS; n++) {
        if (way === WAYS[2]) clients.push(busy(`c${n}`, modernCaller(url, tool)));
        else {
          const client = new RpcClient(url);
          await client.initialize();
          begun.push(client);
          clients.push(busy(`c${n}`, legacyCaller(client, tool)));
        }
      }
      const answered = (): number[] => clients.map((client) => client.answered.length);
      await until('every client is busy', () => answered().every((count) => count >= 3), 20_000);
      await mortal.kill();
      const failed = clients.map((client) => client.failed.length);
      await until(
        'every client notices',
        () => clients.every((one, n) => one.failed.length > (failed[n] ?? 0)),
        20_000,
      );
      const before = answered();
      await mortal.revive();
      const backMs = performance.now();
      await until(
        'every client is served again',
        () => answered().every((count, n) => count > (before[n] ?? 0)),
        20_000,
      );
      const recoveredMs = performance.now() - backMs;
      const target = answered().map((count) => count + 3);
      await until('they go on', () => answered().every((count, n) => count >= (target[n] ?? 0)), 20_000);
      for (const client of clients) client.stop();
      await Promise.all(clients.map((client) => client.over));
      for (const client of begun) client.close();

      console.log(`${way}: all ${SESSIONS} served again ${recoveredMs.toFixed(0)} ms after the server was`);
      expect(clients.map((client) => client.lost)).toEqual(clients.map(() => null));
      const executions = mortal.executions();
      expect([...executions].filter(([, count]) => count > 1)).toEqual([]);
      for (const client of clients) for (const key of client.answered) expect(executions.get(key)).toBe(1);
    },
    90_000,
  );
});

describe('a session that its server has lost', () => {
  test('is begun again once, for requests at every worker, and hears what the old one had been told', async () => {
    const mortal = await Mortal.start('notes');
    const planes = new Planes({ servers: { mortal: { url: mortal.url } }, workers: 2 });
    open.push(planes);
    const clients = [0, 1].map((worker) => new RpcClient(`${planes.url(worker)}/mcp`));
    const [first, second] = clients;
    if (first === undefined || second === undefined) throw new Error('there are two');
    await first.initialize();
    second.session = first.session;
    expect(
      (await second.request('resources/subscribe', { uri: 'test://watched-resource' })).error,
    ).toBeUndefined();
    await mortal.kill();
    await mortal.revive();
    const replies = await Promise.all(
      Array.from({ length: 20 }, (_, n) =>
        (clients[n % 2] ?? first).request('tools/call', { name: TOOL, arguments: { key: `k${n}` } }),
      ),
    );
    expect(replies.filter((reply) => reply.error !== undefined)).toEqual([]);
    expect([...mortal.executions().values()]).toEqual(replies.map(() => 1));
    // A stream of the session is opened at the new one; it is what the session's other messages come on.
    expect((await first.listen()).status).toBe(200);
    for (const client of clients) client.close();
  }, 60_000);

  test('that its client ended is not begun again', async () => {
    const mortal = await Mortal.start('ended');
    const planes = new Planes({ servers: { mortal: { url: mortal.url } }, workers: 2 });
    open.push(planes);
    for (const [ender, asker] of [
      [0, 0],
      [0, 1],
      [1, 0],
    ]) {
      const client = new RpcClient(`${planes.url(ender ?? 0)}/mcp`);
      await client.initialize();
      await client.end();
      const late = new RpcClient(`${planes.url(asker ?? 0)}/mcp`);
      late.session = client.session;
      const reply = await late.post({ jsonrpc: '2.0', id: 1, method: 'tools/list' });
      expect(reply.status).toBe(404);
      await reply.text();
    }
  }, 60_000);
});

describe('a child on stdio that is killed', () => {
  const ways: readonly [string, string, string, string][] = [
    ['one server', '/mcp/watch', '', 'test://watched-resource'],
    ['aggregate', '/mcp', 'watch__', 'watch+test://watched-resource'],
  ];
  test.each(ways)(
    'regression: %s: the client still hears of the resource that it is subscribed to',
    async (_way, path, prefix, uri) => {
      const other = await startFixture('legacy');
      const gateway = await startGateway(
        { watch: fixtureCommand('legacy'), other: { url: other.url } },
        { workers: 2 },
      );
      open.push(other, gateway);
      const client = new RpcClient(`${gateway.url}${path}`);
      const tool = async (name: string): Promise<string> => {
        const reply = await client.request('tools/call', {
          name: `${prefix}${name}`,
          arguments: {},
        });
        return JSON.stringify(reply.error ?? reply.result);
      };
      await client.initialize();
      expect((await client.listen()).status).toBe(200);
      expect((await client.request('resources/subscribe', { uri })).error).toBeUndefined();
      const pidIn = (text: string): number => Number(/"pid":(\d+)/.exec(text)?.[1] ?? 0);
      const updates = (): unknown[] =>
        client.heard
          .filter(({ method }) => method === 'notifications/resources/updated')
          .map(({ params }) => params?.uri);
      await tool('touch');
      await until('the first update', () => updates().length === 1);
      const pid = pidIn(await tool('stats'));
      process.kill(pid, 'SIGKILL');
      await eventually('another child is there', async () => ![0, pid].includes(pidIn(await tool('stats'))));
      await tool('touch');
      await until('the update of the new child', () => updates().length === 2);
      expect(updates()).toEqual([uri, uri]);
      client.close();
    },
    60_000,
  );
});
